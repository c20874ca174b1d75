#include "residua/data/text/utf8.h"

namespace residua {

bool next_code_point(std::string_view text, size_t& place, char32_t& code_point) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[place + i]); };
  const unsigned char first = byte(0);
  const size_t length = first < 0x80   ? 1
                        : first < 0xC2 ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                        : first < 0xF5 ? 4
                                       : 0;
  if (length == 0 || place + length > text.size()) return false;
  char32_t value = length == 1 ? first : first & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return false;
    value = value << 6 | (byte(i) & 0x3F);
  }
  const char32_t least = length == 3 ? 0x800 : length == 4 ? 0x10000 : 0;
  if (value < least || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return false;
  code_point = value;
  place += length;
  return true;
}

std::string repaired_utf8(std::string_view text) {
  std::string whole;
  for (size_t place = 0; place < text.size();) {
    char32_t code_point = 0xFFFD;
    if (!next_code_point(text, place, code_point)) ++place;
    append_utf8(whole, code_point);
  }
  return whole;
}

void append_utf8(std::string& text, char32_t c) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    text += static_cast<char>(0xE0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xF0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace residua
