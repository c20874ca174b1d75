#include "residua/io/page.h"

#include "residua/core/error.h"

namespace residua {

namespace {

// JSON in pure ASCII without '<', so that nothing in it can end the script element or open a
// comment; bytes that are not UTF-8 become U+FFFD.
std::string script_json(const Json& value) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  }
  return safe;
}

std::string html_text(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      default: safe += c;
    }
  }
  return safe;
}

// Appends the page up to `mark` and returns what follows the mark.
std::string_view copy_up_to(std::string& page, std::string_view rest, std::string_view mark) {
  const size_t at = rest.find(mark);
  if (at == std::string_view::npos)
    throw Error(ErrorKind::internal,
                {.where = "page template", .rule = "has no " + std::string(mark)});
  page += rest.substr(0, at);
  return rest.substr(at + mark.size());
}

}  // namespace

std::string fill_page(std::string_view page_template, const std::string& title, const Json& data) {
  std::string page;
  std::string_view rest = page_template;
  for (int i = 0; i < 2; ++i) {  // the window's title and the heading
    rest = copy_up_to(page, rest, "{{title}}");
    page += html_text(title);
  }
  rest = copy_up_to(page, rest, "{{data}}");
  page += script_json(data);
  page += rest;
  return page;
}

}  // namespace residua
