// The interpreter: the input is the code of a small module, put into an archive whose other members are fixed.
#include "base/zip.h"
#include "frontends/aten_extensions.h"
#include "frontends/torch/script_inputs.h"
#include "frontends/torch/script_loader.h"
#include "fuzz.h"
#include "ir/text.h"
#include "ops/manifest.h"

namespace {

using namespace npuport;

std::string little(uint64_t v, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> (8 * i) & 0xFF);
  return out;
}
std::string str(const std::string& s) { return "X" + little(s.size(), 4) + s; }

// A module __torch__.M: training = False, w = float32 [2,2], items = [1, 2], names = {"a": 3}.
std::string module_pickle() {
  const std::string weight = "ctorch._utils\n_rebuild_tensor_v2\n((" + str("storage") + "ctorch\nFloatStorage\n" +
                             str("0") + str("cpu") + "K\x04" + "tQK" + std::string(1, '\0') +
                             "(K\x02K\x02t(K\x02K\x01t" + "\x89" + "ccollections\nOrderedDict\n)RtR";
  return "\x80\x02"
         "c__torch__\nM\n)\x81}(" +
         str("training") + "\x89" + str("w") + weight + str("items") +
         "](K\x01K\x02"
         "e" +
         str("names") + "}" + str("a") + "K\x03s" + "ub.";
}

std::string archive(std::string_view code) {
  std::string out;
  ZipWriter zip([&](std::span<const std::byte> b) {
    out.append(reinterpret_cast<const char*>(b.data()), b.size());
    return Status();
  });
  const auto add = [&](std::string_view name, std::string_view contents) {
    if (!zip.add(name, std::as_bytes(std::span(contents)))) std::abort();
  };
  const float weight[] = {1, -2, 3, 0.5F};
  add("m/version", "3\n");
  add("m/data.pkl", module_pickle());
  add("m/constants.pkl", "\x80\x02).");
  add("m/code/__torch__.py", code);
  add("m/data/0", {reinterpret_cast<const char*>(weight), sizeof weight});
  if (!zip.finish()) std::abort();
  return out;
}

// Runs `forward` as import_torchscript does, with less patience for loops that never end.
void import(const TorchArchive& archive, const ImportOptions& options) {
  Graph graph;
  Builder builder(graph, /*fold=*/true);
  CodeLibrary code(archive);
  AtenBinder binder(builder);
  add_extensions(binder);
  Interpreter interpreter(code, binder, {.steps = 5'000, .nodes = 5'000});
  ScriptLoader loader(archive, interpreter);
  const auto root = loader.root();
  if (!root) return;
  const script::Function* forward = (*root)->cls->def->method("forward");
  if (forward == nullptr) return;
  InputBuilder inputs(interpreter, options, nullptr);
  auto arguments = inputs.build(*forward, (*root)->cls->file, (*root)->cls);
  if (!arguments) return;
  if (interpreter.call_method(*root, "forward", std::move(*arguments))) (void)print(graph);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ops::register_all();
  const auto opened = TorchArchive::open(MappedFile::from_bytes(archive(fuzz::text(data, size)), "fuzz"));
  if (!opened) return 0;
  for (size_t inputs = 0; inputs < 3; ++inputs) {
    ImportOptions options;
    if (inputs > 0) options.inputs.push_back({"x", {DType::f32, {2, 2}, nullptr}, nullptr});
    if (inputs > 1) options.inputs.push_back({"ids", {DType::i64, {2}, nullptr}, nullptr});
    import(*opened, options);
  }
  return 0;
}
