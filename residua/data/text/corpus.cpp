#include "residua/data/text/corpus.h"

#include <fmt/format.h>

#include <filesystem>

#include "residua/core/error.h"
#include "residua/core/random.h"
#include "residua/data/locate.h"
#include "residua/io/file.h"

namespace residua {

namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;

void add_split_fields(Fields& f, double& validation, int64_t& steps_per_epoch) {
  f.add("validation", validation, "last part of the text, for evaluation",
        {.min = 0, .max = 1, .open_min = true, .open_max = true});
  f.add("steps_per_epoch", steps_per_epoch, "batches of random windows that make an epoch",
        {.min = 1});
}

std::shared_ptr<const TextCorpus> split_text(std::string name, std::string_view text,
                                             std::shared_ptr<const Tokenizer> tokenizer,
                                             double validation, int64_t steps_per_epoch) {
  auto corpus = std::make_shared<TextCorpus>();
  corpus->name = std::move(name);
  corpus->train = tokenizer->encode(text);
  corpus->tokenizer = std::move(tokenizer);
  corpus->steps_per_epoch = steps_per_epoch;
  const auto kept =
      static_cast<size_t>(static_cast<double>(corpus->train.size()) * (1 - validation));
  corpus->test.assign(corpus->train.begin() + static_cast<std::ptrdiff_t>(kept),
                      corpus->train.end());
  corpus->train.resize(kept);
  return corpus;
}

std::shared_ptr<const TextCorpus> read_corpus(const std::string& name, const std::string& path,
                                              const TextOptions& o) {
  const std::vector<std::byte> bytes = read_file(path, kMaxTextBytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  auto tokenizer =
      o.tokenizer == TokenizerKind::byte ? byte_tokenizer() : character_tokenizer(text, path);
  return split_text(name, text, std::move(tokenizer), o.validation, o.steps_per_epoch);
}

std::string random_word(const StringsOptions& o, Random& random) {
  std::string word;
  for (int64_t i = 0; i < o.word; ++i)
    word += static_cast<char>('a' + static_cast<char>(random.integer(0, o.letters)));
  return word;
}

}  // namespace

void TextOptions::fields(Fields& f) {
  f.add("path", path, "where the text lies");
  f.add("tokenizer", tokenizer, "a token for each character of the text, or for each byte");
  add_split_fields(f, validation, steps_per_epoch);
}

void StringsOptions::fields(Fields& f) {
  f.add("kind", kind, "one random word over and over, or lines word>word of random words");
  f.add("letters", letters, "different letters", {.min = 1, .max = 26});
  f.add("word", word, "letters of a word", {.min = 1, .max = 1 << 16});
  f.add("length", length, "characters in all", {.min = 2, .max = 1 << 28});
  f.add("seed", seed, "of the words", {.min = 0});
  add_split_fields(f, validation, steps_per_epoch);
}

std::shared_ptr<const TextCorpus> make_text(const TextOptions& o) {
  if (o.path.empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = "data.path", .rule = "is needed", .expected = "a text file"});
  return read_corpus("text", o.path, o);
}

std::shared_ptr<const TextCorpus> make_shakespeare(const TextOptions& o) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(o.path, ignored))
    return read_corpus("shakespeare", o.path, o);
  const std::string folder = find_dataset("shakespeare", "tinyshakespeare", "input.txt", o.path);
  return read_corpus("shakespeare", folder + "/input.txt", o);
}

std::shared_ptr<const TextCorpus> make_strings(const StringsOptions& o) {
  Random random = Random(static_cast<uint64_t>(o.seed)).split("strings");
  std::string text, word = random_word(o, random);
  while (static_cast<int64_t>(text.size()) < o.length) {
    if (o.kind == StringsKind::repeat) {
      text += word;
    } else {
      word = random_word(o, random);
      text += word + ">" + word + "\n";
    }
  }
  text.resize(static_cast<size_t>(o.length));
  return split_text("strings", text, character_tokenizer(text, "strings"), o.validation,
                    o.steps_per_epoch);
}

}  // namespace residua
