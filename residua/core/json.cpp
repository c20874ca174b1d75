#include "residua/core/json.h"

#include "residua/core/error.h"

namespace residua {

Json parse_json(std::string_view text, std::string_view where, int max_depth) {
  const auto watch_depth = [&](int depth, Json::parse_event_t event, Json&) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= max_depth) {
      throw Error(ErrorKind::limit,
                  {.where = std::string(where),
                   .rule = "JSON nests too deeply",
                   .expected = "at most " + std::to_string(max_depth) + " levels"});
    }
    return true;
  };
  try {
    return Json::parse(text, watch_depth);
  } catch (const Json::parse_error& e) {
    throw Error(ErrorKind::corrupt_file,
                {.where = std::string(where),
                 .rule = "is not valid JSON near byte " + std::to_string(e.byte)});
  } catch (const Json::exception& e) {  // a number that no double holds
    throw Error(ErrorKind::corrupt_file, {.where = std::string(where),
                                          .rule = std::string("is not valid JSON: ") + e.what()});
  }
}

std::string json_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace residua
