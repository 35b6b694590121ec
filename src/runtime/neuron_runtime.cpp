// Neuron Runtime V1 and V2.
#include "base/diag_codes.h"
#include "runtime/neuron.h"

namespace npuport::neuron {

std::string runtime_result(int code) {
  static constexpr const char* names[] = {"NO_ERROR", "OUT_OF_MEMORY", "INCOMPLETE",   "UNEXPECTED_NULL",
                                          "BAD_DATA", "BAD_STATE",     "RUNTIME_ERROR"};
  const bool known = code >= 0 && code < static_cast<int>(std::size(names));
  return std::string(known ? names[code] : "unknown result") + " (" + std::to_string(code) + ")";
}

Diag failed(const char* function, const std::string& result, const std::string& file, std::string hint) {
  return Diag(diag::device_failed, std::string(function) + ": " + result, std::move(hint)).in_file(file);
}

std::string library_version(const runtime::DynamicLibrary& l) {
  int (*get)(Version*) = nullptr;
  l.want(get, "NeuronRuntime_getVersion");
  if (!get) l.want(get, "Neuron_getVersion");
  Version v{};
  if (!get || get(&v) != 0) return "";
  return std::to_string(v.major) + "." + std::to_string(v.minor) + "." + std::to_string(v.patch);
}

namespace {

std::string load_hint(const runtime::DynamicLibrary& l) {
  const std::string version = library_version(l);
  return "a .dla runs only on the runtime of the same major version" +
         (version.empty() ? std::string() : " (this one is " + version + ")") +
         " and on the chip it was compiled for: compile it with the SDK of that version";
}

QosOptions qos(const Settings& s) {
  QosOptions q{};
  constexpr int medium = 1;
  constexpr uint8_t full_range = 100;
  q.preference = s.preference.value_or(0);
  q.priority = medium;
  q.boost = static_cast<uint8_t>(s.boost.value_or(full_range));
  q.max_boost = full_range;
  q.delayed_power_off = -1;
  return q;
}

// Sizes as the two versions tell them, under different names.
class Sized : public Network {
 public:
  Result<NativeIo> input(size_t i) override { return ask(in_, i, settings_.suppress_input, "getInputSize"); }
  Result<NativeIo> output(size_t i) override { return ask(out_, i, settings_.suppress_output, "getOutputSize"); }

 protected:
  Sized(Library l, std::string file, const Settings& s)
      : library_(std::move(l)), file_(std::move(file)), settings_(s) {}

  void need_sizes(const std::string& prefix) {
    for (const bool input : {true, false}) {
      RuntimeSizes& r = input ? in_ : out_;
      const std::string get = prefix + (input ? "getInput" : "getOutput");
      library_->need(r.size, (get + "Size").c_str());
      library_->need(r.padded_size, (get + "PaddedSize").c_str());
      library_->need(r.padded_dims, (get + "PaddedDimensions").c_str());
    }
  }

  Result<NativeIo> ask(const RuntimeSizes& r, size_t i, bool suppressed, const char* what) {
    NativeIo io;
    const int e = (suppressed ? r.padded_size : r.size)(runtime_, i, &io.bytes);
    if (e) return failed(what, runtime_result(e), file_, "the .dla has other inputs or outputs than the metadata say");
    if (!suppressed) return io;
    Dimensions d{};
    if (const int f = r.padded_dims(runtime_, i, &d)) return failed("get…PaddedDimensions", runtime_result(f), file_);
    io.padded.assign(std::begin(d.sizes), std::end(d.sizes));
    return io;
  }

  Library library_;
  std::string file_;
  Settings settings_;
  RuntimeSizes in_{}, out_{};
  void* runtime_ = nullptr;
};

class V1 : public Sized {
 public:
  V1(Library l, std::string file, const Settings& s) : Sized(std::move(l), std::move(file), s) {}
  ~V1() override {
    if (runtime_) api_.release(runtime_);
  }

  Status load(const runtime::ModelSource& source) {
    runtime::DynamicLibrary& l = *library_;
    l.need(api_.create, "NeuronRuntime_create");
    l.need(api_.load_file, "NeuronRuntime_loadNetworkFromFile");
    l.need(api_.load_buffer, "NeuronRuntime_loadNetworkFromBuffer");
    l.need(api_.set_input, "NeuronRuntime_setInput");
    l.need(api_.set_output, "NeuronRuntime_setOutput");
    l.need(api_.set_qos, "NeuronRuntime_setQoSOption");
    l.need(api_.inference, "NeuronRuntime_inference");
    l.need(api_.release, "NeuronRuntime_release");
    need_sizes("NeuronRuntime_");
    NPU_TRY(l.complete(kInstall));
    EnvOptions env{kHardware, 0, 1, settings_.suppress_input, settings_.suppress_output};
    if (const int e = api_.create(&env, &runtime_)) return failed("NeuronRuntime_create", runtime_result(e), file_);
    const int e = source.path.empty() ? api_.load_buffer(runtime_, source.bytes.data(), source.bytes.size())
                                      : api_.load_file(runtime_, source.path.c_str());
    if (e) return failed("NeuronRuntime_loadNetwork", runtime_result(e), file_, load_hint(l));
    if (!settings_.boost && !settings_.preference) return {};
    const QosOptions q = qos(settings_);
    if (const int f = api_.set_qos(runtime_, &q)) return failed("NeuronRuntime_setQoSOption", runtime_result(f), file_);
    return {};
  }

  Status run(std::span<const std::span<std::byte>> inputs, std::span<const std::span<std::byte>> outputs) override {
    // Set anew before every inference: some releases go on with the data of the first one otherwise.
    for (size_t i = 0; i < inputs.size(); ++i)
      if (const int e = api_.set_input(runtime_, i, inputs[i].data(), inputs[i].size(), {-1}))
        return failed("NeuronRuntime_setInput", runtime_result(e), file_);
    for (size_t i = 0; i < outputs.size(); ++i)
      if (const int e = api_.set_output(runtime_, i, outputs[i].data(), outputs[i].size(), {-1}))
        return failed("NeuronRuntime_setOutput", runtime_result(e), file_);
    if (const int e = api_.inference(runtime_)) return failed("NeuronRuntime_inference", runtime_result(e), file_);
    return {};
  }

 private:
  RuntimeV1 api_{};
};

class V2 : public Sized {
 public:
  V2(Library l, std::string file, const Settings& s) : Sized(std::move(l), std::move(file), s) {}
  ~V2() override {
    if (runtime_) api_.release(runtime_);
  }

  Status load(const runtime::ModelSource& source) {
    runtime::DynamicLibrary& l = *library_;
    l.need(api_.create, "NeuronRuntimeV2_create");
    l.need(api_.create_buffer, "NeuronRuntimeV2_createFromBuffer");
    l.need(api_.set_qos, "NeuronRuntimeV2_setQoSOption");
    l.need(api_.run, "NeuronRuntimeV2_run");
    l.need(api_.num_inputs, "NeuronRuntimeV2_getInputNumber");
    l.need(api_.num_outputs, "NeuronRuntimeV2_getOutputNumber");
    l.need(api_.release, "NeuronRuntimeV2_release");
    need_sizes("NeuronRuntimeV2_");
    NPU_TRY(l.complete(kInstall));
    if (settings_.suppress_input || settings_.suppress_output)
      return Diag(diag::unsupported, "Neuron Runtime V2 takes no switch for suppressed conversion",
                  "use option api=v1 or api=adapter, or compile the .dla with --suppress-input / --suppress-output")
          .in_file(file_);
    constexpr size_t threads = 1, backlog = 2048;
    const int e = source.path.empty()
                      ? api_.create_buffer(source.bytes.data(), source.bytes.size(), threads, &runtime_, backlog)
                      : api_.create(source.path.c_str(), threads, &runtime_, backlog);
    if (e) return failed("NeuronRuntimeV2_create", runtime_result(e), file_, load_hint(l));
    size_t in = 0, out = 0;
    if (const int f = api_.num_inputs(runtime_, &in))
      return failed("NeuronRuntimeV2_getInputNumber", runtime_result(f), file_);
    if (const int f = api_.num_outputs(runtime_, &out))
      return failed("NeuronRuntimeV2_getOutputNumber", runtime_result(f), file_);
    if (in != settings_.inputs || out != settings_.outputs)
      return Diag(diag::corrupt,
                  "the .dla has " + std::to_string(in) + " inputs and " + std::to_string(out) +
                      " outputs, the metadata say " + std::to_string(settings_.inputs) + " and " +
                      std::to_string(settings_.outputs),
                  "the file belongs to another port")
          .in_file(file_);
    if (!settings_.boost && !settings_.preference) return {};
    const QosOptions q = qos(settings_);
    if (const int f = api_.set_qos(runtime_, &q))
      return failed("NeuronRuntimeV2_setQoSOption", runtime_result(f), file_);
    return {};
  }

  Status run(std::span<const std::span<std::byte>> inputs, std::span<const std::span<std::byte>> outputs) override {
    const auto buffers = [](std::span<const std::span<std::byte>> list) {
      std::vector<IoBuffer> out;
      for (const std::span<std::byte> b : list) out.push_back({b.data(), b.size(), -1, 0, {0, 0}});
      return out;
    };
    std::vector<IoBuffer> in = buffers(inputs), out = buffers(outputs);
    if (const int e = api_.run(runtime_, {in.data(), out.data()}))
      return failed("NeuronRuntimeV2_run", runtime_result(e), file_);
    return {};
  }

 private:
  RuntimeV2 api_{};
};

}  // namespace

Result<std::unique_ptr<Network>> load_v1(const Library& l, const runtime::ModelSource& source, const Settings& s) {
  auto n = std::make_unique<V1>(l, source.name(), s);
  NPU_TRY(n->load(source));
  return std::unique_ptr<Network>(std::move(n));
}

Result<std::unique_ptr<Network>> load_v2(const Library& l, const runtime::ModelSource& source, const Settings& s) {
  auto n = std::make_unique<V2>(l, source.name(), s);
  NPU_TRY(n->load(source));
  return std::unique_ptr<Network>(std::move(n));
}

}  // namespace npuport::neuron
