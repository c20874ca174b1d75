#include "residua/data/folder.h"
#include "residua/data/memory_dataset.h"
#include "residua/io/file.h"

namespace residua {

namespace {

constexpr uint64_t kMaxImageFile = uint64_t{1} << 30;

}  // namespace

FolderDataset::FolderDataset(DatasetInfo info, std::vector<FolderEntry> entries)
    : entries_(std::move(entries)) {
  info_ = std::move(info);
}

Sample FolderDataset::get(int64_t index) const {
  check_index(*this, index);
  return {read_image(entries_[index].path), entries_[index].label};
}

int64_t FolderDataset::label(int64_t index) const {
  check_index(*this, index);
  return entries_[index].label;
}

std::string FolderDataset::describe(int64_t index) const {
  check_index(*this, index);
  return entries_[index].path;
}

void FolderDataset::load(int64_t index, const ChooseRegion& choose, PartialSample& into) const {
  check_index(*this, index);
  const auto& [path, label] = entries_[index];
  const std::vector<std::byte> bytes = read_file(path, kMaxImageFile);
  const ImageSize full = image_size(bytes, path);
  const CropBox box = choose(full.height, full.width);
  const bool whole = box.height == full.height && box.width == full.width;
  into.full_height = full.height;
  into.full_width = full.width;
  into.label = label;
  into.top = into.left = 0;
  if (!whole && is_jpeg(bytes)) {
    into.image = decode_jpeg_crop(bytes, box, path);
    into.top = box.top;
    into.left = box.left;
  } else {
    into.image = decode_image(bytes, path);
  }
}

}  // namespace residua
