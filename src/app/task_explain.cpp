#include "app/task_explain.h"

#include <algorithm>
#include <cmath>

namespace npuport::app {
namespace {

// Remembers what the cached loop was fed and gave at each position.
struct CachedSteps {
  Tensor encoded;
  std::vector<int64_t> tokens;
  std::vector<std::vector<float>> logits;

  PartRunner watch(const PartRunner& run, const DecodeRules& rules) {
    return [this, &run, &rules](const std::string& part, std::span<const Tensor> in) -> Result<std::vector<Tensor>> {
      NPU_ASSIGN(std::vector<Tensor> out, run(part, in));
      if (part == rules.roles.at("cross_kv")) encoded = in[0];
      if (part == rules.roles.at("decoder_kv") && !out.empty() && out[0].dtype == DType::f32) {
        tokens.push_back(get_int(in[0], 0));
        logits.emplace_back(out[0].as<float>().begin(), out[0].as<float>().end());
      }
      return out;
    };
  }
};

bool agree(std::span<const float> expected, std::span<const float> got) {
  double difference = 0, magnitude = 1;
  for (size_t i = 0; i < got.size(); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(expected[i]) - got[i]));
    magnitude = std::max(magnitude, std::abs(static_cast<double>(expected[i])));
  }
  return difference <= 1e-3 * magnitude;
}

// Positions whose logits agree with those of the decoder without a cache, from the first on.
Result<size_t> equal_steps(const Project& project, const DecodeRules& rules, const PartRunner& run,
                           const CachedSteps& cached) {
  const std::string& part = rules.roles.at("decoder");
  std::vector<int64_t> padded(static_cast<size_t>(rules.max_tokens), rules.pad_token);
  std::copy(cached.tokens.begin(), cached.tokens.end(), padded.begin());
  const Tensor tokens = Tensor::of<int64_t>({1, rules.max_tokens}, std::span<const int64_t>(padded));
  const bool audio_first = std::any_of(project.links.begin(), project.links.end(), [&](const ProjectLink& l) {
    return l.to_part == part && l.to_input == project.part(part)->inputs.front().name;
  });
  const Tensor in[] = {audio_first ? cached.encoded : tokens, audio_first ? tokens : cached.encoded};
  NPU_ASSIGN(const std::vector<Tensor> out, run(part, in));
  const std::span<const float> all = out[0].as<float>();
  for (size_t p = 0; p < cached.logits.size(); ++p) {
    const size_t width = cached.logits[p].size();
    if ((p + 1) * width > all.size() || !agree(all.subspan(p * width, width), cached.logits[p])) return p;
  }
  return cached.logits.size();
}

}  // namespace

Result<Explanation> explain_cached(const Project& project, const DecodeRules& rules, std::span<const Tensor> inputs,
                                   const PartRunner& run, bool full) {
  if (!full)
    return Explanation{
        "the decoder without a cache deviates, too: compare what goes into the encoder, the links and the decoding "
        "rules with PyTorch's",
        &lesson("NPU-H05")};
  CachedSteps steps;
  NPU_TRY(greedy_decode_cached(project, rules, inputs, steps.watch(run, rules)));
  NPU_ASSIGN(const size_t equal, equal_steps(project, rules, run, steps));
  if (equal == 0)
    return Explanation{
        "the cached decoder's first step deviates, before it reads any row of the cache: look at cross keys and "
        "values, embedding and position",
        &lesson("NPU-H01")};
  return Explanation{"encoder and the first " + std::to_string(equal) + (equal == 1 ? " step" : " steps") +
                         " equal the decoder without a cache, step " + std::to_string(equal + 1) +
                         " does not: the cache is joined at another row than the mask opens, or in another order",
                     &lesson("NPU-H04")};
}

}  // namespace npuport::app
