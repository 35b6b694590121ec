// Test double of MediaTek's libneuron_adapter.so: as much as loading a compiled network takes. Faults: client.h.
#include "client.h"
#include "runtime/neuron_abi.h"

using namespace npuport::neuron;

namespace {

constexpr int kUnexpectedNull = 3, kBadData = 4, kOpFailed = 5;
constexpr int32_t kHolderType = 70001, kOperationType = 70002;

struct Model {
  std::vector<int32_t> operands;
  int32_t holder = -1;
  const void* network = nullptr;  // not copied: larger values must live until finish
  size_t bytes = 0;
  std::vector<uint32_t> taken, given, inputs, outputs;
  bool operation = false, finished = false, suppress_input = false, suppress_output = false;
};
struct Compilation {
  Model* model = nullptr;
  standin::Worker worker;
  bool finished = false;
};
struct Execution {
  Compilation* compilation = nullptr;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  bool used = false;
};

Model* model(void* p) { return static_cast<Model*>(p); }
Compilation* compilation(void* p) { return static_cast<Compilation*>(p); }
Execution* execution(void* p) { return static_cast<Execution*>(p); }

size_t wanted_bytes(const standin::Io& io, bool suppressed) {
  return (suppressed ? standin::native(io).bytes : io.bytes) - static_cast<size_t>(standin::number("STANDIN_SHORT"));
}

}  // namespace

#define FAULT(name) \
  if (const int injected = standin::fault(name)) return injected

extern "C" {

int Neuron_getVersion(Version* v) {
  FAULT("Neuron_getVersion");
  standin::version(&v->major, &v->minor, &v->patch);
  return 0;
}
int NeuronModel_create(void** out) {
  FAULT("NeuronModel_create");
  *out = new Model;
  return 0;
}
void NeuronModel_free(void* p) { delete model(p); }
int NeuronModel_addOperand(void* p, const OperandType* type) {
  FAULT("NeuronModel_addOperand");
  if (!type) return kUnexpectedNull;
  if (type->type != kTensorFloat32 && type->type != kHolderType) return kBadData;
  model(p)->operands.push_back(type->type);
  return 0;
}
int NeuronModel_setOperandValue(void* p, int32_t index, const void* data, size_t bytes) {
  FAULT("NeuronModel_setOperandValue");
  Model* m = model(p);
  if (index < 0 || static_cast<size_t>(index) >= m->operands.size() ||
      m->operands[static_cast<size_t>(index)] != kHolderType)
    return kBadData;
  m->holder = index;
  m->network = data;
  m->bytes = bytes;
  return 0;
}
int NeuronModel_getExtensionOperandType(void* p, const char* name, uint16_t code, int32_t* type) {
  FAULT("NeuronModel_getExtensionOperandType");
  Version v{};
  standin::version(&v.major, &v.minor, &v.patch);
  if (!p || std::string(name) != kCompiledNetwork || code != (v.major < 8 ? 0x0100 : 0x0200)) return kBadData;
  *type = kHolderType;
  return 0;
}
int NeuronModel_getExtensionOperationType(void* p, const char* name, uint16_t code, int32_t* type) {
  FAULT("NeuronModel_getExtensionOperationType");
  if (!p || std::string(name) != kCompiledNetwork || code != 0) return kBadData;
  *type = kOperationType;
  return 0;
}
int NeuronModel_addOperation(void* p, int32_t type, uint32_t taken_count, const uint32_t* taken, uint32_t given_count,
                             const uint32_t* given) {
  FAULT("NeuronModel_addOperation");
  Model* m = model(p);
  if (type != kOperationType || taken_count < 1 || static_cast<int32_t>(taken[taken_count - 1]) != m->holder)
    return kBadData;
  m->taken.assign(taken, taken + taken_count - 1);
  m->given.assign(given, given + given_count);
  m->operation = true;
  return 0;
}
int NeuronModel_identifyInputsAndOutputs(void* p, uint32_t n, const uint32_t* in, uint32_t k, const uint32_t* out) {
  FAULT("NeuronModel_identifyInputsAndOutputs");
  model(p)->inputs.assign(in, in + n);
  model(p)->outputs.assign(out, out + k);
  return 0;
}
int NeuronModel_suppressInputConversion(void* p, bool on) {
  FAULT("NeuronModel_suppressInputConversion");
  model(p)->suppress_input = on;
  return 0;
}
int NeuronModel_suppressOutputConversion(void* p, bool on) {
  FAULT("NeuronModel_suppressOutputConversion");
  model(p)->suppress_output = on;
  return 0;
}
int NeuronModel_finish(void* p) {
  FAULT("NeuronModel_finish");
  Model* m = model(p);
  if (!m->operation || m->taken != m->inputs || m->given != m->outputs) return kBadData;
  m->finished = true;
  return 0;
}
int NeuronCompilation_create(void* m, void** out) {
  FAULT("NeuronCompilation_create");
  if (!model(m)->finished) return kAdapterBadState;
  auto* c = new Compilation;
  c->model = model(m);
  *out = c;
  return 0;
}
void NeuronCompilation_free(void* p) { delete compilation(p); }
int NeuronCompilation_setPreference(void* p, int32_t preference) {
  FAULT("NeuronCompilation_setPreference");
  return p && preference >= 0 && preference <= 3 ? 0 : kBadData;
}
int NeuronCompilation_finish(void* p) {
  FAULT("NeuronCompilation_finish");
  Compilation* c = compilation(p);
  std::string error;
  if (!c->worker.start(c->model->network, c->model->bytes, &error)) return kBadData;
  if (c->worker.inputs.size() != c->model->inputs.size() || c->worker.outputs.size() != c->model->outputs.size())
    return kBadData;
  c->finished = true;
  return 0;
}

#define SIZES(direction, list)                                                                          \
  int NeuronCompilation_get##direction##PaddedSize(void* p, int32_t i, size_t* size) {                  \
    FAULT("NeuronCompilation_get" #direction "PaddedSize");                                             \
    Compilation* c = compilation(p);                                                                    \
    if (!c->finished) return kAdapterBadState;                                                          \
    if (i < 0 || static_cast<size_t>(i) >= c->worker.list.size()) return kBadData;                      \
    *size = wanted_bytes(c->worker.list[static_cast<size_t>(i)], true);                                 \
    return 0;                                                                                           \
  }                                                                                                     \
  int NeuronCompilation_get##direction##PaddedDimensions(void* p, int32_t i, uint32_t* dims) {          \
    FAULT("NeuronCompilation_get" #direction "PaddedDimensions");                                       \
    Compilation* c = compilation(p);                                                                    \
    if (i < 0 || static_cast<size_t>(i) >= c->worker.list.size()) return kBadData;                      \
    std::memcpy(dims, standin::native(c->worker.list[static_cast<size_t>(i)]).sizes, 4 * sizeof *dims); \
    return 0;                                                                                           \
  }
SIZES(Input, inputs)
SIZES(Output, outputs)

int NeuronExecution_create(void* c, void** out) {
  FAULT("NeuronExecution_create");
  if (!compilation(c)->finished) return kAdapterBadState;
  auto* e = new Execution;
  e->compilation = compilation(c);
  e->inputs.resize(e->compilation->worker.inputs.size());
  e->outputs.resize(e->compilation->worker.outputs.size());
  *out = e;
  return 0;
}
void NeuronExecution_free(void* p) { delete execution(p); }
int NeuronExecution_setBoostHint(void* p, uint8_t boost) {
  FAULT("NeuronExecution_setBoostHint");
  return p && boost <= 100 ? 0 : kBadData;
}
int NeuronExecution_setInput(void* p, int32_t i, const OperandType*, const void* data, size_t bytes) {
  FAULT("NeuronExecution_setInput");
  Execution* e = execution(p);
  if (i < 0 || static_cast<size_t>(i) >= e->inputs.size()) return kBadData;
  const auto k = static_cast<size_t>(i);
  if (bytes != wanted_bytes(e->compilation->worker.inputs[k], e->compilation->model->suppress_input)) return kBadData;
  e->inputs[k] = data;
  return 0;
}
int NeuronExecution_setOutput(void* p, int32_t i, const OperandType*, void* data, size_t bytes) {
  FAULT("NeuronExecution_setOutput");
  Execution* e = execution(p);
  if (i < 0 || static_cast<size_t>(i) >= e->outputs.size()) return kBadData;
  const auto k = static_cast<size_t>(i);
  constexpr int insufficient = 9;
  if (bytes < wanted_bytes(e->compilation->worker.outputs[k], e->compilation->model->suppress_output))
    return insufficient;
  e->outputs[k] = data;
  return 0;
}
int NeuronExecution_compute(void* p) {
  FAULT("NeuronExecution_compute");
  Execution* e = execution(p);
  if (e->used && !standin::env("STANDIN_ONCE").empty()) return kAdapterBadState;
  e->used = true;
  const Model& m = *e->compilation->model;
  return standin::run(e->compilation->worker, e->inputs, e->outputs, m.suppress_input, m.suppress_output) ? 0
                                                                                                          : kOpFailed;
}

}  // extern "C"
