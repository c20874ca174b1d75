#include "residua/data/memory_dataset.h"

#include <fmt/format.h>

#include <algorithm>

namespace residua {

void check_index(const Dataset& dataset, int64_t index) {
  if (index < 0 || index >= dataset.size())
    throw Error(ErrorKind::internal, {.where = dataset.info().name,
                                      .rule = "was asked for a sample it does not have",
                                      .expected = fmt::format("an index below {}", dataset.size()),
                                      .received = std::to_string(index)});
}

void Dataset::load(int64_t index, const ChooseRegion& choose, PartialSample& into) const {
  Sample sample = get(index);
  into.top = into.left = 0;
  into.full_height = sample.image.height;
  into.full_width = sample.image.width;
  into.label = sample.label;
  into.image = std::move(sample.image);
  choose(into.full_height, into.full_width);
}

MemoryDataset::MemoryDataset(DatasetInfo info, std::vector<uint8_t> pixels,
                             std::vector<int64_t> labels, std::vector<RecordSource> sources)
    : pixels_(std::move(pixels)), labels_(std::move(labels)), sources_(std::move(sources)) {
  info_ = std::move(info);
  const size_t image_bytes = static_cast<size_t>(info_.height * info_.width * info_.channels);
  if (pixels_.size() != labels_.size() * image_bytes)
    throw Error(ErrorKind::internal,
                {.where = info_.name,
                 .rule = "pixels and labels do not belong together",
                 .expected = fmt::format("{} bytes", labels_.size() * image_bytes),
                 .received = fmt::format("{} bytes", pixels_.size())});
  const int64_t classes = static_cast<int64_t>(info_.classes.size());
  for (int64_t i = 0; i < size(); ++i)
    if (labels_[i] < 0 || labels_[i] >= classes)
      throw Error(ErrorKind::corrupt_file, {.where = describe(i),
                                            .rule = "the label is out of range",
                                            .expected = fmt::format("0 to {}", classes - 1),
                                            .received = std::to_string(labels_[i])});
}

std::span<const uint8_t> MemoryDataset::pixels_of(int64_t index) const {
  check_index(*this, index);
  const int64_t bytes = info_.height * info_.width * info_.channels;
  return std::span(pixels_).subspan(index * bytes, bytes);
}

Sample MemoryDataset::get(int64_t index) const {
  const auto pixels = pixels_of(index);
  return {{info_.height, info_.width, info_.channels, {pixels.begin(), pixels.end()}},
          labels_[index]};
}

void MemoryDataset::load(int64_t index, const ChooseRegion& choose, PartialSample& into) const {
  const auto pixels = pixels_of(index);
  into.image.height = into.full_height = info_.height;
  into.image.width = into.full_width = info_.width;
  into.image.channels = info_.channels;
  into.image.pixels.assign(pixels.begin(), pixels.end());
  into.top = into.left = 0;
  into.label = labels_[index];
  choose(info_.height, info_.width);
}

int64_t MemoryDataset::label(int64_t index) const {
  check_index(*this, index);
  return labels_[index];
}

std::string MemoryDataset::describe(int64_t index) const {
  for (const RecordSource& source : sources_) {
    if (index >= 0 && index < source.records)
      return fmt::format("record {} of {}", index + source.offset, source.file);
    index -= source.records;
  }
  return fmt::format("record {} of {}", index, info_.name);
}

}  // namespace residua
