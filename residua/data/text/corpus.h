#pragma once
// Text to learn from, as tokens, cut into a part for training and one for validation.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "residua/core/options.h"
#include "residua/data/text/tokenizer.h"

namespace residua {

struct TextCorpus {
  std::string name;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::vector<int32_t> train, test;
  int64_t steps_per_epoch = 0;  // batches of random windows that make an epoch of training
};

enum class TokenizerKind { character, byte };
template <>
struct EnumNames<TokenizerKind> {
  static constexpr std::array names{"character", "byte"};
};

// A plain text file.
struct TextOptions {
  std::string path = {};
  TokenizerKind tokenizer = TokenizerKind::character;
  double validation = 0.1;
  int64_t steps_per_epoch = 100;
  void fields(Fields& f);
};

// Throws ErrorKind::invalid_argument without a path, ErrorKind::io or corrupt_file for a file that
// cannot be read or used.
std::shared_ptr<const TextCorpus> make_text(const TextOptions& options);

// Tiny Shakespeare (https://github.com/karpathy/char-rnn): `path`, where given, is the folder or
// the file input.txt.
std::shared_ptr<const TextCorpus> make_shakespeare(const TextOptions& options);

enum class StringsKind {
  repeat,  // one random word over and over
  copy,    // lines "word>word" of random words
};
template <>
struct EnumNames<StringsKind> {
  static constexpr std::array names{"repeat", "copy"};
};

// Generated text that a model can learn in seconds.
struct StringsOptions {
  StringsKind kind = StringsKind::repeat;
  int64_t letters = 8;
  int64_t word = 12;
  int64_t length = 20000;
  int64_t seed = 0;
  double validation = 0.1;
  int64_t steps_per_epoch = 30;
  void fields(Fields& f);
};

std::shared_ptr<const TextCorpus> make_strings(const StringsOptions& options);

}  // namespace residua
