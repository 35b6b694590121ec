// Backend "litert": Google's LiteRT by its C interface, dlopened. The interface moves between releases (functions
// change their arguments under the same name), so exactly the release it was written against is taken: 2.3.x, whose
// LiteRtCreateModelFromFile takes the environment first.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "runtime/backend.h"
#include "runtime/dynamic_library.h"

namespace npuport::runtime {
namespace {

namespace fs = std::filesystem;
constexpr const char* kVariable = "NPUPORT_LITERT_LIBRARY";
constexpr const char* kInstall =
    "pip install ai-edge-litert==2.3.0, and name its ai_edge_litert/libLiteRt.so by option library or "
    "NPUPORT_LITERT_LIBRARY";
constexpr std::string_view kRelease = "2.3.";

// Opaque objects of LiteRT.
using Handle = void*;

// LiteRtRankedTensorType: 72 bytes.
struct RankedType {
  int32_t element;
  uint32_t rank_and_flags;  // rank in the low 7 bits
  int32_t dims[8];
  uint32_t strides[8];
};
static_assert(sizeof(RankedType) == 72);

struct PerTensor {
  float scale;
  int64_t zero_point;
};

struct Api {
  std::shared_ptr<DynamicLibrary> library;
  int (*create_environment)(int, const void*, Handle*);
  void (*destroy_environment)(Handle);
  int (*model_from_file)(Handle, const char*, Handle*);
  int (*model_from_buffer)(Handle, const void*, size_t, Handle*);
  void (*destroy_model)(Handle);
  int (*num_signatures)(Handle, size_t*);
  int (*signature)(Handle, size_t, Handle*);
  int (*num_inputs)(Handle, size_t*);
  int (*num_outputs)(Handle, size_t*);
  int (*input_name)(Handle, size_t, const char**);
  int (*output_name)(Handle, size_t, const char**);
  int (*input_tensor)(Handle, size_t, Handle*);
  int (*output_tensor)(Handle, size_t, Handle*);
  int (*ranked_type)(Handle, RankedType*);
  int (*quantization_kind)(Handle, int*);
  int (*per_tensor)(Handle, PerTensor*);
  int (*create_options)(Handle*);
  void (*destroy_options)(Handle);
  int (*set_accelerators)(Handle, int);
  int (*create_opaque)(const char*, void*, void (*)(void*), Handle*);
  int (*add_opaque)(Handle, Handle);
  int (*create_compiled)(Handle, Handle, Handle, Handle*);
  void (*destroy_compiled)(Handle);
  int (*buffer_from_memory)(const RankedType*, void*, size_t, void (*)(void*), Handle*);
  void (*destroy_buffer)(Handle);
  int (*run)(Handle, size_t, size_t, Handle*, size_t, Handle*);

  Status resolve();
};

Status Api::resolve() {
  DynamicLibrary& l = *library;
  l.need(create_environment, "LiteRtCreateEnvironment");
  l.need(destroy_environment, "LiteRtDestroyEnvironment");
  l.need(model_from_file, "LiteRtCreateModelFromFile");
  l.need(model_from_buffer, "LiteRtCreateModelFromBuffer");
  l.need(destroy_model, "LiteRtDestroyModel");
  l.need(num_signatures, "LiteRtGetNumModelSignatures");
  l.need(signature, "LiteRtGetModelSignature");
  l.need(num_inputs, "LiteRtGetNumSignatureInputs");
  l.need(num_outputs, "LiteRtGetNumSignatureOutputs");
  l.need(input_name, "LiteRtGetSignatureInputName");
  l.need(output_name, "LiteRtGetSignatureOutputName");
  l.need(input_tensor, "LiteRtGetSignatureInputTensorByIndex");
  l.need(output_tensor, "LiteRtGetSignatureOutputTensorByIndex");
  l.need(ranked_type, "LiteRtGetRankedTensorType");
  l.need(quantization_kind, "LiteRtGetQuantizationTypeId");
  l.need(per_tensor, "LiteRtGetPerTensorQuantization");
  l.need(create_options, "LiteRtCreateOptions");
  l.need(destroy_options, "LiteRtDestroyOptions");
  l.need(set_accelerators, "LiteRtSetOptionsHardwareAccelerators");
  l.need(create_opaque, "LiteRtCreateOpaqueOptions");
  l.need(add_opaque, "LiteRtAddOpaqueOptions");
  l.need(create_compiled, "LiteRtCreateCompiledModel");
  l.need(destroy_compiled, "LiteRtDestroyCompiledModel");
  l.need(buffer_from_memory, "LiteRtCreateTensorBufferFromHostMemory");
  l.need(destroy_buffer, "LiteRtDestroyTensorBuffer");
  l.need(run, "LiteRtRunCompiledModel");
  return l.complete(kInstall);
}

// The library does not say its version; the wheel it lies in does. "" when it lies elsewhere.
std::string wheel_version(const std::string& library) {
  std::error_code ec;
  const fs::path packages = fs::canonical(library, ec).parent_path().parent_path();
  constexpr std::string_view begin = "ai_edge_litert-", end = ".dist-info";
  for (fs::directory_iterator it(packages, ec), last; !ec && it != last; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(begin) && name.ends_with(end) && name.size() > begin.size() + end.size())
      return name.substr(begin.size(), name.size() - begin.size() - end.size());
  }
  return "";
}

Result<Api> open_api(const Options& options, std::string* version) {
  const std::string path = options.get("library", kVariable);
  if (path.empty()) return Diag(diag::tool_missing, "no LiteRT library was named", kInstall);
  Api api{};
  const std::string names[] = {path};
  NPU_ASSIGN(api.library, DynamicLibrary::open(names, kInstall));
  *version = wheel_version(path);
  if (!version->empty() && !version->starts_with(kRelease))
    return Diag(diag::tool_missing,
                "this is LiteRT " + *version +
                    "; its C interface differs from release to release, "
                    "and only 2.3.x is known here",
                kInstall)
        .in_file(path);
  // Outside its wheel: two functions that came with 2.3 tell it from what was before.
  void (*marker)() = nullptr;
  api.library->need(marker, "LiteRtCreateModelFromFd");
  api.library->need(marker, "LiteRtCompiledModelResizeInputTensorNonStrict");
  NPU_TRY(api.resolve());
  return api;
}

// TfLiteType numbers.
DType dtype_of(int32_t element) {
  switch (element) {
    case 1:
      return DType::f32;
    case 2:
      return DType::i32;
    case 3:
      return DType::u8;
    case 4:
      return DType::i64;
    case 6:
      return DType::boolean;
    case 7:
      return DType::i16;
    case 9:
      return DType::i8;
    case 10:
      return DType::f16;
    case 11:
      return DType::f64;
    case 13:
      return DType::u64;
    case 16:
      return DType::u32;
    case 17:
      return DType::u16;
    case 18:
      return DType::i4;
    case 19:
      return DType::bf16;
    default:
      return DType::unknown;
  }
}

Diag failed(const char* call, int status, const std::string& file) {
  return Diag(diag::device_failed,
              std::string(call) + " failed with status " + std::to_string(status) +
                  (status == 500 ? " (the file cannot be read, or is no TFLite model)" : ""),
              "LiteRT writes the reason to stderr")
      .in_file(file);
}

class LiteRtModel : public Model {
 public:
  LiteRtModel(Api api, std::string file) : api_(std::move(api)), file_(std::move(file)) {}
  ~LiteRtModel() override {
    for (const auto* list : {&in_, &out_})
      for (const Buffer& b : *list)
        if (b.handle) api_.destroy_buffer(b.handle);
    if (compiled_) api_.destroy_compiled(compiled_);
    if (options_) api_.destroy_options(options_);
    if (model_) api_.destroy_model(model_);
    if (environment_) api_.destroy_environment(environment_);
  }

  Status load(const ModelSource& source, int64_t threads) {
    if (const int e = api_.create_environment(0, nullptr, &environment_))
      return failed("LiteRtCreateEnvironment", e, file_);
    const int e = source.path.empty()
                      ? api_.model_from_buffer(environment_, source.bytes.data(), source.bytes.size(), &model_)
                      : api_.model_from_file(environment_, source.path.c_str(), &model_);
    if (e) return failed("LiteRtCreateModelFromFile", e, file_);
    NPU_TRY(compile(threads));
    Handle signature = nullptr;
    size_t signatures = 0;
    if (const int s = api_.num_signatures(model_, &signatures); s || signatures == 0)
      return failed("LiteRtGetNumModelSignatures", s, file_);
    if (const int s = api_.signature(model_, 0, &signature)) return failed("LiteRtGetModelSignature", s, file_);
    NPU_TRY(describe(signature, api_.num_inputs, api_.input_name, api_.input_tensor, inputs_, in_));
    return describe(signature, api_.num_outputs, api_.output_name, api_.output_tensor, outputs_, out_);
  }

  Status run(std::span<const Tensor> inputs, std::span<Tensor> outputs) override {
    for (size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i].bytes() > 0)
        std::memcpy(in_[i].memory.mutable_data(), inputs[i].data, static_cast<size_t>(inputs[i].bytes()));
    std::vector<Handle> in, out;
    for (const Buffer& b : in_) in.push_back(b.handle);
    for (const Buffer& b : out_) out.push_back(b.handle);
    if (const int e = api_.run(compiled_, 0, in.size(), in.data(), out.size(), out.data()))
      return failed("LiteRtRunCompiledModel", e, file_);
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = out_[i].memory;
    return {};
  }

 private:
  struct Buffer {
    Tensor memory;
    Handle handle = nullptr;
  };

  Status compile(int64_t threads) {
    if (const int e = api_.create_options(&options_)) return failed("LiteRtCreateOptions", e, file_);
    constexpr int cpu = 1;
    if (const int e = api_.set_accelerators(options_, cpu))
      return failed("LiteRtSetOptionsHardwareAccelerators", e, file_);
    if (threads > 0) {
      // Options of the processor backend travel as a TOML text under the name "xnnpack".
      const std::string text = "num_threads = " + std::to_string(threads) + "\n";
      Handle opaque = nullptr;
      if (const int e = api_.create_opaque("xnnpack", ::strdup(text.c_str()), std::free, &opaque))
        return failed("LiteRtCreateOpaqueOptions", e, file_);
      if (const int e = api_.add_opaque(options_, opaque)) return failed("LiteRtAddOpaqueOptions", e, file_);
    }
    if (const int e = api_.create_compiled(environment_, model_, options_, &compiled_))
      return failed("LiteRtCreateCompiledModel", e, file_);
    return {};
  }

  Status describe(Handle signature, int (*count)(Handle, size_t*), int (*name)(Handle, size_t, const char**),
                  int (*tensor)(Handle, size_t, Handle*), std::vector<IoInfo>& infos, std::vector<Buffer>& buffers) {
    size_t n = 0;
    if (const int e = count(signature, &n)) return failed("LiteRtGetNumSignatureInputs", e, file_);
    for (size_t i = 0; i < n; ++i) {
      const char* text = nullptr;
      Handle t = nullptr;
      RankedType type{};
      if (const int e = name(signature, i, &text)) return failed("LiteRtGetSignatureInputName", e, file_);
      if (const int e = tensor(signature, i, &t)) return failed("LiteRtGetSignatureInputTensorByIndex", e, file_);
      if (const int e = api_.ranked_type(t, &type)) return failed("LiteRtGetRankedTensorType", e, file_);
      IoInfo info{text ? text : "", {}, NPUPORT_LAYOUT_MODEL, {}};
      info.type.dtype = dtype_of(type.element);
      const size_t rank = type.rank_and_flags & 0x7F;
      if (info.type.dtype == DType::unknown || rank > std::size(type.dims))
        return Diag(diag::unsupported, "LiteRT's element type " + std::to_string(type.element) + " is not known")
            .in_file(file_)
            .at_tensor(info.name);
      for (size_t d = 0; d < rank; ++d) info.type.shape.push_back(type.dims[d]);
      if (const Status s = check_shape(info.type.shape); !s)
        return Diag(diag::dynamic_shape, "a size is not fixed: " + to_string(info.type.shape),
                    "port it with fixed shapes")
            .in_file(file_)
            .at_tensor(info.name);
      info.type.quant = quantisation(t);
      Buffer b{Tensor::zeros(info.type.dtype, info.type.shape)};
      const auto bytes = static_cast<size_t>(b.memory.bytes());
      if (const int e = api_.buffer_from_memory(&type, b.memory.mutable_data(), bytes, nullptr, &b.handle))
        return failed("LiteRtCreateTensorBufferFromHostMemory", e, file_);
      buffers.push_back(std::move(b));
      infos.push_back(std::move(info));
    }
    return {};
  }

  std::shared_ptr<const QuantParams> quantisation(Handle tensor) const {
    int kind = 0;
    PerTensor q{};
    constexpr int per_tensor_kind = 1;
    if (api_.quantization_kind(tensor, &kind) || kind != per_tensor_kind || api_.per_tensor(tensor, &q)) return nullptr;
    QuantParams out;
    out.scale = {q.scale};
    out.zero_point = {static_cast<int32_t>(q.zero_point)};
    return std::make_shared<const QuantParams>(std::move(out));
  }

  Api api_;
  std::string file_;
  Handle environment_ = nullptr, model_ = nullptr, options_ = nullptr, compiled_ = nullptr;
  std::vector<Buffer> in_, out_;
};

Result<std::unique_ptr<Model>> load(const ModelSource& source, const Options& options) {
  NPU_ASSIGN(const int64_t threads, options.integer("threads", 0, 0, 1024));
  std::string version;
  NPU_ASSIGN(Api api, open_api(options, &version));
  auto model = std::make_unique<LiteRtModel>(std::move(api), source.name());
  NPU_TRY(model->load(source, threads));
  return std::unique_ptr<Model>(std::move(model));
}

Json probe(const Options& options) {
  std::string version;
  const Result<Api> api = open_api(options, &version);
  if (!api)
    return Json{{"usable", false},
                {"library", options.get("library", kVariable)},
                {"version", version},
                {"detail", api.error().message},
                {"hint", api.error().hint}};
  return Json{{"usable", true},
              {"library", api->library->path()},
              {"version", version},
              {"detail", version.empty() ? "not in its wheel: taken for 2.3 by its functions" : ""},
              {"hint", ""}};
}

constexpr std::string_view option_names[] = {"library"};
constexpr Backend row{"litert", "LiteRT (TensorFlow Lite) on this machine's processor", option_names, "", load, probe};

}  // namespace

const Backend& litert_backend() { return row; }

}  // namespace npuport::runtime
