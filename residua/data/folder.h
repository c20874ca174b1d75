#pragma once
// A folder of images with one subfolder for each class, as torchvision's ImageFolder reads it.
//
//   flowers/daisy/1.jpg flowers/rose/2.png ...             split by `test_fraction`
//   flowers/train/daisy/1.jpg ... flowers/val/daisy/...    or `test` in place of `val`
//
// Classes are numbered in the order of their names.

#include <string>

#include "residua/data/dataset.h"

namespace residua {

struct FolderOptions {
  std::string path;
  double test_fraction = 0.2;
  int64_t channels = 3;
  void fields(Fields& f) {
    f.add("path", path, "the folder; needed");
    f.add("test_fraction", test_fraction,
          "of each class, for testing, where there is no val or test folder",
          {.min = 0, .max = 1, .open_min = true, .open_max = true});
    f.add("channels", channels, "3 for colour or 1 for grey", {.min = 1, .max = 3});
  }
};

DataSplits make_folder(const FolderOptions& options);

// One image file and the label of its folder.
struct FolderEntry {
  std::string path;
  int64_t label = 0;
};

class FolderDataset final : public Dataset {
 public:
  FolderDataset(DatasetInfo info, std::vector<FolderEntry> entries);

  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  Sample get(int64_t index) const override;
  int64_t label(int64_t index) const override;
  std::string describe(int64_t index) const override;  // the path
  // Decodes only the lines of a JPEG that the region needs.
  void load(int64_t index, const ChooseRegion& choose, PartialSample& into) const override;

 private:
  std::vector<FolderEntry> entries_;
};

}  // namespace residua
