#pragma once
// The one value tree that configurations, checkpoints' manifests and results share.
// Keys keep the order in which they were written, so that printed options read as declared.

#include <nlohmann/json.hpp>
#include <string_view>

namespace residua {

using Json = nlohmann::ordered_json;

// Parses JSON text with nesting at most `max_depth`; `where` names the source in the error.
Json parse_json(std::string_view text, std::string_view where, int max_depth = 100);

// One line of JSON, for messages: unlike `dump`, it never throws, whatever bytes the strings hold.
std::string json_text(const Json& value);

}  // namespace residua
