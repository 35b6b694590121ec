#include "base/hash.h"

#include <openssl/evp.h>

#include <cstdlib>

#include "base/byte_reader.h"
#include "base/mapped_file.h"

namespace npuport {

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  // Only a broken OpenSSL installation (or no memory at all) fails here; there is nothing to go on with.
  if (!impl_->context || EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr) != 1) std::abort();
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  if (!bytes.empty() && EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) != 1) std::abort();
}
void Sha256::update(std::string_view text) { update(as_bytes(text)); }

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_DigestFinal_ex(impl_->context, digest, &size) != 1) std::abort();
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(size * 2);
  for (unsigned i = 0; i < size; ++i) {
    text += digits[digest[i] >> 4];
    text += digits[digest[i] & 15];
  }
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}
std::string sha256_hex(std::string_view text) { return sha256_hex(as_bytes(text)); }

Result<std::string> sha256_file(const std::string& path) {
  NPU_ASSIGN(auto file, MappedFile::open(path));
  file->will_read_all();
  std::string hex = sha256_hex(file->bytes());
  NPU_TRY(file->check_unchanged());
  return hex;
}

}  // namespace npuport
