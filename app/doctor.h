#pragma once
// `residua doctor`: what this machine offers and what costs speed on it.

#include "app/commands.h"

namespace residua::app {

// Prints the findings; problems are warnings, so the status is 0.
int doctor(const DoctorArguments&);

}  // namespace residua::app
