#pragma once
// SHA-256 in lower-case hexadecimal, to name and check the content of files.

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace residua {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  std::string hex();  // ends the computation: 64 digits; nothing may be added afterwards

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_file(const std::string& path);  // any size, in constant memory

}  // namespace residua
