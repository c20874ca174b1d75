#pragma once
// Unpacking archives that come from elsewhere.

#include <cstdint>
#include <string>

namespace residua {

// Unpacks a .tar.gz into `folder`. Only files and folders with plain relative names are accepted:
// an absolute name, a
// "..", a link or a device is ErrorKind::corrupt_file, more than `limit` bytes in all
// ErrorKind::limit. The archive is unpacked beside `folder`'s contents under a temporary name
// first, so on an error nothing of it remains.
void extract_tar_gz(const std::string& archive, const std::string& folder,
                    int64_t limit = int64_t{1} << 34);

}  // namespace residua
