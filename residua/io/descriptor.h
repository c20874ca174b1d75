#pragma once
// A file descriptor that closes itself (internal to io).

#include <unistd.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace residua {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return number_; }

 private:
  int number_;
};

// Throws with the system's reason; a folder is refused.
Descriptor open_for_reading(const std::string& path);

// Bytes read, 0 at the end of the file.
size_t read_some(const Descriptor& file, const std::string& path, std::span<std::byte> into);

}  // namespace residua
