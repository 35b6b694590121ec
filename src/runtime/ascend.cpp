// Backend "ascend": Huawei's AscendCL, dlopened. Old installations have one libascendcl.so, newer ones libacl_rt.so and
// libacl_mdl.so.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "runtime/ascend_abi.h"
#include "runtime/backend.h"
#include "runtime/dynamic_library.h"

namespace npuport::ascend {

namespace {

struct ResultRow {
  int code;
  const char* text;
  const char* hint;
};
constexpr const char* kMemory = "close other models, or take a smaller one";
constexpr const char* kRecompile =
    "compile the .om again with the atc of this CANN version and --soc_version of this chip";
constexpr ResultRow kResults[] = {
    {100000, "a parameter is invalid", ""},
    {100001, "AscendCL is not initialised", ""},
    {100002, "AscendCL is initialised twice", ""},
    {100003, "a file is invalid", ""},
    {100004, "a file cannot be written", ""},
    {100005, "a file cannot be read", ""},
    {100012, "the model cannot be parsed", kRecompile},
    {100013, "the model cannot be loaded", kRecompile},
    {100014, "the model's size is invalid", kRecompile},
    {100015, "the model's parameters are invalid", kRecompile},
    {100016, "the model's type or size does not fit", kRecompile},
    {100017, "the inputs do not fit the model", ""},
    {100018, "the outputs do not fit the model", ""},
    {100039, "this is a stub library", "a library of devel packages (devlib/) cannot run models: use lib64/"},
    {107001, "the device number is invalid", "give option device; `npu-smi info` lists the devices"},
    {107002, "there is no context", ""},
    {145003, "the model's number is invalid", ""},
    {145013, "the batch size is none of the model's profiles", ""},
    {148049, "ASCEND_OPP_PATH is wrong", "source the set_env.sh of the CANN installation"},
    {207001, "the device is out of memory", kMemory},
    {207003, "an overflow occurred", ""},
    {207018, "the device is out of memory", kMemory},
    {500002, "the graph engine failed", ""},
    {500003, "the runtime failed", ""},
    {507008, "the chip is another one than the model was compiled for", kRecompile},
    {507011, "the model failed while it ran", ""},
    {507014, "AI Core took too long", ""},
    {507015, "AI Core raised an exception", ""},
    {507018, "AI CPU raised an exception", ""},
    {545001, "the model could not be loaded", kRecompile},
};

const ResultRow* row_of(int code) {
  for (const ResultRow& r : kResults)
    if (r.code == code) return &r;
  return nullptr;
}

}  // namespace

std::string result_text(int code) {
  const ResultRow* row = row_of(code);
  std::string what = row ? row->text : "an unknown error";
  if (!row && code / 1000 == 145) what = "the graph engine refuses an argument";
  if (!row && code / 1000 == 245) what = "the graph engine has no memory";
  return std::to_string(code) + ": " + what;
}

std::string result_hint(int code) {
  const ResultRow* row = row_of(code);
  return row ? row->hint : "";
}

namespace {

using runtime::DynamicLibrary;
using runtime::IoInfo;
using runtime::Model;
using runtime::ModelSource;
using runtime::Options;

constexpr const char* kVariable = "NPUPORT_ASCEND_LIBRARY";
constexpr const char* kInstall =
    "install the CANN runtime and source its set_env.sh, or name libascendcl.so (or the folder lib64) by option "
    "library "
    "or NPUPORT_ASCEND_LIBRARY";

// One or two libraries that together have every function.
struct Libraries {
  std::vector<std::shared_ptr<DynamicLibrary>> all;
  std::vector<std::string> missing;

  template <class Fn>
  void want(Fn*& fn, const char* symbol) const {
    fn = nullptr;
    for (const auto& l : all)
      if (!fn) l->want(fn, symbol);
  }
  template <class Fn>
  void need(Fn*& fn, const char* symbol) {
    want(fn, symbol);
    if (!fn) missing.push_back(symbol);
  }
};

Result<Libraries> open_libraries(const Options& options) {
  namespace fs = std::filesystem;
  std::string named = options.get("library", kVariable);
  std::error_code ec;
  if (const char* home = std::getenv("ASCEND_HOME_PATH"); named.empty() && home && *home)
    named = std::string(home) + "/lib64";  // of the set_env.sh every CANN installation has
  const std::string folder = fs::is_directory(named, ec) ? named + "/" : "";
  Libraries out;
  const std::string one[] = {named.empty() || !folder.empty() ? folder + "libascendcl.so" : named};
  auto old = DynamicLibrary::open(one, kInstall);
  if (old) {
    out.all.push_back(std::move(*old));
    return out;
  }
  if (!named.empty() && folder.empty()) return std::move(old).error();
  for (const char* name : {"libacl_rt.so", "libacl_mdl.so"}) {
    const std::string path[] = {folder + name};
    auto l = DynamicLibrary::open(path, kInstall);
    if (!l) return std::move(l).error().with_note(std::move(old).error());
    out.all.push_back(std::move(*l));
  }
  return out;
}

Result<Api> resolve(Libraries& l) {
  Api a{};
  l.need(a.init, "aclInit");
  l.want(a.recent_error, "aclGetRecentErrMsg");
  l.want(a.version, "aclrtGetVersion");
  l.need(a.set_device, "aclrtSetDevice");
  l.need(a.reset_device, "aclrtResetDevice");
  l.need(a.create_context, "aclrtCreateContext");
  l.need(a.destroy_context, "aclrtDestroyContext");
  l.need(a.set_context, "aclrtSetCurrentContext");
  l.need(a.malloc, "aclrtMalloc");
  l.need(a.free, "aclrtFree");
  l.need(a.memcpy, "aclrtMemcpy");
  l.need(a.load_file, "aclmdlLoadFromFile");
  l.need(a.load_memory, "aclmdlLoadFromMem");
  l.need(a.unload, "aclmdlUnload");
  l.need(a.create_desc, "aclmdlCreateDesc");
  l.need(a.destroy_desc, "aclmdlDestroyDesc");
  l.need(a.get_desc, "aclmdlGetDesc");
  l.need(a.num_inputs, "aclmdlGetNumInputs");
  l.need(a.num_outputs, "aclmdlGetNumOutputs");
  l.need(a.input_size, "aclmdlGetInputSizeByIndex");
  l.need(a.output_size, "aclmdlGetOutputSizeByIndex");
  l.need(a.input_dims, "aclmdlGetInputDims");
  l.need(a.output_dims, "aclmdlGetOutputDims");
  l.need(a.input_name, "aclmdlGetInputNameByIndex");
  l.need(a.output_name, "aclmdlGetOutputNameByIndex");
  l.need(a.input_type, "aclmdlGetInputDataType");
  l.need(a.output_type, "aclmdlGetOutputDataType");
  l.need(a.input_format, "aclmdlGetInputFormat");
  l.need(a.output_format, "aclmdlGetOutputFormat");
  l.need(a.create_dataset, "aclmdlCreateDataset");
  l.need(a.destroy_dataset, "aclmdlDestroyDataset");
  l.need(a.add_buffer, "aclmdlAddDatasetBuffer");
  l.need(a.create_buffer, "aclCreateDataBuffer");
  l.need(a.destroy_buffer, "aclDestroyDataBuffer");
  l.need(a.execute, "aclmdlExecute");
  if (l.missing.empty()) return a;
  std::string list;
  for (const std::string& m : l.missing) list += (list.empty() ? "" : ", ") + m;
  return Diag(diag::tool_missing, "the library lacks " + list, kInstall).in_file(l.all.front()->name());
}

DType dtype_of(int type) {
  switch (type) {
    case 0:
      return DType::f32;
    case 1:
      return DType::f16;
    case 2:
      return DType::i8;
    case 3:
      return DType::i32;
    case 4:
      return DType::u8;
    case 6:
      return DType::i16;
    case 7:
      return DType::u16;
    case 8:
      return DType::u32;
    case 9:
      return DType::i64;
    case 10:
      return DType::u64;
    case 11:
      return DType::f64;
    case 12:
      return DType::boolean;
    case 27:
      return DType::bf16;
    default:
      return DType::unknown;
  }
}

class AscendModel : public Model {
 public:
  AscendModel(Libraries l, const Api& a, std::string file, int32_t device)
      : libraries_(std::move(l)), a_(a), file_(std::move(file)), device_(device) {}

  ~AscendModel() override {
    if (context_) a_.set_context(context_);
    for (const auto* list : {&in_, &out_})
      for (const Buffer& b : *list) {
        if (b.handle) a_.destroy_buffer(b.handle);
        if (b.memory) a_.free(b.memory);
      }
    if (in_set_) a_.destroy_dataset(in_set_);
    if (out_set_) a_.destroy_dataset(out_set_);
    if (desc_) a_.destroy_desc(desc_);
    if (loaded_) a_.unload(id_);
    if (context_) a_.destroy_context(context_);
    if (device_set_) a_.reset_device(device_);
  }

  Status load(const ModelSource& source) {
    NPU_TRY(initialise());
    NPU_TRY(check(a_.set_device(device_), "aclrtSetDevice"));
    device_set_ = true;
    NPU_TRY(check(a_.create_context(&context_, device_), "aclrtCreateContext"));
    NPU_TRY(check(source.path.empty() ? a_.load_memory(source.bytes.data(), source.bytes.size(), &id_)
                                      : a_.load_file(source.path.c_str(), &id_),
                  "aclmdlLoadFromFile"));
    loaded_ = true;
    desc_ = a_.create_desc();
    if (!desc_) return null("aclmdlCreateDesc");
    NPU_TRY(check(a_.get_desc(desc_, id_), "aclmdlGetDesc"));
    in_set_ = a_.create_dataset();
    out_set_ = a_.create_dataset();
    if (!in_set_ || !out_set_) return null("aclmdlCreateDataset");
    for (size_t i = 0, n = a_.num_inputs(desc_); i < n; ++i) NPU_TRY(add(i, true));
    for (size_t i = 0, n = a_.num_outputs(desc_); i < n; ++i) NPU_TRY(add(i, false));
    return {};
  }

  Status run(std::span<const Tensor> inputs, std::span<Tensor> outputs) override {
    // The context belongs to a thread; sessions may move between threads.
    NPU_TRY(check(a_.set_context(context_), "aclrtSetCurrentContext"));
    for (size_t i = 0; i < inputs.size(); ++i)
      NPU_TRY(check(
          a_.memcpy(in_[i].memory, in_[i].bytes, inputs[i].data, static_cast<size_t>(inputs[i].bytes()), kHostToDevice),
          "aclrtMemcpy"));
    NPU_TRY(check(a_.execute(id_, in_set_, out_set_), "aclmdlExecute"));
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!outputs[i].data) outputs[i] = Tensor::zeros(outputs_[i].type.dtype, outputs_[i].type.shape);
      const auto bytes = static_cast<size_t>(outputs[i].bytes());
      NPU_TRY(check(a_.memcpy(outputs[i].mutable_data(), bytes, out_[i].memory, bytes, kDeviceToHost), "aclrtMemcpy"));
    }
    return {};
  }

 private:
  struct Buffer {
    void *memory = nullptr, *handle = nullptr;
    size_t bytes = 0;
  };

  // Once a process; a second aclInit (another library, the program itself) says so and does no harm.
  Status initialise() {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    const int e = a_.init(nullptr);
    return e == kAlreadyInitialised ? Status() : check(e, "aclInit");
  }

  Status check(int code, const char* function) const {
    if (code == 0) return {};
    const char* said = a_.recent_error ? a_.recent_error() : nullptr;
    return Diag(
               diag::device_failed,
               std::string(function) + ": " + result_text(code) + (said && *said ? std::string(" (") + said + ")" : ""),
               result_hint(code))
        .in_file(file_);
  }
  Diag null(const char* function) const {
    return Diag(diag::device_failed, std::string(function) + " gave nothing").in_file(file_);
  }

  Status add(size_t i, bool input) {
    IoDims dims{};
    NPU_TRY(check((input ? a_.input_dims : a_.output_dims)(desc_, i, &dims), "aclmdlGetDims"));
    IoInfo info;
    const char* name = (input ? a_.input_name : a_.output_name)(desc_, i);
    info.name = name ? name : "";
    const int type = (input ? a_.input_type : a_.output_type)(desc_, i);
    info.type.dtype = dtype_of(type);
    if (info.type.dtype == DType::unknown || dims.rank > std::size(dims.sizes))
      return Diag(diag::unsupported, "AscendCL's data type " + std::to_string(type) + " is not known")
          .in_file(file_)
          .at_tensor(info.name);
    info.type.shape.assign(dims.sizes, dims.sizes + dims.rank);
    if (const Status s = check_shape(info.type.shape); !s)
      return Diag(diag::dynamic_shape, "a size of '" + info.name + "' is not fixed: " + to_string(info.type.shape),
                  "compile the .om with fixed shapes (atc --input_shape)")
          .in_file(file_)
          .at_tensor(info.name);
    const int format = (input ? a_.input_format : a_.output_format)(desc_, i);
    if (info.type.shape.size() == 4 && format == kFormatNhwc) info.layout = NPUPORT_LAYOUT_NHWC;
    if (info.type.shape.size() == 4 && format == kFormatNchw) info.layout = NPUPORT_LAYOUT_NCHW;

    Buffer b;
    b.bytes = (input ? a_.input_size : a_.output_size)(desc_, i);
    const int64_t wanted = byte_size(info.type.dtype, element_count(info.type.shape));
    if (b.bytes < static_cast<size_t>(wanted))
      return Diag(diag::corrupt,
                  "the model has a buffer of " + std::to_string(b.bytes) + " bytes for '" + info.name + "', which is " +
                      to_string(info.type),
                  "compile the .om again")
          .in_file(file_)
          .at_tensor(info.name);
    NPU_TRY(check(a_.malloc(&b.memory, std::max<size_t>(b.bytes, 1), kMallocHugeFirst), "aclrtMalloc"));
    std::vector<Buffer>& list = input ? in_ : out_;
    list.push_back(b);
    list.back().handle = a_.create_buffer(b.memory, b.bytes);
    if (!list.back().handle) return null("aclCreateDataBuffer");
    (input ? inputs_ : outputs_).push_back(std::move(info));
    return check(a_.add_buffer(input ? in_set_ : out_set_, list.back().handle), "aclmdlAddDatasetBuffer");
  }

  Libraries libraries_;
  Api a_;
  std::string file_;
  int32_t device_;
  bool device_set_ = false, loaded_ = false;
  void *context_ = nullptr, *desc_ = nullptr, *in_set_ = nullptr, *out_set_ = nullptr;
  uint32_t id_ = 0;
  std::vector<Buffer> in_, out_;
};

Result<std::unique_ptr<Model>> load(const ModelSource& source, const Options& options) {
  NPU_ASSIGN(const int64_t device, options.integer("device", 0, 0, 1023));
  NPU_ASSIGN(Libraries libraries, open_libraries(options));
  NPU_ASSIGN(const Api api, resolve(libraries));
  auto model = std::make_unique<AscendModel>(std::move(libraries), api, source.name(), static_cast<int32_t>(device));
  NPU_TRY(model->load(source));
  return std::unique_ptr<Model>(std::move(model));
}

Json probe(const Options& options) {
  const auto no = [&](const Diag& d) {
    return Json{{"usable", false},
                {"library", options.get("library", kVariable)},
                {"version", ""},
                {"detail", d.message},
                {"hint", d.hint}};
  };
  Result<Libraries> l = open_libraries(options);
  if (!l) return no(l.error());
  const Result<Api> api = resolve(*l);
  if (!api) return no(api.error());
  int32_t major = 0, minor = 0, patch = 0;
  std::string version;
  if (api->version && api->version(&major, &minor, &patch) == 0)
    version = std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
  return Json{
      {"usable", true}, {"library", l->all.front()->path()}, {"version", version}, {"detail", ""}, {"hint", ""}};
}

constexpr std::string_view option_names[] = {"library", "device"};
constexpr runtime::Backend row{"ascend", "Huawei Ascend NPUs by AscendCL", option_names, ".om", load, probe};

}  // namespace
}  // namespace npuport::ascend

const npuport::runtime::Backend& npuport::runtime::ascend_backend() { return ascend::row; }
