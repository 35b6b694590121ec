#include "exec/executor.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <new>

#include "base/diag_codes.h"
#include "exec/parallel.h"
#include "exec/plan.h"

namespace npuport {

namespace {

struct AlignedDelete {
  void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{64}); }
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedDelete>;

AlignedBytes allocate_aligned(int64_t bytes) {
  if (bytes == 0) return nullptr;
  return AlignedBytes(
      static_cast<std::byte*>(::operator new[](static_cast<size_t>(bytes), std::align_val_t{64}, std::nothrow)));
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

struct Executor::Impl {
  std::unique_ptr<Plan> plan;
  ExecOptions options;
  int threads = 1;
  std::unique_ptr<Graph> original;  // for observers
  AlignedBytes arena, scratch;
  std::vector<std::byte*> bases;  // per buffer, valid during a run
  std::vector<Tensor> outputs;    // of the last run: their memory is used again when the caller has let go of it
  std::vector<NodeTime> times;

  Status allocate();
  Status check_inputs(std::span<const Tensor> inputs) const;
  void bind(std::span<const Tensor> inputs);
  Status run_step(Step& step);
  void observe(int step, size_t& next);
  std::byte* at(const Place& p) const {
    return p.buffer < 0 ? nullptr : bases[static_cast<size_t>(p.buffer)] + p.offset;
  }
};

Status Executor::Impl::allocate() {
  arena = allocate_aligned(plan->arena_bytes);
  scratch = allocate_aligned(plan->scratch_bytes);
  if ((plan->arena_bytes > 0 && !arena) || (plan->scratch_bytes > 0 && !scratch)) {
    return Diag(diag::too_large, fmt::format("not enough memory: the model needs {} MB for activations",
                                             (plan->arena_bytes + plan->scratch_bytes) >> 20));
  }
  return {};
}

Status Executor::Impl::check_inputs(std::span<const Tensor> inputs) const {
  const Graph& g = plan->graph;
  if (inputs.size() != g.inputs().size()) {
    return Diag(diag::bad_input_data,
                fmt::format("the model takes {} inputs, {} were given", g.inputs().size(), inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& want = g.type(g.inputs()[i]);
    const Tensor& t = inputs[i];
    if (t.dtype == want.dtype && t.shape == want.shape) continue;
    const std::string& input = g.value(g.inputs()[i]).name;
    return Diag(diag::bad_input_data, fmt::format("input {} (\"{}\") must be {}, not {}", i, input, to_string(want),
                                                  to_string(TensorType{t.dtype, t.shape, nullptr})))
        .at_tensor(input);
  }
  return {};
}

void Executor::Impl::bind(std::span<const Tensor> inputs) {
  const Graph& g = plan->graph;
  outputs.resize(g.outputs().size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].owner && outputs[i].owner.use_count() == 1) continue;
    const TensorType& type = g.type(g.outputs()[i]);
    outputs[i] = Tensor::zeros(type.dtype, type.shape);
  }
  bases.assign(plan->buffers.size(), nullptr);
  for (size_t i = 0; i < bases.size(); ++i) {
    const Buffer& b = plan->buffers[static_cast<size_t>(root_buffer(*plan, static_cast<int>(i)))];
    switch (b.kind) {
      // Inputs and constants are only read; the plan never gives them to a kernel as output.
      case Buffer::constant:
        bases[i] = const_cast<std::byte*>(b.data);
        break;
      case Buffer::input:
        bases[i] = const_cast<std::byte*>(inputs[b.index].data);
        break;
      case Buffer::arena:
        bases[i] = arena.get() + b.offset;
        break;
      case Buffer::output:
        bases[i] = outputs[b.index].mutable_data();
        break;
    }
  }
}

Status Executor::Impl::run_step(Step& step) {
  for (size_t i = 0; i < step.in.size(); ++i) step.in_views[i].data = at(step.in[i]);
  for (size_t i = 0; i < step.out.size(); ++i) step.out_views[i].data = at(step.out[i]);
  if (step.copy_bytes >= 0) {
    if (step.copy_bytes > 0)
      std::memcpy(step.out_views[0].data, step.in_views[0].data, static_cast<size_t>(step.copy_bytes));
    return {};
  }
  const Node& n = plan->graph.node(step.node);
  // Reference kernels may count on zero-filled outputs, as `evaluate` gives them.
  for (const MutView& v : step.out_views) {
    if (!step.kernel && v.count() > 0) std::memset(v.data, 0, static_cast<size_t>(byte_size(v.dtype, v.count())));
  }
  Status done = step.kernel ? step.kernel->run({step.in_views, step.out_views, scratch.get(), threads})
                            : n.op->eval({*n.op, step.in_views, step.out_views, n.attr()});
  if (done) return done;
  Diag d = std::move(done).error();
  d.at_node(n.op->name);
  if (!n.origins.empty()) d.at_source(n.origins.front().source);
  return d;
}

void Executor::Impl::observe(int step, size_t& next) {
  for (; next < plan->observations.size() && plan->observations[next].after_step <= step; ++next) {
    const Observation& o = plan->observations[next];
    std::vector<Tensor> seen;
    for (size_t i = 0; i < o.places.size(); ++i) {
      Tensor t = Tensor::zeros(o.types[i].dtype, o.types[i].shape);
      if (t.bytes() > 0) std::memcpy(t.mutable_data(), at(o.places[i]), static_cast<size_t>(t.bytes()));
      seen.push_back(std::move(t));
    }
    options.observer(o.node, original->node(o.node), seen);
  }
}

Executor::Executor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Executor::Executor(Executor&&) noexcept = default;
Executor& Executor::operator=(Executor&&) noexcept = default;
Executor::~Executor() = default;

Result<Executor> Executor::create(const Graph& g, const ExecOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->threads = options.threads > 0 ? options.threads : available_threads();
  const ThreadCount scope(impl->threads);
  NPU_ASSIGN(impl->plan, make_plan(g, options, impl->threads));
  if (options.observer) impl->original = std::make_unique<Graph>(g);
  NPU_TRY(impl->allocate());
  return Executor(std::move(impl));
}

Result<std::vector<Tensor>> Executor::run(std::span<const Tensor> inputs) {
  Impl& m = *impl_;
  NPU_TRY(m.check_inputs(inputs));
  const ThreadCount scope(m.threads);
  m.bind(inputs);
  m.times.clear();
  size_t observed = 0;
  if (m.options.observer) m.observe(-1, observed);
  for (size_t s = 0; s < m.plan->steps.size(); ++s) {
    Step& step = m.plan->steps[s];
    const auto start = std::chrono::steady_clock::now();
    NPU_TRY(m.run_step(step));
    if (m.options.profile)
      m.times.push_back({step.node, std::string(step.op), step.kernel_name, milliseconds_since(start)});
    if (m.options.observer) m.observe(static_cast<int>(s), observed);
  }
  return m.outputs;
}

const std::vector<NodeTime>& Executor::profile() const { return impl_->times; }

int64_t Executor::arena_bytes() const { return impl_->plan->arena_bytes; }

Result<std::vector<Tensor>> execute(const Graph& g, std::span<const Tensor> inputs, const ExecOptions& options) {
  NPU_ASSIGN(Executor executor, Executor::create(g, options));
  return executor.run(inputs);
}

}  // namespace npuport
