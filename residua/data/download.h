#pragma once
// Fetching published files: resumed where an earlier try stopped, checked by digest, and complete
// or absent.
//
//   get_dataset("cifar10", {.progress = [](const DownloadProgress& p) { ... }});

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "residua/data/sources.h"

namespace residua {

struct DownloadProgress {
  std::string file;
  int64_t bytes = 0;             // present, those of earlier tries included
  std::optional<int64_t> total;  // where the server says it
  double bytes_per_second = 0;   // of this try
  std::optional<double> seconds_left;
};

struct DownloadOptions {
  // Called about ten times a second and once at the end, in the calling thread. An exception ends
  // the download.
  std::function<void(const DownloadProgress&)> progress = {};
  double stall_seconds = 60;  // gives up when this long less than 1 byte a second arrives
};

// Downloads `url` to `path` unless the file is there with this digest already. What arrives is kept
// in `path.part`; an existing one is continued by a range request where the server can, and begun
// again where it cannot. When the digest does not match, nothing is left. Throws
// ErrorKind::not_found (HTTP 404 and 410), io (connection, other status, disk; `path.part` stays
// for the next try) or corrupt_file (digest).
void download_file(const std::string& url, const std::string& path, DigestKind digest_kind,
                   const std::string& digest, const DownloadOptions& options = {});

// Downloads and unpacks every file of a dataset that is not there yet; returns its folder. `folder`
// empty: where the readers look (see locate.h); `base_url` empty: the publisher's.
std::string get_dataset(const std::string& name, const DownloadOptions& options = {},
                        std::string folder = {}, std::string base_url = {});
// The same for a description of one's own.
std::string get_dataset(const PublishedDataset& dataset, const DownloadOptions& options,
                        std::string folder);

}  // namespace residua
