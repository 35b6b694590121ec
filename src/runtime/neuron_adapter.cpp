// A .dla through Neuron Adapter: a model of one extension operation whose last operand is the compiled network.
#include "base/diag_codes.h"
#include "base/mapped_file.h"
#include "runtime/neuron.h"

namespace npuport::neuron {

std::string adapter_result(int code) {
  static constexpr const char* names[] = {"NO_ERROR",
                                          "OUT_OF_MEMORY",
                                          "INCOMPLETE",
                                          "UNEXPECTED_NULL",
                                          "BAD_DATA",
                                          "OP_FAILED",
                                          "UNMAPPABLE: no execution plan",
                                          "BAD_STATE",
                                          "BAD_VERSION",
                                          "OUTPUT_INSUFFICIENT_SIZE",
                                          "UNAVAILABLE_DEVICE",
                                          "MISSED_DEADLINE_TRANSIENT",
                                          "MISSED_DEADLINE_PERSISTENT",
                                          "RESOURCE_EXHAUSTED_TRANSIENT",
                                          "RESOURCE_EXHAUSTED_PERSISTENT",
                                          "DEAD_OBJECT"};
  const bool known = code >= 0 && code < static_cast<int>(std::size(names));
  return std::string(known ? names[code] : "unknown result") + " (" + std::to_string(code) + ")";
}

namespace {

class AdapterNetwork : public Network {
 public:
  AdapterNetwork(Library l, std::string file, const Settings& s)
      : library_(std::move(l)), file_(std::move(file)), settings_(s) {}
  ~AdapterNetwork() override {
    if (execution_) api_.execution_free(execution_);
    if (compilation_) api_.compilation_free(compilation_);
    if (model_) api_.model_free(model_);
  }

  Status load(const runtime::ModelSource& source) {
    resolve();
    NPU_TRY(library_->complete(kInstall));
    std::span<const std::byte> bytes = source.bytes;
    if (!source.path.empty()) {
      NPU_ASSIGN(mapped_, MappedFile::open(source.path));
      bytes = mapped_->bytes();
    }
    NPU_TRY(build(bytes));
    NPU_TRY(check(api_.compilation_create(model_, &compilation_), "NeuronCompilation_create"));
    // NEURON_PREFER_…: 0 low power, 1 fast single answer, 2 sustained speed, 3 turbo boost; ours: 0 performance, 1
    // power, 2 turbo.
    constexpr int32_t preferences[] = {1, 0, 3};
    if (settings_.preference)
      NPU_TRY(check(api_.set_preference(compilation_, preferences[*settings_.preference]),
                    "NeuronCompilation_setPreference"));
    if (const int e = api_.compilation_finish(compilation_)) {
      const std::string version = library_version(*library_);
      return failed("NeuronCompilation_finish", adapter_result(e), file_,
                    "a .dla runs only on the runtime of the same major version" +
                        (version.empty() ? std::string() : " (this one is " + version + ")") +
                        " and on the chip it was compiled for");
    }
    return create_execution();
  }

  Result<NativeIo> input(size_t i) override {
    return ask(i, api_.input_padded_size, api_.input_padded_dims, settings_.suppress_input);
  }
  Result<NativeIo> output(size_t i) override {
    return ask(i, api_.output_padded_size, api_.output_padded_dims, settings_.suppress_output);
  }

  Status run(std::span<const std::span<std::byte>> inputs, std::span<const std::span<std::byte>> outputs) override {
    NPU_TRY(bind(inputs, outputs));
    int e = api_.compute(execution_);
    if (e == kAdapterBadState && used_) {
      // Some releases allow one computation per execution.
      api_.execution_free(execution_);
      execution_ = nullptr;
      NPU_TRY(create_execution());
      NPU_TRY(bind(inputs, outputs));
      e = api_.compute(execution_);
    }
    used_ = true;
    return check(e, "NeuronExecution_compute");
  }

 private:
  void resolve() {
    runtime::DynamicLibrary& l = *library_;
    l.need(api_.version, "Neuron_getVersion");
    l.need(api_.model_create, "NeuronModel_create");
    l.need(api_.model_free, "NeuronModel_free");
    l.need(api_.model_finish, "NeuronModel_finish");
    l.need(api_.add_operand, "NeuronModel_addOperand");
    l.need(api_.set_operand, "NeuronModel_setOperandValue");
    l.need(api_.add_operation, "NeuronModel_addOperation");
    l.need(api_.identify, "NeuronModel_identifyInputsAndOutputs");
    l.need(api_.operand_type, "NeuronModel_getExtensionOperandType");
    l.need(api_.operation_type, "NeuronModel_getExtensionOperationType");
    l.need(api_.suppress_input, "NeuronModel_suppressInputConversion");
    l.need(api_.suppress_output, "NeuronModel_suppressOutputConversion");
    l.need(api_.compilation_create, "NeuronCompilation_create");
    l.need(api_.compilation_free, "NeuronCompilation_free");
    l.need(api_.compilation_finish, "NeuronCompilation_finish");
    l.need(api_.set_preference, "NeuronCompilation_setPreference");
    l.need(api_.input_padded_size, "NeuronCompilation_getInputPaddedSize");
    l.need(api_.output_padded_size, "NeuronCompilation_getOutputPaddedSize");
    l.need(api_.input_padded_dims, "NeuronCompilation_getInputPaddedDimensions");
    l.need(api_.output_padded_dims, "NeuronCompilation_getOutputPaddedDimensions");
    l.need(api_.execution_create, "NeuronExecution_create");
    l.need(api_.execution_free, "NeuronExecution_free");
    l.need(api_.set_input, "NeuronExecution_setInput");
    l.need(api_.set_output, "NeuronExecution_setOutput");
    l.need(api_.boost, "NeuronExecution_setBoostHint");
    l.need(api_.compute, "NeuronExecution_compute");
  }

  Status check(int code, const char* function) const {
    return code == 0 ? Status() : Status(failed(function, adapter_result(code), file_));
  }

  // Operands: the inputs, the network, the outputs. Their shapes are in the network; the declarations carry none.
  Status build(std::span<const std::byte> network) {
    NPU_TRY(check(api_.model_create(&model_), "NeuronModel_create"));
    Version v{};
    NPU_TRY(check(api_.version(&v), "Neuron_getVersion"));
    const OperandType plain{kTensorFloat32, 0, nullptr, 0.0F, 0};
    OperandType holder{0, 0, nullptr, 0.0F, 0};
    NPU_TRY(check(api_.operand_type(model_, kCompiledNetwork,
                                    v.major < 8 ? kNetworkOperandBefore8 : kNetworkOperandSince8, &holder.type),
                  "NeuronModel_getExtensionOperandType"));
    std::vector<uint32_t> in, out;
    uint32_t next = 0;
    for (size_t i = 0; i < settings_.inputs; ++i, in.push_back(next++))
      NPU_TRY(check(api_.add_operand(model_, &plain), "NeuronModel_addOperand"));
    const uint32_t holder_index = next++;
    NPU_TRY(check(api_.add_operand(model_, &holder), "NeuronModel_addOperand"));
    for (size_t i = 0; i < settings_.outputs; ++i, out.push_back(next++))
      NPU_TRY(check(api_.add_operand(model_, &plain), "NeuronModel_addOperand"));
    NPU_TRY(check(api_.set_operand(model_, static_cast<int32_t>(holder_index), network.data(), network.size()),
                  "NeuronModel_setOperandValue"));
    int32_t operation = 0;
    NPU_TRY(check(api_.operation_type(model_, kCompiledNetwork, kNetworkOperation, &operation),
                  "NeuronModel_getExtensionOperationType"));
    std::vector<uint32_t> taken = in;
    taken.push_back(holder_index);
    NPU_TRY(check(api_.add_operation(model_, operation, static_cast<uint32_t>(taken.size()), taken.data(),
                                     static_cast<uint32_t>(out.size()), out.data()),
                  "NeuronModel_addOperation"));
    NPU_TRY(check(api_.identify(model_, static_cast<uint32_t>(in.size()), in.data(), static_cast<uint32_t>(out.size()),
                                out.data()),
                  "NeuronModel_identifyInputsAndOutputs"));
    if (settings_.suppress_input)
      NPU_TRY(check(api_.suppress_input(model_, true), "NeuronModel_suppressInputConversion"));
    if (settings_.suppress_output)
      NPU_TRY(check(api_.suppress_output(model_, true), "NeuronModel_suppressOutputConversion"));
    return check(api_.model_finish(model_), "NeuronModel_finish");
  }

  Status create_execution() {
    NPU_TRY(check(api_.execution_create(compilation_, &execution_), "NeuronExecution_create"));
    used_ = false;
    if (!settings_.boost) return {};
    return check(api_.boost(execution_, static_cast<uint8_t>(*settings_.boost)), "NeuronExecution_setBoostHint");
  }

  Status bind(std::span<const std::span<std::byte>> inputs, std::span<const std::span<std::byte>> outputs) {
    for (size_t i = 0; i < inputs.size(); ++i)
      NPU_TRY(check(api_.set_input(execution_, static_cast<int32_t>(i), nullptr, inputs[i].data(), inputs[i].size()),
                    "NeuronExecution_setInput"));
    for (size_t i = 0; i < outputs.size(); ++i)
      NPU_TRY(check(api_.set_output(execution_, static_cast<int32_t>(i), nullptr, outputs[i].data(), outputs[i].size()),
                    "NeuronExecution_setOutput"));
    return {};
  }

  // Without suppression the adapter has no question for the dense size: 0 leaves it to the metadata.
  Result<NativeIo> ask(size_t i, int (*size)(void*, int32_t, size_t*), int (*dims)(void*, int32_t, uint32_t*),
                       bool suppressed) {
    NativeIo io;
    if (!suppressed) return io;
    uint32_t padded[4] = {};
    NPU_TRY(check(size(compilation_, static_cast<int32_t>(i), &io.bytes), "NeuronCompilation_get…PaddedSize"));
    NPU_TRY(check(dims(compilation_, static_cast<int32_t>(i), padded), "NeuronCompilation_get…PaddedDimensions"));
    io.padded.assign(std::begin(padded), std::end(padded));
    return io;
  }

  Library library_;
  std::string file_;
  Settings settings_;
  Adapter api_{};
  std::shared_ptr<const MappedFile> mapped_;  // the operand's value must live as long as the model
  void *model_ = nullptr, *compilation_ = nullptr, *execution_ = nullptr;
  bool used_ = false;
};

}  // namespace

Result<std::unique_ptr<Network>> load_adapter(const Library& l, const runtime::ModelSource& source, const Settings& s) {
  auto n = std::make_unique<AdapterNetwork>(l, source.name(), s);
  NPU_TRY(n->load(source));
  return std::unique_ptr<Network>(std::move(n));
}

}  // namespace npuport::neuron
