#pragma once
// What the program says to people: colours only on terminals, errors in one form.

#include <exception>
#include <string>
#include <string_view>

namespace residua::app {

// A terminal that takes colours: a tty, TERM is not "dumb" and NO_COLOR is not set
// (https://no-color.org).
bool has_colours(int descriptor);

// Foreign text without what a terminal would obey: control characters become '?'.
std::string printable(std::string_view text);

std::string bold(std::string_view text, bool colours);

// Writes the error to stderr as `residua: [where] ...`, with `json` also as an object to stdout.
// Returns the exit status: 2 for what the user can mend, 70 for our own bug.
int report_error(const std::exception& error, bool json);

// Log messages of the library go to stderr.
void log_to_terminal();

}  // namespace residua::app
