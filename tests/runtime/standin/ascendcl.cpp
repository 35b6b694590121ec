// Test double of Huawei's libascendcl.so: one synchronous run of a model by the documented functions. Faults: client.h;
// STANDIN_OUTPUT_HALF: f32 outputs are reported and given as float16, as atc compiles them by default.
#include <map>
#include <memory>
#include <set>

#include "client.h"
#include "runtime/ascend_abi.h"

using npuport::ascend::IoDims;

namespace {

constexpr int kParameter = 100000, kUninitialised = 100001, kTwice = 100002, kParse = 100012, kInput = 100017,
              kOutput = 100018, kDevice = 107001, kNoContext = 107002, kFailed = 507011;

bool initialised = false;
std::string message;
std::map<uint32_t, std::unique_ptr<standin::Worker>> models;
uint32_t next_id = 1;
std::set<void*> contexts, memory;
thread_local void* current = nullptr;

struct Buffer {
  void* data;
  size_t bytes;
};
using Dataset = std::vector<Buffer*>;
struct Desc {
  standin::Worker* worker = nullptr;
};

bool half(const standin::Io& io, bool output) {
  return output && io.dtype == 3 && !standin::env("STANDIN_OUTPUT_HALF").empty();
}

const standin::Io* io_of(const void* desc, size_t i, bool output) {
  const auto* w = static_cast<const Desc*>(desc)->worker;
  const auto& list = output ? w->outputs : w->inputs;
  return i < list.size() ? &list[i] : nullptr;
}
size_t bytes_of(const void* desc, size_t i, bool output) {
  const standin::Io* io = io_of(desc, i, output);
  return io ? io->bytes / (half(*io, output) ? 2 : 1) - static_cast<size_t>(standin::number("STANDIN_SHORT")) : 0;
}
int type_of(const void* desc, size_t i, bool output) {
  //                            ?  f16 b16 f32 f64 i4  u4 i8 u8 i16 u16 i32 u32 i64 u64 bool
  static constexpr int types[] = {-1, 1, 27, 0, 11, -1, -1, 2, 4, 6, 7, 3, 8, 9, 10, 12};
  const standin::Io* io = io_of(desc, i, output);
  return !io ? -1 : half(*io, output) ? 1 : types[io->dtype % 16];
}
int dims_of(const void* desc, size_t i, IoDims* out, bool output) {
  const standin::Io* io = io_of(desc, i, output);
  if (!io) return kParameter;
  std::snprintf(out->name, sizeof out->name, "%s", io->name.c_str());
  out->rank = io->shape.size();
  for (size_t d = 0; d < io->shape.size(); ++d) out->sizes[d] = io->shape[d];
  return 0;
}

int loaded(std::unique_ptr<standin::Worker> w, bool ok, const std::string& error, uint32_t* id) {
  if (!ok) {
    message = error;
    return kParse;
  }
  *id = next_id++;
  models[*id] = std::move(w);
  return 0;
}

}  // namespace

#define FAULT(name)                                \
  if (const int injected = standin::fault(name)) { \
    message = std::string("E29999 in ") + name;    \
    return injected;                               \
  }

extern "C" {

int aclInit(const char*) {
  FAULT("aclInit");
  if (initialised) return kTwice;
  initialised = true;
  return 0;
}
const char* aclGetRecentErrMsg() { return message.c_str(); }
int aclrtGetVersion(int32_t* major, int32_t* minor, int32_t* patch) {
  uint8_t a, b, c;
  standin::version(&a, &b, &c);
  *major = a, *minor = b, *patch = c;
  return 0;
}
int aclrtSetDevice(int32_t device) {
  FAULT("aclrtSetDevice");
  if (!initialised) return kUninitialised;
  return device == 0 ? 0 : kDevice;
}
int aclrtResetDevice(int32_t) { return 0; }
int aclrtCreateContext(void** out, int32_t) {
  FAULT("aclrtCreateContext");
  *out = new char;
  contexts.insert(*out);
  current = *out;
  return 0;
}
int aclrtDestroyContext(void* c) {
  if (contexts.erase(c) == 0) return kNoContext;
  delete static_cast<char*>(c);
  return 0;
}
int aclrtSetCurrentContext(void* c) {
  FAULT("aclrtSetCurrentContext");
  if (!contexts.contains(c)) return kNoContext;
  current = c;
  return 0;
}
int aclrtMalloc(void** out, size_t bytes, int) {
  FAULT("aclrtMalloc");
  *out = std::malloc(bytes);
  memory.insert(*out);
  return 0;
}
int aclrtFree(void* p) {
  if (memory.erase(p) == 0) return kParameter;
  std::free(p);
  return 0;
}
int aclrtMemcpy(void* to, size_t capacity, const void* from, size_t bytes, int kind) {
  FAULT("aclrtMemcpy");
  if (!current) return kNoContext;
  if (bytes > capacity || (kind != 1 && kind != 2)) return kParameter;
  std::memcpy(to, from, bytes);
  return 0;
}
int aclmdlLoadFromFile(const char* path, uint32_t* id) {
  FAULT("aclmdlLoadFromFile");
  if (!current) return kNoContext;
  auto w = std::make_unique<standin::Worker>();
  std::string error;
  const bool ok = w->start(path, &error);
  return loaded(std::move(w), ok, error, id);
}
int aclmdlLoadFromMem(const void* data, size_t bytes, uint32_t* id) {
  FAULT("aclmdlLoadFromMem");
  auto w = std::make_unique<standin::Worker>();
  std::string error;
  const bool ok = w->start(data, bytes, &error);
  return loaded(std::move(w), ok, error, id);
}
int aclmdlUnload(uint32_t id) { return models.erase(id) == 1 ? 0 : kParameter; }
void* aclmdlCreateDesc() { return new Desc; }
int aclmdlDestroyDesc(void* d) {
  delete static_cast<Desc*>(d);
  return 0;
}
int aclmdlGetDesc(void* d, uint32_t id) {
  FAULT("aclmdlGetDesc");
  if (!models.contains(id)) return kParameter;
  static_cast<Desc*>(d)->worker = models[id].get();
  return 0;
}
size_t aclmdlGetNumInputs(void* d) { return static_cast<Desc*>(d)->worker->inputs.size(); }
size_t aclmdlGetNumOutputs(void* d) { return static_cast<Desc*>(d)->worker->outputs.size(); }
size_t aclmdlGetInputSizeByIndex(void* d, size_t i) { return bytes_of(d, i, false); }
size_t aclmdlGetOutputSizeByIndex(void* d, size_t i) { return bytes_of(d, i, true); }
int aclmdlGetInputDims(const void* d, size_t i, IoDims* out) { return dims_of(d, i, out, false); }
int aclmdlGetOutputDims(const void* d, size_t i, IoDims* out) { return dims_of(d, i, out, true); }
const char* aclmdlGetInputNameByIndex(const void* d, size_t i) { return io_of(d, i, false)->name.c_str(); }
const char* aclmdlGetOutputNameByIndex(const void* d, size_t i) { return io_of(d, i, true)->name.c_str(); }
int aclmdlGetInputDataType(const void* d, size_t i) { return type_of(d, i, false); }
int aclmdlGetOutputDataType(const void* d, size_t i) { return type_of(d, i, true); }
int aclmdlGetInputFormat(const void*, size_t) { return 0; }
int aclmdlGetOutputFormat(const void*, size_t) { return 0; }
void* aclmdlCreateDataset() { return new Dataset; }
int aclmdlDestroyDataset(const void* d) {
  delete static_cast<const Dataset*>(d);
  return 0;
}
void* aclCreateDataBuffer(void* data, size_t bytes) { return new Buffer{data, bytes}; }
int aclDestroyDataBuffer(const void* b) {
  delete static_cast<const Buffer*>(b);
  return 0;
}
int aclmdlAddDatasetBuffer(void* d, void* b) {
  FAULT("aclmdlAddDatasetBuffer");
  static_cast<Dataset*>(d)->push_back(static_cast<Buffer*>(b));
  return 0;
}
// Left out of the library of a broken installation, by a compile option.
#ifndef STANDIN_LACKS_EXECUTE
int aclmdlExecute(uint32_t id, const void* in_set, void* out_set) {
  FAULT("aclmdlExecute");
  if (!current) return kNoContext;
  if (!models.contains(id)) return kParameter;
  standin::Worker& w = *models[id];
  const auto& in = *static_cast<const Dataset*>(in_set);
  const auto& out = *static_cast<const Dataset*>(out_set);
  if (in.size() != w.inputs.size()) return kInput;
  if (out.size() != w.outputs.size()) return kOutput;
  std::vector<const void*> from;
  std::vector<std::vector<std::byte>> hold(out.size());
  std::vector<void*> to;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!memory.contains(in[i]->data) || in[i]->bytes < w.inputs[i].bytes) return kInput;
    from.push_back(in[i]->data);
  }
  for (size_t i = 0; i < out.size(); ++i) {
    hold[i].resize(w.outputs[i].bytes);
    to.push_back(hold[i].data());
  }
  if (!w.run(from, to)) return kFailed;
  for (size_t i = 0; i < out.size(); ++i) {
    if (!half(w.outputs[i], true)) {
      std::memcpy(out[i]->data, hold[i].data(), hold[i].size());
      continue;
    }
    const auto* f = reinterpret_cast<const float*>(hold[i].data());
    for (size_t k = 0; k < hold[i].size() / 4; ++k) static_cast<uint16_t*>(out[i]->data)[k] = standin::to_half(f[k]);
  }
  return 0;
}
#endif

}  // extern "C"
