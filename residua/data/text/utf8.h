#pragma once
// Characters of UTF-8 text.

#include <cstdint>
#include <string>
#include <string_view>

namespace residua {

// The code point that begins at `place`, which moves behind it. False, with `place` where it was,
// when the bytes there are not well-formed UTF-8 (RFC 3629: shortest form, no surrogates).
bool next_code_point(std::string_view text, size_t& place, char32_t& code_point);

// Well-formed text, with U+FFFD for each byte that is not.
std::string repaired_utf8(std::string_view text);

void append_utf8(std::string& text, char32_t code_point);

}  // namespace residua
