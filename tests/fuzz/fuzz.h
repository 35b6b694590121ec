// What every fuzz target shares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

// One input; must return 0 whatever the bytes are. libFuzzer and run_seeds.cpp call it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace npuport::fuzz {

inline std::span<const std::byte> bytes(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}
inline std::string text(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

}  // namespace npuport::fuzz
