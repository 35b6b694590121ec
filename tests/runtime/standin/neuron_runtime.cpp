// Test double of MediaTek's libneuron_runtime.so: Runtime V1 and V2 by the documented functions. Faults: client.h.
#include "client.h"
#include "runtime/neuron_abi.h"

using namespace npuport::neuron;

namespace {

constexpr int kUnexpectedNull = 3, kBadData = 4, kBadState = 5, kRuntimeError = 6;

struct Runtime {
  EnvOptions env{};
  standin::Worker worker;
  bool loaded = false;
  // V1 takes the data when it is set.
  std::vector<std::vector<std::byte>> inputs;
  std::vector<void*> outputs;
};

Runtime* get(void* p) { return static_cast<Runtime*>(p); }

int load_result(Runtime* r, bool ok) {
  if (!ok) return kBadData;
  r->loaded = true;
  r->inputs.resize(r->worker.inputs.size());
  r->outputs.resize(r->worker.outputs.size());
  return 0;
}

int size_of(void* p, uint64_t h, size_t* size, bool input, bool padded) {
  if (!p || !size) return kUnexpectedNull;
  const auto& list = input ? get(p)->worker.inputs : get(p)->worker.outputs;
  if (h >= list.size()) return kBadData;
  *size = padded ? standin::native(list[h]).bytes : list[h].bytes;
  *size -= static_cast<size_t>(standin::number("STANDIN_SHORT"));
  return 0;
}

int dims_of(void* p, uint64_t h, Dimensions* d, bool input) {
  if (!p || !d) return kUnexpectedNull;
  const auto& list = input ? get(p)->worker.inputs : get(p)->worker.outputs;
  if (h >= list.size()) return kBadData;
  std::memcpy(d->sizes, standin::native(list[h]).sizes, sizeof d->sizes);
  return 0;
}

}  // namespace

#define FAULT(name) \
  if (const int injected = standin::fault(name)) return injected

extern "C" {

int NeuronRuntime_getVersion(Version* v) {
  FAULT("NeuronRuntime_getVersion");
  standin::version(&v->major, &v->minor, &v->patch);
  return 0;
}
int NeuronRuntime_create(const EnvOptions* env, void** out) {
  FAULT("NeuronRuntime_create");
  if (!env || !out) return kUnexpectedNull;
  auto* r = new Runtime;
  r->env = *env;
  *out = r;
  return 0;
}
int NeuronRuntime_loadNetworkFromFile(void* p, const char* path) {
  FAULT("NeuronRuntime_loadNetworkFromFile");
  std::string error;
  return load_result(get(p), get(p)->worker.start(path, &error));
}
int NeuronRuntime_loadNetworkFromBuffer(void* p, const void* data, size_t bytes) {
  FAULT("NeuronRuntime_loadNetworkFromBuffer");
  std::string error;
  return load_result(get(p), get(p)->worker.start(data, bytes, &error));
}
int NeuronRuntime_setInput(void* p, uint64_t h, const void* data, size_t bytes, BufferAttribute attribute) {
  FAULT("NeuronRuntime_setInput");
  Runtime* r = get(p);
  if (!r->loaded) return kBadState;
  size_t wanted = 0;
  if (const int e = size_of(p, h, &wanted, true, r->env.suppress_input)) return e;
  if (!data || attribute.ion_fd != -1 || bytes != wanted) return kBadData;
  r->inputs[h].assign(static_cast<const std::byte*>(data), static_cast<const std::byte*>(data) + bytes);
  return 0;
}
int NeuronRuntime_setOutput(void* p, uint64_t h, void* data, size_t bytes, BufferAttribute attribute) {
  FAULT("NeuronRuntime_setOutput");
  Runtime* r = get(p);
  if (!r->loaded) return kBadState;
  size_t wanted = 0;
  if (const int e = size_of(p, h, &wanted, false, r->env.suppress_output)) return e;
  if (!data || attribute.ion_fd != -1 || bytes != wanted) return kBadData;
  r->outputs[h] = data;
  return 0;
}
int NeuronRuntime_setQoSOption(void* p, const QosOptions* q) {
  FAULT("NeuronRuntime_setQoSOption");
  return p && q && q->boost <= 101 && q->preference >= 0 && q->preference <= 2 ? 0 : kBadData;
}
int NeuronRuntime_inference(void* p) {
  FAULT("NeuronRuntime_inference");
  Runtime* r = get(p);
  std::vector<const void*> in;
  for (const auto& i : r->inputs) {
    if (i.empty()) return kBadState;
    in.push_back(i.data());
  }
  for (void* o : r->outputs)
    if (!o) return kBadState;
  return standin::run(r->worker, in, r->outputs, r->env.suppress_input, r->env.suppress_output) ? 0 : kRuntimeError;
}
void NeuronRuntime_release(void* p) { delete get(p); }

#define SIZES(prefix)                                                                                          \
  int prefix##_getInputSize(void* p, uint64_t h, size_t* s) { return size_of(p, h, s, true, false); }          \
  int prefix##_getOutputSize(void* p, uint64_t h, size_t* s) { return size_of(p, h, s, false, false); }        \
  int prefix##_getInputPaddedSize(void* p, uint64_t h, size_t* s) { return size_of(p, h, s, true, true); }     \
  int prefix##_getOutputPaddedSize(void* p, uint64_t h, size_t* s) { return size_of(p, h, s, false, true); }   \
  int prefix##_getInputPaddedDimensions(void* p, uint64_t h, Dimensions* d) { return dims_of(p, h, d, true); } \
  int prefix##_getOutputPaddedDimensions(void* p, uint64_t h, Dimensions* d) { return dims_of(p, h, d, false); }
SIZES(NeuronRuntime)

// STANDIN_V1_ONLY is a compile option: the library of an old release.
#ifndef STANDIN_V1_ONLY
SIZES(NeuronRuntimeV2)

int NeuronRuntimeV2_create(const char* path, size_t threads, void** out, size_t backlog) {
  FAULT("NeuronRuntimeV2_create");
  if (!path || !out || threads == 0 || backlog == 0) return kUnexpectedNull;
  auto* r = new Runtime;
  std::string error;
  if (!r->worker.start(path, &error)) {
    delete r;
    return kBadData;
  }
  *out = r;
  return load_result(r, true);
}
int NeuronRuntimeV2_createFromBuffer(const void* data, size_t bytes, size_t threads, void** out, size_t backlog) {
  FAULT("NeuronRuntimeV2_createFromBuffer");
  if (!data || !out || threads == 0 || backlog == 0) return kUnexpectedNull;
  auto* r = new Runtime;
  std::string error;
  if (!r->worker.start(data, bytes, &error)) {
    delete r;
    return kBadData;
  }
  *out = r;
  return load_result(r, true);
}
int NeuronRuntimeV2_setQoSOption(void* p, const QosOptions* q) { return NeuronRuntime_setQoSOption(p, q); }
int NeuronRuntimeV2_getInputNumber(void* p, size_t* n) {
  FAULT("NeuronRuntimeV2_getInputNumber");
  *n = get(p)->worker.inputs.size();
  return 0;
}
int NeuronRuntimeV2_getOutputNumber(void* p, size_t* n) {
  *n = get(p)->worker.outputs.size();
  return 0;
}
int NeuronRuntimeV2_run(void* p, SyncRequest request) {
  FAULT("NeuronRuntimeV2_run");
  Runtime* r = get(p);
  std::vector<const void*> in;
  std::vector<void*> out;
  for (size_t i = 0; i < r->worker.inputs.size(); ++i) {
    if (request.inputs[i].fd != -1 || request.inputs[i].length != r->worker.inputs[i].bytes) return kBadData;
    in.push_back(request.inputs[i].buffer);
  }
  for (size_t i = 0; i < r->worker.outputs.size(); ++i) {
    if (request.outputs[i].fd != -1 || request.outputs[i].length != r->worker.outputs[i].bytes) return kBadData;
    out.push_back(request.outputs[i].buffer);
  }
  return standin::run(r->worker, in, out, false, false) ? 0 : kRuntimeError;
}
void NeuronRuntimeV2_release(void* p) { delete get(p); }
#endif

}  // extern "C"
