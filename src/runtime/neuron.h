// Backend "neuron", inside: one library behind one interface, whichever of MediaTek's three it offers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/backend.h"
#include "runtime/dynamic_library.h"
#include "runtime/neuron_abi.h"

namespace npuport::neuron {

struct Settings {
  bool suppress_input = false, suppress_output = false;
  std::optional<int> boost;       // 0…100
  std::optional<int> preference;  // 0 performance, 1 power, 2 turbo
  size_t inputs = 0, outputs = 0;
};

// What the library says of one buffer. `padded` is empty unless conversion is suppressed.
struct NativeIo {
  size_t bytes = 0;
  std::vector<int64_t> padded;  // four sizes
};

// A loaded .dla. Calls come from one thread at a time.
class Network {
 public:
  virtual ~Network() = default;
  virtual Result<NativeIo> input(size_t i) = 0;
  virtual Result<NativeIo> output(size_t i) = 0;
  // Runs on buffers of exactly the native sizes, the same ones in every call.
  virtual Status run(std::span<const std::span<std::byte>> inputs, std::span<const std::span<std::byte>> outputs) = 0;
};

using Library = std::shared_ptr<runtime::DynamicLibrary>;
// Load a .dla by one of the interfaces; tool_missing when the library lacks functions, device_failed with the
// library's code otherwise.
Result<std::unique_ptr<Network>> load_v1(const Library& l, const runtime::ModelSource& source, const Settings& s);
Result<std::unique_ptr<Network>> load_v2(const Library& l, const runtime::ModelSource& source, const Settings& s);
Result<std::unique_ptr<Network>> load_adapter(const Library& l, const runtime::ModelSource& source, const Settings& s);

// "8.0.10", or "" where the library has no such function.
std::string library_version(const runtime::DynamicLibrary& l);

inline constexpr const char* kInstall =
    "install MediaTek's NeuroPilot runtime on the device (Genio: package libneuron; phones: part of the system image), "
    "or name the library by option library or NPUPORT_NEURON_LIBRARY";

// A call that returned something else than 0.
Diag failed(const char* function, const std::string& result, const std::string& file, std::string hint = {});

}  // namespace npuport::neuron
