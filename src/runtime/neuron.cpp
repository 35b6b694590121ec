// Backend "neuron": finds MediaTek's library, chooses its interface, and carries data between the model's buffers and
// the native ones: padded sizes, half floats, suppressed conversion.
#include "runtime/neuron.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "runtime/io_option.h"

namespace npuport::neuron {
namespace {

using runtime::DynamicLibrary;
using runtime::IoInfo;
using runtime::Model;
using runtime::ModelSource;
using runtime::Options;

constexpr const char* kVariable = "NPUPORT_NEURON_LIBRARY";
constexpr std::string_view kApis[] = {"", "v1", "v2", "adapter"};
constexpr std::string_view kSuppress[] = {"none", "input", "output", "both"};
constexpr std::string_view kPreferences[] = {"", "performance", "power", "turbo"};

// Names MediaTek ships its libraries under: phones first, then the versions of the Genio packages.
const std::vector<std::string>& runtime_names() {
  static const std::vector<std::string> names = {"libneuronusdk_runtime.mtk.so", "libneuron_runtime.so.8",
                                                 "libneuron_runtime.so.7",       "libneuron_runtime.so.6",
                                                 "libneuron_runtime.so.5",       "libneuron_runtime.so"};
  return names;
}
const std::vector<std::string>& adapter_names() {
  static const std::vector<std::string> names = {"libneuronusdk_adapter.mtk.so", "libneuronusdk_adapter.9.mtk.so",
                                                 "libneuron_adapter_mgvi.so", "libneuron_adapter.so"};
  return names;
}

Result<Library> open_library(const Options& options, const std::string& api) {
  const std::string named = options.get("library", kVariable);
  if (!named.empty()) return DynamicLibrary::open(std::span(&named, 1), kInstall);
  std::vector<std::string> names;
  if (api != "adapter") names = runtime_names();
  if (api.empty() || api == "adapter") names.insert(names.end(), adapter_names().begin(), adapter_names().end());
  return DynamicLibrary::open(names, kInstall);
}

// The interface asked for, or the first the library offers; "" when it offers none.
std::string interface_of(const DynamicLibrary& l, const std::string& wanted, bool suppressed) {
  if (!wanted.empty()) return wanted;
  if (l.find("NeuronRuntimeV2_run") && !suppressed) return "v2";
  if (l.find("NeuronRuntime_inference")) return "v1";
  if (l.find("NeuronExecution_compute")) return "adapter";
  return "";
}

// One input or output: how the model's dense tensor lies in the native buffer.
struct Border {
  DType native = DType::unknown;  // f16 where the device takes half floats for the model's f32
  std::vector<int64_t> dense;     // sizes of the model's tensor, as four where the buffer is padded
  std::vector<int64_t> padded;    // sizes of the native buffer; empty: the same
  Tensor memory;                  // the native buffer
};

Diag size_error(const IoInfo& info, size_t bytes, const std::string& file) {
  return Diag(diag::corrupt,
              "the .dla has a buffer of " + std::to_string(bytes) + " bytes for '" + info.name +
                  "', which the metadata call " + to_string(info.type),
              "the file belongs to another port, or was compiled with other --suppress options")
      .in_file(file)
      .at_tensor(info.name);
}

// Element type from the native size: the model's own, or f16 for f32.
DType native_type(const IoInfo& info, int64_t elements, size_t bytes) {
  if (static_cast<size_t>(byte_size(info.type.dtype, elements)) == bytes) return info.type.dtype;
  if (info.type.dtype == DType::f32 && static_cast<size_t>(byte_size(DType::f16, elements)) == bytes) return DType::f16;
  return DType::unknown;
}

Result<Border> make_border(const IoInfo& info, const NativeIo& io, const std::string& file) {
  Border b;
  b.dense = info.type.shape;
  const int64_t count = element_count(info.type.shape);
  int64_t elements = count;
  size_t bytes = io.bytes;
  if (io.padded.empty()) {
    if (bytes == 0) bytes = static_cast<size_t>(byte_size(info.type.dtype, count));
  } else {
    b.padded = io.padded;
    NPU_TRY(check_shape(b.padded));
    elements = element_count(b.padded);
    if (b.dense.size() > b.padded.size()) return size_error(info, bytes, file);
    b.dense.insert(b.dense.begin(), b.padded.size() - b.dense.size(), 1);
    for (size_t d = 0; d < b.dense.size(); ++d)
      if (b.padded[d] < b.dense[d]) return size_error(info, bytes, file);
  }
  b.native = native_type(info, elements, bytes);
  if (b.native == DType::unknown || bits(b.native) < 8) return size_error(info, bytes, file);
  b.memory = Tensor::zeros(b.native, {elements});
  return b;
}

// Copies rows of the last dimension between a dense array and a padded one; padding keeps its zeros.
template <class Row>
void each_row(const Border& b, Row&& row) {
  const std::vector<int64_t>& to = b.padded.empty() ? b.dense : b.padded;
  const int64_t width = b.dense.empty() ? 1 : b.dense.back();
  const int64_t rows = width == 0 ? 0 : element_count(b.dense) / width;
  const std::vector<int64_t> strides = strides_of(to);
  std::vector<int64_t> index(b.dense.size());
  for (int64_t r = 0; r < rows; ++r) {
    int64_t at = 0;
    for (size_t d = 0; d + 1 < index.size(); ++d) at += index[d] * strides[d];
    row(r * width, at, width);
    for (size_t d = index.size() < 2 ? 0 : index.size() - 1; d-- > 0;) {
      if (++index[d] < b.dense[d]) break;
      index[d] = 0;
    }
  }
}

void to_native(const Tensor& t, Border& b) {
  if (t.bytes() == 0) return;
  std::byte* to = b.memory.mutable_data();
  const auto item = static_cast<size_t>(byte_size(b.native, 1));
  each_row(b, [&](int64_t from, int64_t at, int64_t n) {
    if (b.native == t.dtype) {
      std::memcpy(to + static_cast<size_t>(at) * item, t.data + static_cast<size_t>(from) * item,
                  static_cast<size_t>(n) * item);
    } else {
      const float* values = t.as<float>().data() + from;
      std::transform(values, values + n, reinterpret_cast<Float16*>(to) + at, [](float v) { return Float16(v); });
    }
  });
}

Tensor from_native(const IoInfo& info, const Border& b) {
  if (b.native == info.type.dtype && (b.padded.empty() || b.padded == b.dense)) {
    Tensor same = b.memory;
    same.shape = info.type.shape;
    return same;
  }
  Tensor out = Tensor::zeros(info.type.dtype, info.type.shape);
  const auto item = static_cast<size_t>(byte_size(b.native, 1));
  each_row(b, [&](int64_t to, int64_t at, int64_t n) {
    if (b.native == out.dtype) {
      std::memcpy(out.mutable_data() + static_cast<size_t>(to) * item, b.memory.data + static_cast<size_t>(at) * item,
                  static_cast<size_t>(n) * item);
    } else {
      const Float16* values = reinterpret_cast<const Float16*>(b.memory.data) + at;
      std::transform(values, values + n, out.mut<float>().data() + to, [](Float16 v) { return static_cast<float>(v); });
    }
  });
  return out;
}

class NeuronModel : public Model {
 public:
  NeuronModel(std::unique_ptr<Network> network, std::string api, const ModelSource& source)
      : network_(std::move(network)), api_(std::move(api)), file_(source.name()) {
    inputs_ = source.inputs;
    outputs_ = source.outputs;
  }

  Status prepare() {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      NPU_ASSIGN(const NativeIo io, network_->input(i));
      NPU_ASSIGN(Border b, make_border(inputs_[i], io, file_));
      in_.push_back(std::move(b));
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      NPU_ASSIGN(const NativeIo io, network_->output(i));
      NPU_ASSIGN(Border b, make_border(outputs_[i], io, file_));
      out_.push_back(std::move(b));
    }
    return {};
  }

  Status run(std::span<const Tensor> inputs, std::span<Tensor> outputs) override {
    std::vector<std::span<std::byte>> in, out;
    for (size_t i = 0; i < inputs.size(); ++i) to_native(inputs[i], in_[i]);
    for (Border& b : in_) in.emplace_back(b.memory.mutable_data(), static_cast<size_t>(b.memory.bytes()));
    for (Border& b : out_) out.emplace_back(b.memory.mutable_data(), static_cast<size_t>(b.memory.bytes()));
    const auto start = std::chrono::steady_clock::now();
    NPU_TRY(network_->run(in, out));
    device_ms_ = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = from_native(outputs_[i], out_[i]);
    return {};
  }

  Json details() const override {
    const auto list = [](const std::vector<Border>& borders) {
      Json out = Json::array();
      for (const Border& b : borders)
        out.push_back(Json{{"dtype", std::string(long_name(b.native))}, {"padded", b.padded}});
      return out;
    };
    return Json{{"api", api_}, {"device_ms", device_ms_}, {"inputs", list(in_)}, {"outputs", list(out_)}};
  }

 private:
  std::unique_ptr<Network> network_;
  std::string api_, file_;
  std::vector<Border> in_, out_;
  double device_ms_ = 0;
};

Result<Settings> read_settings(const Options& options, const ModelSource& source) {
  Settings s;
  NPU_ASSIGN(const std::string suppress, options.choice("suppress", kSuppress));
  NPU_ASSIGN(const std::string preference, options.choice("preference", kPreferences));
  NPU_ASSIGN(const int64_t boost, options.integer("boost", -1, 0, 100));
  s.suppress_input = suppress == "input" || suppress == "both";
  s.suppress_output = suppress == "output" || suppress == "both";
  if (boost >= 0) s.boost = static_cast<int>(boost);
  if (!preference.empty())
    s.preference = static_cast<int>(std::find(std::begin(kPreferences), std::end(kPreferences), preference) -
                                    std::begin(kPreferences)) -
                   1;
  s.inputs = source.inputs.size();
  s.outputs = source.outputs.size();
  return s;
}

Result<std::unique_ptr<Model>> load(const ModelSource& given, const Options& options) {
  ModelSource source = given;
  if (source.inputs.empty() && source.outputs.empty()) NPU_TRY(runtime::read_io_option(options, source));
  if (source.outputs.empty())
    return Diag(diag::usage, "a .dla does not say what its inputs and outputs are",
                "open the port it belongs to, or give option io")
        .in_file(source.name());
  NPU_ASSIGN(const std::string wanted, options.choice("api", kApis));
  NPU_ASSIGN(const Settings settings, read_settings(options, source));
  NPU_ASSIGN(const Library library, open_library(options, wanted));
  const std::string api = interface_of(*library, wanted, settings.suppress_input || settings.suppress_output);
  if (api.empty())
    return Diag(diag::tool_missing, "the library is neither a Neuron runtime nor a Neuron adapter", kInstall)
        .in_file(library->name());
  NPU_ASSIGN(auto network, (api == "v2" ? load_v2 : api == "v1" ? load_v1 : load_adapter)(library, source, settings));
  auto model = std::make_unique<NeuronModel>(std::move(network), api, source);
  NPU_TRY(model->prepare());
  return std::unique_ptr<Model>(std::move(model));
}

Json probe(const Options& options) {
  const Result<Library> l = open_library(options, "");
  if (!l)
    return Json{{"usable", false},
                {"library", options.get("library", kVariable)},
                {"version", ""},
                {"detail", l.error().message},
                {"hint", l.error().hint}};
  const std::string api = interface_of(**l, "", false);
  return Json{{"usable", !api.empty()},
              {"library", (*l)->path()},
              {"version", library_version(**l)},
              {"detail", api.empty() ? "no function of Neuron Runtime or Adapter is in it" : "interface " + api},
              {"hint", api.empty() ? kInstall : ""}};
}

constexpr std::string_view option_names[] = {"library", "api", "suppress", "boost", "preference", "io"};
constexpr runtime::Backend row{
    "neuron", "MediaTek NPUs by Neuron Runtime or Neuron Adapter", option_names, ".dla", load, probe};

}  // namespace
}  // namespace npuport::neuron

const npuport::runtime::Backend& npuport::runtime::neuron_backend() { return neuron::row; }
