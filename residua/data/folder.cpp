#include "residua/data/folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

namespace residua {

namespace {

namespace fs = std::filesystem;

// Images by class; both in the order of their names.
using ClassFiles = std::map<std::string, std::vector<std::string>>;

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::vector<std::string> images_below(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (!is_hidden(entry.path()) && is_image_name(entry.path()) && entry.is_regular_file())
      files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

ClassFiles scan_folder(const std::string& folder) {
  ClassFiles classes;
  int64_t images = 0;
  try {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (!entry.is_directory() || is_hidden(entry.path())) continue;
      auto& files = classes[entry.path().filename().string()] = images_below(entry.path());
      images += static_cast<int64_t>(files.size());
    }
  } catch (const fs::filesystem_error& error) {
    throw_io_error(error.path1().string(), "read folder", error.code().value());
  }
  if (images == 0)
    throw Error(
        ErrorKind::not_found,
        {.where = folder,
         .rule = "holds no images",
         .expected = "a folder for each class with .jpg, .jpeg or .png files",
         .received = classes.empty() ? "no folders"
                                     : fmt::format("{} folders without an image", classes.size())});
  return classes;
}

std::vector<FolderEntry> entries_of(const ClassFiles& files,
                                    const std::vector<std::string>& classes,
                                    const std::string& folder) {
  std::vector<FolderEntry> entries;
  for (const auto& [name, paths] : files) {
    const auto found = std::lower_bound(classes.begin(), classes.end(), name);
    if (found == classes.end() || *found != name)
      throw Error(ErrorKind::invalid_argument,
                  {.where = folder,
                   .rule = "has a class that the training folder lacks",
                   .expected = fmt::format("one of its {} classes", classes.size()),
                   .received = name});
    for (const std::string& path : paths) entries.push_back({path, found - classes.begin()});
  }
  return entries;
}

DatasetInfo folder_info(const ClassFiles& files, const FolderOptions& options) {
  DatasetInfo info{.name = "folder", .channels = options.channels};
  for (const auto& [name, paths] : files) {
    if (paths.empty())
      throw Error(ErrorKind::not_found,
                  {.where = options.path,
                   .rule = "has a class without images",
                   .expected = ".jpg, .jpeg or .png files in each class folder",
                   .received = "none in " + name});
    info.classes.push_back(name);
  }
  info.mean = {0.485, 0.456, 0.406};  // of ImageNet, so that published weights fit
  info.stddev = {0.229, 0.224, 0.225};
  if (options.channels == 1) {
    info.mean = {0.449};
    info.stddev = {0.226};
  }
  info.transform = {.crop = CropKind::random_resized, .size = 224, .resize = 256, .flip = 0.5};
  return info;
}

// Evenly spread over the sorted files: image i is for testing where (i + 1) f passes another whole
// number.
void split_class(const std::vector<std::string>& paths, int64_t label, double fraction,
                 std::vector<FolderEntry>& train, std::vector<FolderEntry>& test) {
  for (size_t i = 0; i < paths.size(); ++i) {
    const auto position = static_cast<double>(i);
    const bool for_test = std::floor((position + 1) * fraction) > std::floor(position * fraction);
    (for_test ? test : train).push_back({paths[i], label});
  }
}

}  // namespace

DataSplits make_folder(const FolderOptions& options) {
  if (options.path.empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = "data.path", .rule = "is needed for an image folder"});
  if (options.channels != 1 && options.channels != 3)
    throw Error(ErrorKind::invalid_argument, {.where = "data.channels",
                                              .expected = "1 or 3",
                                              .received = std::to_string(options.channels)});
  if (!is_folder(options.path))
    throw Error(ErrorKind::not_found, {.where = options.path, .rule = "is not a folder"});

  const std::string train_folder = options.path + "/train";
  for (const char* name : {"val", "test"}) {
    const std::string test_folder = options.path + "/" + name;
    if (!is_folder(train_folder) || !is_folder(test_folder)) continue;
    const ClassFiles train = scan_folder(train_folder), test = scan_folder(test_folder);
    const DatasetInfo info = folder_info(train, options);
    return {std::make_shared<FolderDataset>(info, entries_of(train, info.classes, train_folder)),
            std::make_shared<FolderDataset>(info, entries_of(test, info.classes, test_folder))};
  }

  const ClassFiles files = scan_folder(options.path);
  const DatasetInfo info = folder_info(files, options);
  std::vector<FolderEntry> train, test;
  int64_t label = 0;
  for (const auto& [name, paths] : files)
    split_class(paths, label++, options.test_fraction, train, test);
  if (train.empty() || test.empty())
    throw Error(
        ErrorKind::invalid_argument,
        {.where = "data.test_fraction",
         .rule = fmt::format("leaves no image for {}", train.empty() ? "training" : "testing"),
         .received =
             fmt::format("{} for {} images", options.test_fraction, train.size() + test.size())});
  return {std::make_shared<FolderDataset>(info, std::move(train)),
          std::make_shared<FolderDataset>(info, std::move(test))};
}

}  // namespace residua
