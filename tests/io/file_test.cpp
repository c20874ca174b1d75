#include "residua/io/file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

namespace residua {
namespace {

// Resident kilobytes of the mapping that begins at the address, as the system counts them.
int64_t resident_kilobytes(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  char begin[32];
  std::snprintf(begin, sizeof begin, "%lx-", reinterpret_cast<unsigned long>(address));
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.starts_with(begin)) inside = true;
    if (inside && line.starts_with("Rss:")) return std::stoll(line.substr(4));
  }
  return -1;
}

TEST(File, ReleasedPagesComeBack) {
  const std::string path = testing::TempDir() + "/residua_pages";
  std::vector<std::byte> content(1 << 20);
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i * 7 % 251);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(content.data()),
             static_cast<std::streamsize>(content.size()));
  const OwnedBytes mapped = map_file(path);
  EXPECT_TRUE(std::equal(content.begin(), content.end(), mapped.bytes.begin()));
  EXPECT_GE(resident_kilobytes(mapped.bytes.data()), 1024);
  release_pages(mapped.bytes.subspan(100, 600000));  // whole pages of it
  EXPECT_LE(resident_kilobytes(mapped.bytes.data()), 1024 - 580);
  EXPECT_TRUE(std::equal(content.begin(), content.end(), mapped.bytes.begin()));
  std::remove(path.c_str());
}

TEST(File, MemoryThatIsNoMappingKeepsItsContent) {
  std::vector<std::byte> content(1 << 20, std::byte{5});
  release_pages(content);
  release_pages({});
  EXPECT_EQ(std::count(content.begin(), content.end(), std::byte{5}), 1 << 20);
}

}  // namespace
}  // namespace residua
