// MediaTek's binary interfaces, as its headers declare them: Neuron Runtime V1 and V2 (RuntimeAPI.h, RuntimeV2.h,
// Types.h) and Neuron Adapter (NeuronAdapter.h). Shared by the backend and the test doubles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace npuport::neuron {

// ---- Neuron Runtime -------------------------------------------------------------------------------------------------

struct EnvOptions {
  uint32_t device_kind;  // bit 0 null device, bit 2 hardware, bit 3 predictor
  int mdla_core_mode;    // 0 automatic, 1 single, 2 dual
  uint8_t cpu_threads;
  bool suppress_input, suppress_output;
};
inline constexpr uint32_t kHardware = 1U << 2;

struct BufferAttribute {
  int ion_fd;  // -1: plain memory
};
struct Dimensions {
  uint32_t sizes[4];  // N, H, W, C
};
struct Version {
  uint8_t major, minor, patch;
};
struct QosOptions {
  int preference;  // 0 performance, 1 power, 2 turbo
  int priority;    // 0 low, 1 medium, 2 high
  uint8_t boost, max_boost, min_boost;
  uint16_t deadline, abort_time;
  int32_t delayed_power_off;
  int power_policy, application_type;
  void* profiled;
};
struct IoBuffer {
  void* buffer;
  size_t length;
  int fd, offset;
  uint64_t reserved[2];
};
struct SyncRequest {
  IoBuffer *inputs, *outputs;
};

struct RuntimeV1 {
  int (*create)(const EnvOptions*, void**);
  int (*load_file)(void*, const char*);
  int (*load_buffer)(void*, const void*, size_t);
  int (*set_input)(void*, uint64_t, const void*, size_t, BufferAttribute);
  int (*set_output)(void*, uint64_t, void*, size_t, BufferAttribute);
  int (*set_qos)(void*, const QosOptions*);
  int (*inference)(void*);
  void (*release)(void*);
};
struct RuntimeV2 {
  int (*create)(const char*, size_t threads, void**, size_t backlog);
  int (*create_buffer)(const void*, size_t, size_t threads, void**, size_t backlog);
  int (*set_qos)(void*, const QosOptions*);
  int (*run)(void*, SyncRequest);
  int (*num_inputs)(void*, size_t*);
  int (*num_outputs)(void*, size_t*);
  void (*release)(void*);
};
// Questions both versions answer, for one direction.
struct RuntimeSizes {
  int (*size)(void*, uint64_t, size_t*);
  int (*padded_size)(void*, uint64_t, size_t*);
  int (*padded_dims)(void*, uint64_t, Dimensions*);
};

// ---- Neuron Adapter -------------------------------------------------------------------------------------------------

struct OperandType {
  int32_t type;
  uint32_t rank;
  const uint32_t* dims;
  float scale;
  int32_t zero_point;
};
inline constexpr int32_t kTensorFloat32 = 3;
// A compiled network is one operation of this extension: it takes the model's inputs and an operand holding the .dla.
inline constexpr const char* kCompiledNetwork = "com.mediatek.compiled_network";
inline constexpr uint16_t kNetworkOperandBefore8 = 0x0100;
inline constexpr uint16_t kNetworkOperandSince8 = 0x0200;
inline constexpr uint16_t kNetworkOperation = 0;

struct Adapter {
  int (*version)(Version*);
  int (*model_create)(void**);
  void (*model_free)(void*);
  int (*model_finish)(void*);
  int (*add_operand)(void*, const OperandType*);
  int (*set_operand)(void*, int32_t, const void*, size_t);
  int (*add_operation)(void*, int32_t, uint32_t, const uint32_t*, uint32_t, const uint32_t*);
  int (*identify)(void*, uint32_t, const uint32_t*, uint32_t, const uint32_t*);
  int (*operand_type)(void*, const char*, uint16_t, int32_t*);
  int (*operation_type)(void*, const char*, uint16_t, int32_t*);
  int (*suppress_input)(void*, bool);
  int (*suppress_output)(void*, bool);
  int (*compilation_create)(void*, void**);
  void (*compilation_free)(void*);
  int (*compilation_finish)(void*);
  int (*set_preference)(void*, int32_t);
  int (*input_padded_size)(void*, int32_t, size_t*);
  int (*output_padded_size)(void*, int32_t, size_t*);
  int (*input_padded_dims)(void*, int32_t, uint32_t*);
  int (*output_padded_dims)(void*, int32_t, uint32_t*);
  int (*execution_create)(void*, void**);
  void (*execution_free)(void*);
  int (*set_input)(void*, int32_t, const OperandType*, const void*, size_t);
  int (*set_output)(void*, int32_t, const OperandType*, void*, size_t);
  int (*boost)(void*, uint8_t);
  int (*compute)(void*);
};

// "UNEXPECTED_NULL (3)" …
std::string runtime_result(int code);
std::string adapter_result(int code);
inline constexpr int kAdapterBadState = 7;

}  // namespace npuport::neuron
