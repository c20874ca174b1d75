#pragma once
// Digests of downloaded files. MD5 only guards against damage in transit, where a publisher states
// nothing better.

#include <string>

#include "residua/data/sources.h"

namespace residua {

// Lower-case hexadecimal.
std::string file_digest(const std::string& path, DigestKind kind);

}  // namespace residua
