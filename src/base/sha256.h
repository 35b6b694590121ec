// SHA-256 (FIPS 180-4) without a library: for device builds, which have no OpenSSL. Others use base/hash.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace npuport {

class OwnSha256 {
 public:
  void update(std::span<const std::byte> bytes);
  // Of everything so far; ends the object's life.
  std::array<unsigned char, 32> digest();

 private:
  void block(const std::byte* data);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};
  size_t filled_ = 0;
  uint64_t total_ = 0;  // bytes
};

}  // namespace npuport
