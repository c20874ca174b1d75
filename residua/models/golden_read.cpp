#include <fmt/format.h>

#include <fstream>

#include "residua/core/error.h"
#include "residua/io/file.h"
#include "residua/models/golden.h"

namespace residua {

namespace {

constexpr uint64_t kMaxCardBytes = 64 << 20;
constexpr int64_t kMaxCardElements = int64_t{1} << 28;  // of one input

Shape card_shape(const Json& json, const std::string& where) {
  const Shape shape = json.get<Shape>();
  if (checked_numel(shape, where) > kMaxCardElements)
    throw Error(ErrorKind::limit, {.where = where, .rule = "has more than 2^28 elements"});
  return shape;
}

CardOutput card_output(const Json& json, const std::string& where) {
  CardOutput output{
      .name = json.at("name"), .shape = json.at("shape"), .norm = json.at("norm"), .samples = {}};
  const int64_t count = checked_numel(output.shape, where);
  for (const Json& sample : json.at("samples")) {
    const int64_t index = sample.at(0);
    if (index < 0 || index >= count)
      throw Error(
          ErrorKind::corrupt_file,
          {.where = where, .rule = fmt::format("output {} has no element {}", output.name, index)});
    output.samples.emplace_back(index, sample.at(1));
  }
  if (output.samples.empty())
    throw Error(ErrorKind::corrupt_file,
                {.where = where, .rule = "an output without samples checks nothing"});
  return output;
}

GoldenCard card_from_json(const Json& json, const std::string& where) {
  if (json.at("card") != 1)
    throw Error(ErrorKind::unsupported,
                {.where = where, .rule = "is a card of another version", .expected = "1"});
  GoldenCard card;
  card.path = where;
  card.reference = json.at("reference");
  card.system = json.value("system", "");
  card.model = json.value("model", "");
  card.options = json.value("options", Json::object());
  card.training = json.value("mode", "eval") == "train";
  for (const Json& f : json.value("fill", Json::array()))
    card.fill.push_back({f.at(0), f.at(1), f.at(2)});
  card.constants = json.value("constants", std::vector<std::string>());
  for (const Json& p : json.at("parameters"))
    card.parameters.emplace_back(p.at(0), card_shape(p.at(1), where));
  for (const Json& i : json.at("inputs"))
    card.inputs.push_back({i.at("name"), i.at("kind"), card_shape(i.at("shape"), where),
                           i.value("high", int64_t{0})});
  for (const Json& o : json.at("outputs")) card.outputs.push_back(card_output(o, where));
  card.relative = json.at("tolerance").at("relative");
  if (card.outputs.empty())
    throw Error(ErrorKind::corrupt_file,
                {.where = where, .rule = "a card without outputs checks nothing"});
  return card;
}

}  // namespace

GoldenCard parse_card(std::string_view text, const std::string& where) {
  const Json json = parse_json(text, where);
  try {
    return card_from_json(json, where);
  } catch (const nlohmann::json::exception& e) {
    throw Error(ErrorKind::corrupt_file,
                {.where = where, .rule = "is not a golden card", .received = e.what()});
  }
}

GoldenCard read_card(const std::string& path) {
  const std::vector<std::byte> bytes = read_file(path, kMaxCardBytes);
  return parse_card({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

}  // namespace residua
