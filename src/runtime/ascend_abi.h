// The part of AscendCL's C interface the runtime uses (acl/acl.h, acl/acl_mdl.h). Shared by the backend and the test
// double.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace npuport::ascend {

struct IoDims {
  char name[128];
  size_t rank;
  int64_t sizes[128];
};

inline constexpr int kMallocHugeFirst = 0;
inline constexpr int kHostToDevice = 1, kDeviceToHost = 2;
inline constexpr int kAlreadyInitialised = 100002;
// aclrtRunMode: on a device's own processor, device memory is the host's.
inline constexpr int kRunModeDevice = 0;

// aclFormat
inline constexpr int kFormatNchw = 0, kFormatNhwc = 1;

struct Api {
  int (*init)(const char*);
  const char* (*recent_error)();
  int (*version)(int32_t*, int32_t*, int32_t*);
  int (*set_device)(int32_t);
  int (*reset_device)(int32_t);
  int (*create_context)(void**, int32_t);
  int (*destroy_context)(void*);
  int (*set_context)(void*);
  int (*malloc)(void**, size_t, int);
  int (*free)(void*);
  int (*memcpy)(void*, size_t, const void*, size_t, int);
  int (*load_file)(const char*, uint32_t*);
  int (*load_memory)(const void*, size_t, uint32_t*);
  int (*unload)(uint32_t);
  void* (*create_desc)();
  int (*destroy_desc)(void*);
  int (*get_desc)(void*, uint32_t);
  size_t (*num_inputs)(void*);
  size_t (*num_outputs)(void*);
  size_t (*input_size)(void*, size_t);
  size_t (*output_size)(void*, size_t);
  int (*input_dims)(const void*, size_t, IoDims*);
  int (*output_dims)(const void*, size_t, IoDims*);
  const char* (*input_name)(const void*, size_t);
  const char* (*output_name)(const void*, size_t);
  int (*input_type)(const void*, size_t);
  int (*output_type)(const void*, size_t);
  int (*input_format)(const void*, size_t);
  int (*output_format)(const void*, size_t);
  void* (*create_dataset)();
  int (*destroy_dataset)(const void*);
  int (*add_buffer)(void*, void*);
  void* (*create_buffer)(void*, size_t);
  int (*destroy_buffer)(const void*);
  int (*execute)(uint32_t, const void*, void*);
};

// "507008: SoC version mismatch" …
std::string result_text(int code);
// What to do about it; "" where only the code is known.
std::string result_hint(int code);

}  // namespace npuport::ascend
