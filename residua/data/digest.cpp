#include "residua/data/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <memory>

#include "residua/core/error.h"
#include "residua/io/sha256.h"

namespace residua {

namespace {

std::string md5_file(const std::string& path) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_md5(), nullptr) != 1)
    throw Error(ErrorKind::unsupported,
                {.where = "MD5", .rule = "is not offered by this machine's OpenSSL"});
  std::ifstream file(path, std::ios::binary);
  if (!file) throw_io_error(path, "open", errno);
  std::array<char, 1 << 16> buffer;
  while (file.read(buffer.data(), buffer.size()) || file.gcount() > 0)
    EVP_DigestUpdate(context.get(), buffer.data(), static_cast<size_t>(file.gcount()));
  if (file.bad()) throw_io_error(path, "read", errno);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned length = 0;
  EVP_DigestFinal_ex(context.get(), digest.data(), &length);
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace

std::string file_digest(const std::string& path, DigestKind kind) {
  return kind == DigestKind::sha256 ? sha256_file(path) : md5_file(path);
}

}  // namespace residua
