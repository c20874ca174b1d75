#pragma once
// Text as numbers and back. A tokenizer is stored in the checkpoints of a language model.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "residua/core/json.h"

namespace residua {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Throws ErrorKind::invalid_argument for what it has no token for.
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;
  // Throws ErrorKind::invalid_argument for an id outside the vocabulary.
  virtual std::string decode(std::span<const int64_t> ids) const = 0;
  virtual int64_t vocabulary() const = 0;
  virtual Json to_json() const = 0;
};

// One token for each byte, 256 in all.
std::shared_ptr<const Tokenizer> byte_tokenizer();

// One token for each different character (Unicode code point) of `text`, in the order of their
// numbers. Throws ErrorKind::corrupt_file, naming the place, when the text is not UTF-8 or empty.
std::shared_ptr<const Tokenizer> character_tokenizer(std::string_view text,
                                                     const std::string& where);

// Throws ErrorKind::corrupt_file when `json` is not what to_json() gives.
std::shared_ptr<const Tokenizer> tokenizer_from_json(const Json& json);

}  // namespace residua
