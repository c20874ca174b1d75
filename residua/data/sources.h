#pragma once
// Where the datasets are published, and the digests by which their files are known.

#include <string>
#include <string_view>
#include <vector>

namespace residua {

enum class DigestKind { md5, sha256 };

struct PublishedFile {
  std::string name;  // also the last part of its address
  DigestKind digest_kind = DigestKind::md5;
  std::string digest;    // lower-case hexadecimal, as the publisher states it
  bool archive = false;  // a .tar.gz that is unpacked after the download
};

struct PublishedDataset {
  std::string name;
  std::string base_url;  // ends with '/'
  std::vector<PublishedFile> files;
};

const std::vector<PublishedDataset>& published_datasets();

// Throws ErrorKind::not_found with the nearest names.
const PublishedDataset& find_published(std::string_view name);

}  // namespace residua
