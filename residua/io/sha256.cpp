#include "residua/io/sha256.h"

#include <openssl/evp.h>

#include <vector>

#include "residua/core/error.h"
#include "residua/io/descriptor.h"

namespace residua {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

namespace {

void check_openssl(bool worked) {
  if (!worked) throw Error(ErrorKind::internal, {.where = "sha256", .rule = "OpenSSL failed"});
}

}  // namespace

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check_openssl(state_->context != nullptr);
  check_openssl(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  check_openssl(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  check_openssl(EVP_DigestFinal_ex(state_->context, digest, &size) == 1);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_file(const std::string& path) {
  const Descriptor file = open_for_reading(path);
  Sha256 hash;
  std::vector<std::byte> buffer(1 << 18);
  while (const size_t got = read_some(file, path, buffer))
    hash.update(std::span(buffer).first(got));
  return hash.hex();
}

}  // namespace residua
