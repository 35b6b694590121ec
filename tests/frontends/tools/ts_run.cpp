// ts_run ARCHIVE.pt SAMPLE.npz…: imports each archive with its sample, runs it and compares; a developer's tool.
#include <chrono>
#include <cstdio>
#include <cstring>

#include "frontends/torchscript_suite.h"
#include "ir/text.h"
#include "ops/manifest.h"

using namespace npuport;

namespace {

double ms_since(std::chrono::steady_clock::time_point t) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - t).count();
}

int run_one(const std::string& pt, bool print_ir, bool trace) {
  const std::string name = std::filesystem::path(pt).stem().string();
  std::string npz_path = pt.substr(0, pt.size() - 3) + ".npz";
  const auto fail = [&](const char* what, const Diag& d) {
    std::string text = to_text(d);
    std::printf("%-28s %s %s", name.c_str(), what, text.c_str());
    return 1;
  };
  Result<NpzReader> npz = NpzReader::open(npz_path);
  if (!npz) return fail("NPZ", npz.error());
  Result<std::vector<Tensor>> in = test::numbered(*npz, "in."), want = test::numbered(*npz, "out.");
  if (!in) return fail("NPZ", in.error());
  if (!want) return fail("NPZ", want.error());
  auto t0 = std::chrono::steady_clock::now();
  Result<ImportedModel> model = test::import_with_sample(pt, *in);
  const double import_ms = ms_since(t0);
  if (!model) return fail("REFUSED", model.error());
  if (print_ir) std::printf("%s\n", print(model->graph, {.origins = true}).c_str());
  if (!model->opaque.empty()) {
    std::printf("%-28s OPAQUE", name.c_str());
    for (const OpaqueOperator& o : model->opaque) std::printf(" %s(%zu)", o.foreign.c_str(), o.places.size());
    std::printf("\n");
    return 1;
  }
  if (Status s = verify(model->graph, Stage::imported); !s) return fail("INVALID", s.error());
  t0 = std::chrono::steady_clock::now();
  ExecOptions options;
  if (trace)
    options.observer = [](NodeId, const Node& n, std::span<const Tensor> out) {
      for (const Tensor& t : out) {
        double sum = 0;
        for (int64_t i = 0; i < t.count(); ++i) sum += get_double(t, i);
        std::printf("  %s %s sum %.6g first %.6g\n", std::string(n.op->name).c_str(), to_string(t.shape).c_str(), sum,
                    t.count() ? get_double(t, 0) : 0.0);
      }
    };
  Result<std::vector<Tensor>> got = execute(model->graph, *in, options);
  const double run_ms = ms_since(t0);
  if (!got) return fail("RUN", got.error());
  const Comparison c = compare_all(*got, *want, Gate{});
  std::printf("%-28s %s max %.3g rel %.3g nodes %zu import %.0f ms run %.0f ms %s\n", name.c_str(),
              c.verdict == Verdict::pass ? "EQUAL" : std::string(npuport::name(c.verdict)).c_str(), c.max_diff,
              c.relative, model->graph.node_count(), import_ms, run_ms, c.reason.c_str());
  if (c.verdict != Verdict::pass && want->size() == got->size())
    for (size_t i = 0; i < want->size(); ++i) {
      const Comparison one = compare((*got)[i], (*want)[i], Gate{});
      std::printf("    out.%zu %s vs %s: %s %s\n", i,
                  to_string(TensorType{(*got)[i].dtype, (*got)[i].shape, {}}).c_str(),
                  to_string(TensorType{(*want)[i].dtype, (*want)[i].shape, {}}).c_str(),
                  std::string(npuport::name(one.verdict)).c_str(), one.reason.c_str());
    }
  return c.verdict == Verdict::pass ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  ops::register_all();
  bool print_ir = false, trace = false;
  int failed = 0, total = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--ir") == 0)
      print_ir = true;
    else if (std::strcmp(argv[i], "--trace") == 0)
      trace = true;
    else
      ++total, failed += run_one(argv[i], print_ir, trace);
    std::fflush(stdout);
  }
  std::printf("%d of %d equal\n", total - failed, total);
  return failed != 0;
}
