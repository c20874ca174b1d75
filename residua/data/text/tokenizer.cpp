#include "residua/data/text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "residua/core/error.h"
#include "residua/data/text/utf8.h"

namespace residua {

namespace {

[[noreturn]] void unknown_id(int64_t id, int64_t vocabulary) {
  throw Error(ErrorKind::invalid_argument, {.where = "tokenizer",
                                            .rule = "has no such id",
                                            .expected = fmt::format("0 to {}", vocabulary - 1),
                                            .received = std::to_string(id)});
}

class ByteTokenizer final : public Tokenizer {
 public:
  std::vector<int32_t> encode(std::string_view text) const override {
    std::vector<int32_t> ids;
    ids.reserve(text.size());
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::string decode(std::span<const int64_t> ids) const override {
    std::string text;
    for (const int64_t id : ids) {
      if (id < 0 || id > 255) unknown_id(id, 256);
      text += static_cast<char>(id);
    }
    return text;
  }
  int64_t vocabulary() const override { return 256; }
  Json to_json() const override { return {{"kind", "byte"}}; }
};

class CharacterTokenizer final : public Tokenizer {
 public:
  explicit CharacterTokenizer(std::vector<char32_t> characters)
      : characters_(std::move(characters)) {
    for (size_t i = 0; i < characters_.size(); ++i) ids_[characters_[i]] = static_cast<int32_t>(i);
  }

  std::vector<int32_t> encode(std::string_view text) const override {
    std::vector<int32_t> ids;
    ids.reserve(text.size());
    for (size_t place = 0; place < text.size();) {
      const size_t begin = place;
      char32_t character = 0;
      const bool valid = next_code_point(text, place, character);
      const auto found = valid ? ids_.find(character) : ids_.end();
      if (found == ids_.end())
        throw Error(ErrorKind::invalid_argument,
                    {.where = "text",
                     .rule = "holds what the model's vocabulary lacks",
                     .received = valid ? fmt::format("'{}'", text.substr(begin, place - begin))
                                       : fmt::format("byte {} that is not UTF-8", begin)});
      ids.push_back(found->second);
    }
    return ids;
  }
  std::string decode(std::span<const int64_t> ids) const override {
    std::string text;
    for (const int64_t id : ids) {
      if (id < 0 || id >= vocabulary()) unknown_id(id, vocabulary());
      append_utf8(text, characters_[static_cast<size_t>(id)]);
    }
    return text;
  }
  int64_t vocabulary() const override { return static_cast<int64_t>(characters_.size()); }
  Json to_json() const override {
    std::string all;
    for (const char32_t c : characters_) append_utf8(all, c);
    return {{"kind", "character"}, {"characters", all}};
  }

 private:
  std::vector<char32_t> characters_;
  std::map<char32_t, int32_t> ids_;
};

}  // namespace

std::shared_ptr<const Tokenizer> byte_tokenizer() { return std::make_shared<ByteTokenizer>(); }

std::shared_ptr<const Tokenizer> character_tokenizer(std::string_view text,
                                                     const std::string& where) {
  std::set<char32_t> seen;
  for (size_t place = 0; place < text.size();) {
    char32_t character = 0;
    if (!next_code_point(text, place, character))
      throw Error(ErrorKind::corrupt_file, {.where = where,
                                            .rule = fmt::format("is not UTF-8 at byte {}", place),
                                            .hint = "tokenizer=byte takes any file"});
    seen.insert(character);
  }
  if (seen.empty()) throw Error(ErrorKind::corrupt_file, {.where = where, .rule = "is empty"});
  return std::make_shared<CharacterTokenizer>(std::vector<char32_t>(seen.begin(), seen.end()));
}

std::shared_ptr<const Tokenizer> tokenizer_from_json(const Json& json) {
  const std::string kind = json.value("kind", "");
  if (kind == "byte") return byte_tokenizer();
  if (kind == "character")
    return character_tokenizer(json.value("characters", std::string()), "tokenizer");
  throw Error(ErrorKind::corrupt_file, {.where = "tokenizer",
                                        .rule = "is of an unknown kind",
                                        .expected = "byte or character",
                                        .received = kind});
}

}  // namespace residua
