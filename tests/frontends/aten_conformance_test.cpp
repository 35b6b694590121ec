// Every case that tests/conformance/make_cases.py makes with PyTorch, called through the binder twice: on constants
// (everything folds) and on graph inputs (nodes are built and then evaluated by the rows' reference kernels).
#include <set>

#include "base/diag_codes.h"
#include "support/conformance.h"
#include "support/paths.h"

namespace npuport {
namespace {

using namespace npuport::testing;

std::string failure_of(const Json& one, const MappedFile& data, bool fold_inputs, bool& refused) {
  Replay replay(data, fold_inputs);
  const Result<std::vector<Tensor>> got = replay.run(one);
  if (!got) {
    refused = got.error().code == &diag::data_dependent;
    return to_text(got.error());
  }
  std::vector<const Json*> wanted;
  for (const Json& o : one["out"]) flatten_outputs(o, wanted);
  if (wanted.size() != got->size()) {
    return std::to_string(got->size()) + " results instead of " + std::to_string(wanted.size());
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Tensor want = tensor_of(*wanted[i], data);
    const double rtol = one.value("rtol", default_rtol(want.dtype));
    const double atol = one.value("atol", want.dtype == DType::f16 || want.dtype == DType::bf16 ? rtol : 2e-6);
    const std::string d = difference((*got)[i], want, rtol, atol);
    if (!d.empty()) return "output " + std::to_string(i) + ": " + d;
  }
  return {};
}

// These may say "depends on the data" when their indices, masks or counts are graph inputs.
const std::set<std::string, std::less<>> kNeedConstants = {
    "aten::index.Tensor",
    "aten::index_put",
    "aten::masked_select",
    "aten::masked_scatter",
    "aten::one_hot",
    "aten::repeat_interleave.Tensor",
    "aten::nonzero",
    "aten::argwhere",
    "aten::nonzero_numpy",
    "aten::where",
    "aten::quantile",
    "aten::repeat_interleave.self_Tensor",
    "aten::lstm.data",
    "aten::gru.data",
    "aten::rnn_tanh.data",
    "aten::rnn_relu.data",
    "aten::embedding_bag",
    "aten::_pack_padded_sequence",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::unique_consecutive",
    "aten::_pad_packed_sequence",
};

void replay_all(bool fold_inputs) {
  std::string why;
  const CaseFile* file = case_file(binary_dir() + "/conformance", why);
  if (file == nullptr) GTEST_SKIP() << why;
  const Json& cases = file->cases["cases"];
  EXPECT_GT(cases.size(), 3000u);
  std::map<std::string, int> failures;
  size_t number = 0;
  for (const Json& one : cases) {
    const std::string op = one["op"].get<std::string>();
    bool refused = false;
    const std::string problem = failure_of(one, *file->data, fold_inputs, refused);
    ++number;
    if (problem.empty() || (refused && !fold_inputs && kNeedConstants.contains(op))) continue;
    if (++failures[op] > 3) continue;
    std::string shown = dump_json(one["args"], -1) + " " + dump_json(one["kwargs"], -1);
    ADD_FAILURE() << op << " (case " << number - 1 << "): " << problem << "\n  " << shown.substr(0, 300);
  }
  for (const auto& [op, count] : failures) std::cerr << op << ": " << count << " cases failed\n";
}

TEST(AtenConformance, OnConstants) { replay_all(true); }
TEST(AtenConformance, OnGraphInputs) { replay_all(false); }

}  // namespace
}  // namespace npuport
