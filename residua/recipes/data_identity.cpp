#include "residua/recipes/data_identity.h"

#include <fmt/format.h>

#include <algorithm>

#include "residua/data/text/corpus.h"
#include "residua/io/sha256.h"

namespace residua {

namespace {

constexpr int64_t kLabelsSeen = 1000, kImagesSeen = 16;

void add_text(Sha256& hash, const std::string& text) {
  hash.update(std::as_bytes(std::span(text)));
  hash.update(std::as_bytes(std::span("\n", 1)));
}

void add_split(Sha256& hash, const Dataset& data) {
  const DatasetInfo& info = data.info();
  const int64_t size = data.size();
  add_text(hash,
           fmt::format("{} {} {} {} {}", info.name, size, info.channels, info.height, info.width));
  for (const std::string& name : info.classes) add_text(hash, name);
  const int64_t labels = std::min(size, kLabelsSeen), images = std::min(size, kImagesSeen);
  for (int64_t i = 0; i < labels; ++i)
    add_text(hash, std::to_string(data.label(i * size / labels)));
  for (int64_t i = 0; i < images; ++i) {
    const Sample sample = data.get(i * size / images);
    hash.update(std::as_bytes(std::span(sample.image.pixels)));
  }
}

}  // namespace

std::string data_identity(const DataSplits& data) {
  Sha256 hash;
  if (data.text) {
    add_text(hash, data.text->name);
    add_text(hash, data.text->tokenizer->to_json().dump());
    for (const auto* part : {&data.text->train, &data.text->test})
      hash.update(std::as_bytes(std::span(*part)));
    return hash.hex();
  }
  add_split(hash, *data.train);
  add_split(hash, *data.test);
  return hash.hex();
}

}  // namespace residua
