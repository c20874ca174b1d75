#pragma once
// Pages that are complete in themselves: a template of web/ with its title and data put in.

#include <string>
#include <string_view>

#include "residua/core/json.h"

namespace residua {

// Replaces {{title}}, twice, and {{data}}. Nothing in title and data can break out of its place.
std::string fill_page(std::string_view page_template, const std::string& title, const Json& data);

}  // namespace residua
