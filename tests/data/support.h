#pragma once
// Small files and datasets for the tests of this room.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "residua/core/error.h"
#include "residua/data/memory_dataset.h"

namespace residua::test {

// A folder that disappears with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "residua-data-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

inline void write_bytes(const std::string& path, std::string_view bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Sets (or, with nothing, unsets) an environment variable for the life of the object.
class ScopedEnvironment {
 public:
  ScopedEnvironment(const char* name, std::optional<std::string> value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    set(value);
  }
  ~ScopedEnvironment() { set(old_); }
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;

 private:
  void set(const std::optional<std::string>& value) {
    value ? setenv(name_.c_str(), value->c_str(), 1) : unsetenv(name_.c_str());
  }
  std::string name_;
  std::optional<std::string> old_;
};

// Runs `action` and returns the error that it must throw.
template <class Action>
Error error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return Error(ErrorKind::internal, {.rule = "nothing was thrown"});
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// `count` images in which pixel p of channel c of image i has the value (7 i + 3 p + c) mod 256,
// and label i mod classes.
inline std::shared_ptr<const Dataset> counting_dataset(int64_t count, int64_t side = 4,
                                                       int64_t channels = 1, int64_t classes = 3) {
  DatasetInfo info{.name = "counting", .channels = channels, .height = side, .width = side};
  for (int64_t c = 0; c < classes; ++c) info.classes.push_back("class " + std::to_string(c));
  info.mean.assign(static_cast<size_t>(channels), 0.0);
  info.stddev.assign(static_cast<size_t>(channels), 1.0);
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t p = 0; p < side * side; ++p)
      for (int64_t c = 0; c < channels; ++c)
        pixels.push_back(static_cast<uint8_t>(7 * i + 3 * p + c));
    labels.push_back(i % classes);
  }
  return std::make_shared<MemoryDataset>(std::move(info), std::move(pixels), std::move(labels),
                                         std::vector<RecordSource>{{"counting.bin", count}});
}

}  // namespace residua::test
