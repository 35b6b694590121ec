#include "base/hash.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/byte_reader.h"
#include "base/diag_codes.h"
#include "base/mapped_file.h"
#ifdef NPUPORT_OWN_SHA256
#include "base/sha256.h"
#else
#include <openssl/evp.h>
#endif

namespace npuport {

namespace {

std::string to_hex(std::span<const unsigned char> digest) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

}  // namespace

#ifdef NPUPORT_OWN_SHA256
struct Sha256::Impl {
  OwnSha256 state;
};
Sha256::Sha256() : impl_(std::make_unique<Impl>()) {}
void Sha256::update(std::span<const std::byte> bytes) { impl_->state.update(bytes); }
std::string Sha256::hex() { return to_hex(impl_->state.digest()); }
#else
struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  // Only a broken OpenSSL installation (or no memory at all) fails here; there is nothing to go on with.
  if (!impl_->context || EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr) != 1) std::abort();
}

void Sha256::update(std::span<const std::byte> bytes) {
  if (!bytes.empty() && EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) != 1) std::abort();
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_DigestFinal_ex(impl_->context, digest, &size) != 1) std::abort();
  return to_hex({digest, size});
}
#endif
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
void Sha256::update(std::string_view text) { update(as_bytes(text)); }

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}
std::string sha256_hex(std::string_view text) { return sha256_hex(as_bytes(text)); }

// Read in pieces, not mapped: hashing a large output must not count as memory in use.
Result<std::string> sha256_file(const std::string& path) {
  NPU_ASSIGN(const auto file, MappedFile::open(path));  // its errors, and the check for changes
  std::FILE* in = std::fopen(path.c_str(), "rb");
  if (!in) return Diag(diag::not_readable, "cannot open the file").in_file(path);
  Sha256 hash;
  std::vector<std::byte> piece(size_t{1} << 20);
  for (size_t n; (n = std::fread(piece.data(), 1, piece.size(), in)) > 0;) hash.update(std::span(piece).first(n));
  const bool failed = std::ferror(in) != 0;
  std::fclose(in);
  if (failed) return Diag(diag::not_readable, "cannot read the file").in_file(path);
  NPU_TRY(file->check_unchanged());
  return hash.hex();
}

}  // namespace npuport
