#include <filesystem>

#include "residua/core/error.h"
#include "residua/data/download.h"
#include "residua/data/extract.h"
#include "residua/data/locate.h"
#include "residua/io/atomic_file.h"

namespace residua {

namespace {

// Beside an unpacked archive: its digest, so that a second call has nothing to do.
std::string receipt_path(const std::string& folder, const PublishedFile& file) {
  return folder + "/." + file.name + ".unpacked";
}

bool is_unpacked(const std::string& folder, const PublishedFile& file) {
  const std::string receipt = receipt_path(folder, file);
  std::error_code ignored;
  return std::filesystem::file_size(receipt, ignored) == file.digest.size() && !ignored;
}

}  // namespace

std::string get_dataset(const PublishedDataset& dataset, const DownloadOptions& options,
                        std::string folder) {
  if (folder.empty()) folder = downloaded_folder(dataset.name);
  for (const PublishedFile& file : dataset.files) {
    const std::string path = folder + "/" + file.name;
    if (file.archive && is_unpacked(folder, file)) continue;
    download_file(dataset.base_url + file.name, path, file.digest_kind, file.digest, options);
    if (!file.archive) continue;
    extract_tar_gz(path, folder);
    write_file_atomic(receipt_path(folder, file), file.digest);
    std::error_code ignored;  // the archive is only in the way now
    std::filesystem::remove(path, ignored);
  }
  return folder;
}

std::string get_dataset(const std::string& name, const DownloadOptions& options, std::string folder,
                        std::string base_url) {
  PublishedDataset dataset = find_published(name);
  if (!base_url.empty()) dataset.base_url = base_url.ends_with('/') ? base_url : base_url + "/";
  return get_dataset(dataset, options, std::move(folder));
}

}  // namespace residua
