#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>
#include <set>

#include "residua/core/error.h"
#include "residua/data/dataset.h"
#include "residua/data/text/corpus.h"
#include "residua/data/text/utf8.h"
#include "residua/data/text/windows.h"
#include "support.h"

namespace residua {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Utf8, ReadsWellFormedCharactersOnly) {
  std::string text;
  const std::vector<char32_t> characters{0,     'a',    0x7F,    0x80,    0x7FF,
                                         0x800, 0xFFFD, 0x10000, 0x10FFFF};
  for (const char32_t c : characters) append_utf8(text, c);
  std::vector<char32_t> read;
  for (size_t place = 0; place < text.size();) {
    char32_t c = 0;
    ASSERT_TRUE(next_code_point(text, place, c));
    read.push_back(c);
  }
  EXPECT_EQ(read, characters);
  // A lone tail, an overlong slash, a surrogate, beyond the last, cut off, a wrong tail.
  for (const std::string bad : {"\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80",
                                "\xF4\x90\x80\x80", "\xE2\x82", "\xC3("}) {
    size_t place = 0;
    char32_t c = 0;
    EXPECT_FALSE(next_code_point(bad, place, c)) << bad;
    EXPECT_EQ(place, 0u);
  }
  EXPECT_EQ(repaired_utf8("a\xFF"
                          "b"),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(Tokenizer, OfCharactersNumbersThemInOrder) {
  const auto tokenizer = character_tokenizer("bäac", "text");
  EXPECT_EQ(tokenizer->vocabulary(), 4);
  EXPECT_THAT(tokenizer->encode("abcä"), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(tokenizer->decode(std::vector<int64_t>{3, 0}), "äa");
  const auto again = tokenizer_from_json(tokenizer->to_json());
  EXPECT_EQ(again->to_json(), tokenizer->to_json());
  try {
    tokenizer->encode("abd");
    ADD_FAILURE() << "took an unknown character";
  } catch (const Error& e) {
    EXPECT_EQ(e.text().received, "'d'");
  }
  EXPECT_THROW(tokenizer->decode(std::vector<int64_t>{4}), Error);
  EXPECT_THROW(character_tokenizer("a\xFF", "text"), Error);
  EXPECT_THROW(character_tokenizer("", "text"), Error);
  EXPECT_THROW(tokenizer_from_json({{"kind", "words"}}), Error);
}

TEST(Tokenizer, OfBytesTakesAnything) {
  const auto tokenizer = tokenizer_from_json({{"kind", "byte"}});
  const std::string text("\0\xFF z", 4);
  EXPECT_THAT(tokenizer->encode(text), ElementsAre(0, 255, 32, 122));
  EXPECT_EQ(tokenizer->decode(std::vector<int64_t>{0, 255, 32, 122}), text);
}

TEST(TextCorpus, SplitsAFile) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "t.txt") << "abcabcabca";
  const auto corpus = make_text({.path = folder / "t.txt", .validation = 0.3});
  EXPECT_THAT(corpus->train, ElementsAre(0, 1, 2, 0, 1, 2, 0));
  EXPECT_THAT(corpus->test, ElementsAre(1, 2, 0));
  EXPECT_THROW(make_text({}), Error);
  EXPECT_THROW(make_text({.path = folder / "none.txt"}), Error);
}

TEST(TextCorpus, OfStringsHasItsPattern) {
  const auto repeat = make_strings({.word = 5, .length = 100});
  for (size_t i = 5; i < repeat->train.size(); ++i)
    EXPECT_EQ(repeat->train[i], repeat->train[i - 5]);
  const auto copy = make_strings({.kind = StringsKind::copy, .word = 4, .length = 1000});
  std::vector<int64_t> ids(copy->train.begin(), copy->train.end());
  const std::string text = copy->tokenizer->decode(ids);
  std::set<std::string> words;
  for (size_t line = 0; line + 10 <= text.size(); line += 10) {
    EXPECT_EQ(text.substr(line, 4), text.substr(line + 5, 4));
    EXPECT_EQ(text[line + 4], '>');
    EXPECT_EQ(text[line + 9], '\n');
    words.insert(text.substr(line, 4));
  }
  EXPECT_GT(words.size(), 50u);
  EXPECT_EQ(make_strings({.seed = 3})->train, make_strings({.seed = 3})->train);
  EXPECT_NE(make_strings({.seed = 3})->train, make_strings({.seed = 4})->train);
}

TEST(TextCorpus, IsRegisteredBesideTheImages) {
  const auto splits = datasets().create({"strings", {{"word", 3}}});
  ASSERT_TRUE(splits->text);
  EXPECT_FALSE(splits->train);
  EXPECT_EQ(splits->name(), "strings");
}

std::shared_ptr<const TextCorpus> counting(int64_t train, int64_t test) {
  auto corpus = std::make_shared<TextCorpus>();
  corpus->name = "counting";
  for (int32_t i = 0; i < train; ++i) corpus->train.push_back(i);
  for (int32_t i = 0; i < test; ++i) corpus->test.push_back(1000 + i);
  corpus->steps_per_epoch = 3;
  return corpus;
}

TEST(Windows, HoldTheNextTokens) {
  RandomWindows windows(counting(50, 10), {.batch_size = 4, .context = 5}, Random(1));
  windows.start(0);
  int64_t batches = 0;
  while (const auto batch = windows.next()) {
    EXPECT_EQ(batch->input.sizes().vec(), (std::vector<int64_t>{4, 5}));
    EXPECT_TRUE(batch->target.equal(batch->input + 1));
    for (int64_t i = 0; i < 4; ++i)
      EXPECT_EQ(batch->input[i][0].item<int64_t>(), batch->indices[static_cast<size_t>(i)]);
    EXPECT_EQ(batch->number, batches++);
  }
  EXPECT_EQ(batches, 3);
  EXPECT_EQ(windows.units_per_sample(), 5);
}

TEST(Windows, StartAnywhereAndReachEveryToken) {
  const auto corpus = counting(12, 10);
  RandomWindows whole(corpus, {.batch_size = 200, .context = 5}, Random(1));
  RandomWindows resumed(corpus, {.batch_size = 200, .context = 5}, Random(1));
  whole.start(2);
  const auto first = whole.next(), second = whole.next();
  resumed.start(2, 1);
  const auto again = resumed.next();
  EXPECT_TRUE(again->input.equal(second->input));
  EXPECT_EQ(again->number, 1);
  EXPECT_FALSE(first->input.equal(second->input));
  const std::set<int64_t> starts(first->indices.begin(), first->indices.end());
  EXPECT_EQ(starts, (std::set<int64_t>{0, 1, 2, 3, 4, 5, 6}));
}

TEST(Windows, InOrderPredictEachTokenOnce) {
  WindowsInOrder windows(counting(50, 18), {.batch_size = 2, .context = 5});
  EXPECT_EQ(windows.samples(), 3);
  EXPECT_EQ(windows.batches_per_epoch(), 2);
  windows.start(0);
  std::vector<int64_t> targets;
  while (const auto batch = windows.next()) {
    const at::Tensor flat = batch->target.flatten();
    targets.insert(targets.end(), flat.data_ptr<int64_t>(),
                   flat.data_ptr<int64_t>() + flat.numel());
  }
  ASSERT_EQ(targets.size(), 15u);
  for (size_t i = 0; i < targets.size(); ++i) EXPECT_EQ(targets[i], 1001 + static_cast<int64_t>(i));
}

TEST(Windows, NeedEnoughText) {
  EXPECT_THROW(RandomWindows(counting(5, 10), {.context = 5}, Random(1)), Error);
  EXPECT_THROW(WindowsInOrder(counting(50, 5), {.context = 5}), Error);
  EXPECT_NO_THROW(RandomWindows(counting(6, 10), {.context = 5}, Random(1)));
}

}  // namespace
}  // namespace residua
