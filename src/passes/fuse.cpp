#include "passes/fuse.h"

#include "passes/fuse_rows.h"

namespace npuport {
namespace {

const std::vector<Rewrite>& all_rows() {
  static const std::vector<Rewrite> rows = [] {
    std::vector<Rewrite> v;
    for (const auto family : {formula_rewrites(), operator_rewrites(), affine_rewrites()})
      v.insert(v.end(), family.begin(), family.end());
    return v;
  }();
  return rows;
}

Result<size_t> run_fuse(Graph& g, PassContext& c) {
  static const RewriteSet rules(all_rows());
  return rules.apply(g, c);
}

const std::vector<Rewrite>& folding_rows() {
  static const std::vector<Rewrite> rows = [] {
    std::vector<Rewrite> v;
    for (const auto family : {operator_rewrites(), affine_rewrites()})
      for (const Rewrite& r : family)
        if (r.name.find("_into_") != std::string_view::npos) v.push_back(r);
    return v;
  }();
  return rows;
}

Result<size_t> run_refold(Graph& g, PassContext& c) {
  static const RewriteSet rules(folding_rows());
  return rules.apply(g, c);
}

Result<size_t> run_absorb(Graph& g, PassContext& c) {
  static const RewriteSet rules(absorb_rewrites());
  return rules.apply(g, c);
}

}  // namespace

std::span<const Rewrite> fuse_rewrites() { return all_rows(); }

const PassDef fuse_pass{"fuse", "Finds spelled-out operators and folds constants into the weights before them.",
                        Stage::canonical, run_fuse};
const PassDef refold_pass{"refold", "Folds what lowering wrote out into the weights and activations before it.",
                          Stage::canonical, run_refold};
const PassDef absorb_pass{"absorb", "Puts permutations into the weights of neighbouring linear layers.",
                          Stage::canonical, run_absorb};

}  // namespace npuport
