#include "pipelines/marian/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/diag_codes.h"
#include "pipelines/logits.h"

namespace npuport::marian {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// One step's logits, checked and copied, suppressed tokens at −inf; `normaliser`: log Σ exp of all of them.
Status take_logits(Network& network, const Rules& rules, size_t slot, int32_t token, size_t position,
                   std::vector<float>& out, double& normaliser) {
  NPU_ASSIGN(const std::span<const float> raw, network.step(slot, token, position));
  if (raw.size() != static_cast<size_t>(rules.target_vocabulary))
    return Diag(diag::shape_mismatch, fmt::format("the decoder gives {} logits, the vocabulary has {} tokens",
                                                  raw.size(), rules.target_vocabulary));
  NPU_TRY(check_logits(raw));
  out.assign(raw.begin(), raw.end());
  normaliser = log_sum_exp(out);
  for (const int32_t id : rules.suppress) out[static_cast<size_t>(id)] = kNever;
  if (!std::isfinite(normaliser) || std::all_of(out.begin(), out.end(), [](float v) { return v == kNever; }))
    return Diag(diag::gate_failed, "every token is suppressed, or a logit is infinite");
  return {};
}

struct Beam {
  std::vector<int32_t> tokens;  // without the start token
  double sum = 0;
  size_t slot = 0;
};

struct Candidate {
  double sum;
  size_t beam;
  int32_t token;
  // The likelier first; of equals the one of the earlier beam, then of the lower id.
  bool operator<(const Candidate& o) const {
    if (sum != o.sum) return sum > o.sum;
    return beam != o.beam ? beam < o.beam : token < o.token;
  }
};

// The best finished translations.
class Finished {
 public:
  explicit Finished(size_t most) : most_(most) {}

  void add(std::vector<int32_t> tokens, double sum, size_t length, bool truncated) {
    const double score = sum / static_cast<double>(std::max<size_t>(length, 1));
    if (all_.size() == most_ && score <= worst().score) return;
    all_.push_back({std::move(tokens), score, truncated});
    std::stable_sort(all_.begin(), all_.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    if (all_.size() > most_) all_.pop_back();
  }
  // Can nothing whose sum is at most `best_sum` after `length` tokens get in?
  bool complete(double best_sum, size_t length) const {
    return all_.size() == most_ && worst().score >= best_sum / static_cast<double>(length);
  }
  bool empty() const { return all_.empty(); }
  Hypothesis best() && { return std::move(all_.front()); }

 private:
  const Hypothesis& worst() const { return all_.back(); }
  size_t most_;
  std::vector<Hypothesis> all_;
};

// The `count` likeliest continuations of all beams, in order.
Result<std::vector<Candidate>> continuations(Network& network, const Rules& rules, const std::vector<Beam>& beams,
                                             size_t position, size_t count) {
  std::vector<Candidate> heap;  // the least likely of those kept on top
  std::vector<float> logits;
  for (size_t b = 0; b < beams.size(); ++b) {
    const int32_t last = beams[b].tokens.empty() ? rules.decoder_start : beams[b].tokens.back();
    double normaliser = 0;
    NPU_TRY(take_logits(network, rules, beams[b].slot, last, position, logits, normaliser));
    for (size_t id = 0; id < logits.size(); ++id) {
      if (logits[id] == kNever) continue;
      const Candidate c{beams[b].sum + (static_cast<double>(logits[id]) - normaliser), b, static_cast<int32_t>(id)};
      if (heap.size() == count && !(c < heap.front())) continue;
      if (heap.size() == count) {
        std::pop_heap(heap.begin(), heap.end());
        heap.pop_back();
      }
      heap.push_back(c);
      std::push_heap(heap.begin(), heap.end());
    }
  }
  std::sort_heap(heap.begin(), heap.end());
  return heap;
}

// Slots for the chosen continuations: a parent's first child goes on in its slot, its others in slots set free, copied.
Result<std::vector<Beam>> go_on(Network& network, const std::vector<Beam>& beams, const std::vector<Candidate>& chosen,
                                size_t slots, size_t rows) {
  std::vector<bool> taken(slots, false);
  std::vector<Beam> next;
  for (const Candidate& c : chosen) taken[beams[c.beam].slot] = true;
  std::vector<bool> kept(slots, false);
  for (const Candidate& c : chosen) {
    const Beam& parent = beams[c.beam];
    size_t slot = parent.slot;
    if (kept[slot]) {
      slot = static_cast<size_t>(std::find(taken.begin(), taken.end(), false) - taken.begin());
      taken[slot] = true;
      NPU_TRY(network.fork(parent.slot, slot, rows));
    }
    kept[slot] = true;
    next.push_back({parent.tokens, c.sum, slot});
    next.back().tokens.push_back(c.token);
  }
  return next;
}

}  // namespace

Result<Hypothesis> greedy(Network& network, const Rules& rules) {
  Hypothesis h;
  double sum = 0;
  std::vector<float> logits;
  int32_t last = rules.decoder_start;
  h.truncated = true;
  size_t length = 0;
  for (size_t position = 0; position < static_cast<size_t>(rules.max_new_tokens); ++position) {
    double normaliser = 0;
    NPU_TRY(take_logits(network, rules, 0, last, position, logits, normaliser));
    const auto best = std::max_element(logits.begin(), logits.end());
    sum += static_cast<double>(*best) - normaliser;
    ++length;
    last = static_cast<int32_t>(best - logits.begin());
    if (last == rules.eos) {
      h.truncated = false;
      break;
    }
    h.tokens.push_back(last);
  }
  h.score = sum / static_cast<double>(std::max<size_t>(length, 1));
  return h;
}

Result<Hypothesis> beam_search(Network& network, const Rules& rules, size_t beams) {
  Finished finished(beams);
  std::vector<Beam> running{{}};
  const auto limit = static_cast<size_t>(rules.max_new_tokens);
  for (size_t position = 0; position < limit; ++position) {
    const size_t length = position + 1;
    NPU_ASSIGN(const std::vector<Candidate> best, continuations(network, rules, running, position, 2 * beams));
    std::vector<Candidate> chosen;
    for (size_t rank = 0; rank < best.size() && chosen.size() < beams; ++rank) {
      const Candidate& c = best[rank];
      if (c.token != rules.eos) {
        chosen.push_back(c);
      } else if (rank < beams) {
        finished.add(running[c.beam].tokens, c.sum, length, false);
      }
    }
    if (finished.complete(best.front().sum, length) || chosen.empty()) {
      running.clear();
      break;
    }
    NPU_ASSIGN(running, go_on(network, running, chosen, beams, length));
  }
  for (Beam& b : running) finished.add(std::move(b.tokens), b.sum, limit, true);
  if (finished.empty()) return Diag(diag::gate_failed, "beam search found no translation");
  return std::move(finished).best();
}

}  // namespace npuport::marian
