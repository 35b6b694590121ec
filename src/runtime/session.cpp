#include "runtime/session.h"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/diag_codes.h"

namespace npuport::runtime {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kAlignment = 64;
// No device has buffers of this size; a damaged description does.
constexpr int64_t kMaxBufferBytes = int64_t{1} << 36;

double since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Zeros, 64-byte aligned; unlike Tensor::zeros an error when there is no memory, for sizes come from files.
Result<Tensor> allocate_tensor(const IoInfo& info) {
  NPU_TRY(check_shape(info.type.shape));
  const int64_t bytes = byte_size(info.type.dtype, element_count(info.type.shape));
  const size_t padded = std::max<size_t>(1, (static_cast<size_t>(bytes) + kAlignment - 1) / kAlignment) * kAlignment;
  void* memory = bytes > kMaxBufferBytes ? nullptr : std::aligned_alloc(kAlignment, padded);
  if (!memory)
    return Diag(diag::too_large,
                "there is no memory for the " + std::to_string(bytes) + " bytes of '" + info.name + "'")
        .at_tensor(info.name);
  std::memset(memory, 0, padded);
  Tensor t{info.type.dtype, info.type.shape, nullptr, static_cast<const std::byte*>(memory)};
  t.owner = std::shared_ptr<const void>(memory, [](const void* p) { std::free(const_cast<void*>(p)); });
  return t;
}

Tensor borrowed(const IoInfo& info, const void* data) {
  return {info.type.dtype, info.type.shape, nullptr, static_cast<const std::byte*>(data)};
}

size_t bytes_of(const IoInfo& info) {
  return static_cast<size_t>(byte_size(info.type.dtype, element_count(info.type.shape)));
}

std::string describe(const std::vector<IoInfo>& list) {
  std::string out;
  for (const IoInfo& i : list) out += (out.empty() ? "" : ", ") + i.name + " " + to_string(i.type);
  return out.empty() ? "nothing" : out;
}

// Metadata and file must agree: names may differ (compilers rename), types may not.
Status same_types(const std::vector<IoInfo>& wanted, const std::vector<IoInfo>& found, const char* what,
                  const std::string& file) {
  bool same = wanted.size() == found.size();
  for (size_t i = 0; same && i < wanted.size(); ++i) {
    const TensorType &w = wanted[i].type, &f = found[i].type;
    // Compilers may choose another float (atc: float16 outputs); it is converted.
    same = w.shape == f.shape && (w.dtype == f.dtype || (is_float(w.dtype) && is_float(f.dtype)));
  }
  if (same) return {};
  return Diag(diag::corrupt,
              std::string("the file's ") + what + " are " + describe(found) + "; the metadata say " + describe(wanted),
              "the file belongs to another port: port the model again, or restore the file")
      .in_file(file);
}

Diag busy() {
  return Diag(diag::busy, "the session is in use by another call, or by a run that went over its time",
              "use one session per thread; after a timeout wait or open another session");
}

}  // namespace

namespace {

// The imported model's shapes follow from the file's, the tables' and the host graphs'; a contract that says otherwise
// belongs to another file, and must not decide how much memory is taken.
Status check_contract(const Interface& interface, const Model& model, const std::string& file) {
  const IoContract& c = interface.contract;
  if (c.file_inputs.size() != model.inputs().size() || c.file_outputs.size() != model.outputs().size())
    return Diag(diag::corrupt, "the contract and the file differ in the number of inputs or outputs").in_file(file);
  std::map<std::string, Shape, std::less<>> known;
  for (size_t i = 0; i < c.file_inputs.size(); ++i) {
    const IoBinding& b = c.file_inputs[i];
    const Shape& found = model.inputs()[i].type.shape;
    Shape shape = found;
    if (b.shape.empty() && !b.permutation.empty() && b.permutation.size() != found.size())
      return Diag(diag::corrupt, "the contract's permutation of '" + b.name + "' has another rank").in_file(file);
    if (!b.shape.empty()) {
      // io_contract_from_json has seen to it that the model's shape holds as many elements.
      const auto port =
          std::find_if(c.inputs.begin(), c.inputs.end(), [&](const IoPort& p) { return p.name == b.name; });
      if (b.shape != found || port == c.inputs.end())
        return Diag(diag::corrupt, "the contract's shape of '" + b.name + "' is not the file's").in_file(file);
      known[b.name] = port->type.shape;
      continue;
    }
    for (size_t d = 0; d < b.permutation.size(); ++d) shape[static_cast<size_t>(b.permutation[d])] = found[d];
    known[b.name] = std::move(shape);
  }
  for (const HostStep& step : c.host_steps) {
    if (step.kind == "embedding_lookup" && known.contains(step.outputs.front())) {
      Shape ids = known[step.outputs.front()];
      if (ids.empty() || ids.back() != step.table->shape[1])
        return Diag(diag::corrupt, "rows of the table " + step.file + " do not fit '" + step.outputs.front() + "'")
            .in_file(file);
      ids.pop_back();
      known[step.inputs.front()] = std::move(ids);
    }
    const auto graph = interface.step_models.find(step.file);
    if (graph == interface.step_models.end()) continue;
    for (size_t k = 0; k < step.inputs.size() && k < graph->second->inputs().size(); ++k)
      known[step.inputs[k]] = graph->second->inputs()[k].type.shape;
  }
  constexpr int64_t most_unused = 1 << 24;  // elements of an input nothing looks at
  for (const IoPort& p : c.inputs) {
    const auto it = known.find(p.name);
    if (it == known.end() ? element_count(p.type.shape) <= most_unused : it->second == p.type.shape) continue;
    return Diag(diag::corrupt,
                "the contract gives '" + p.name + "' the shape " + to_string(p.type.shape) +
                    (it == known.end() ? "" : ", the file takes " + to_string(it->second)),
                "the metadata belong to another file: port the model again")
        .in_file(file)
        .at_tensor(p.name);
  }
  return {};
}

}  // namespace

// What a run needs; outlives the session while a run that timed out goes on.
struct Session::Core {
  enum State : int { idle, in_call, background, closed };
  std::atomic<int> state{idle};
  std::unique_ptr<Model> model;
  std::optional<Interface> interface;
  double host_ms = 0;  // of the last run

  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, std::vector<Tensor> outputs);
};

namespace {

// Holds the session for one call.
class Turn {
 public:
  explicit Turn(std::atomic<int>& state, int idle, int taken) : state_(state), idle_(idle) {
    int expected = idle;
    held_ = state.compare_exchange_strong(expected, taken);
  }
  ~Turn() {
    if (held_) state_ = idle_;
  }
  explicit operator bool() const { return held_; }
  void give_away() { held_ = false; }

 private:
  std::atomic<int>& state_;
  int idle_;
  bool held_;
};

}  // namespace

namespace {

// Runs `model` on what host steps made: any float converts to the float the file takes, nothing else does.
Result<std::vector<Tensor>> run_fitting(Model& model, std::span<const Tensor> in) {
  const std::vector<IoInfo>& wanted = model.inputs();
  if (in.size() != wanted.size())
    return Diag(diag::corrupt, "the contract gives " + std::to_string(in.size()) + " inputs, the file takes " +
                                   std::to_string(wanted.size()));
  std::vector<Tensor> fitting(in.begin(), in.end());
  for (size_t i = 0; i < in.size(); ++i) {
    Tensor& t = fitting[i];
    if (t.dtype != wanted[i].type.dtype && is_float(t.dtype) && is_float(wanted[i].type.dtype))
      t = cast_tensor(t, wanted[i].type.dtype);
    if (t.dtype != wanted[i].type.dtype || t.shape != wanted[i].type.shape)
      return Diag(diag::corrupt, "the contract gives " + to_string(TensorType{t.dtype, t.shape, nullptr}) + " for '" +
                                     wanted[i].name + "', the file takes " + to_string(wanted[i].type))
          .at_tensor(wanted[i].name);
  }
  std::vector<Tensor> out(model.outputs().size());
  NPU_TRY(model.run(fitting, out));
  return out;
}

}  // namespace

Result<std::vector<Tensor>> Session::Core::run(std::span<const Tensor> inputs, std::vector<Tensor> outputs) {
  host_ms = 0;
  if (!interface) {
    NPU_TRY(model->run(inputs, outputs));
    return outputs;
  }
  const auto start = Clock::now();
  double device_ms = 0;
  HostRunner runner;
  runner.run = [&](std::span<const Tensor> in) -> Result<std::vector<Tensor>> {
    const auto device_start = Clock::now();
    Result<std::vector<Tensor>> out = run_fitting(*model, in);
    device_ms += since(device_start);
    return out;
  };
  runner.run_graph = [&](const HostStep& step, const std::string& path,
                         std::span<const Tensor> in) -> Result<std::vector<Tensor>> {
    const auto it = interface->step_models.find(step.file);
    if (it == interface->step_models.end()) return Diag(diag::internal, "the host step was not loaded").in_file(path);
    return run_fitting(*it->second, in);
  };
  Result<std::vector<Tensor>> out = run_original_interface(interface->contract, inputs, runner);
  host_ms = since(start) - device_ms;
  return out;
}

Result<std::shared_ptr<Session>> Session::open(const Backend& backend, const ModelSource& source,
                                               const Options& options, std::optional<Interface> interface) {
  const auto start = Clock::now();
  std::shared_ptr<Session> s(new Session(backend));
  s->core_ = std::make_shared<Core>();
  NPU_ASSIGN(s->core_->model, backend.load(source, options));
  const Model& model = *s->core_->model;
  if (!source.inputs.empty() || !source.outputs.empty()) {
    NPU_TRY(same_types(source.inputs, model.inputs(), "inputs", source.name()));
    NPU_TRY(same_types(source.outputs, model.outputs(), "outputs", source.name()));
  }
  const auto plain = [](const std::vector<IoInfo>& wanted, const std::vector<IoInfo>& found) {
    return std::equal(wanted.begin(), wanted.end(), found.begin(), found.end(),
                      [](const IoInfo& w, const IoInfo& f) { return w.type == f.type; });
  };
  if (interface && interface->contract.identity() && plain(source.inputs, model.inputs()) &&
      plain(source.outputs, model.outputs()))
    interface.reset();  // nothing to do around the model
  if (interface) {
    NPU_TRY(check_contract(*interface, model, source.name()));
    for (const IoPort& p : interface->contract.inputs) s->inputs_.push_back({p.name, p.type, {}, {}});
    for (const IoPort& p : interface->contract.outputs) s->outputs_.push_back({p.name, p.type, {}, {}});
  } else {
    // Names and layouts of the metadata say more than the file's.
    s->inputs_ = source.inputs.empty() ? model.inputs() : source.inputs;
    s->outputs_ = source.outputs.empty() ? model.outputs() : source.outputs;
    for (size_t i = 0; i < s->inputs_.size(); ++i) s->inputs_[i].type = model.inputs()[i].type;
    for (size_t i = 0; i < s->outputs_.size(); ++i) s->outputs_[i].type = model.outputs()[i].type;
  }
  s->core_->interface = std::move(interface);
  NPU_TRY(s->allocate());
  s->profile_.open_ms = since(start);
  return s;
}

Session::~Session() = default;

Status Session::allocate() {
  for (const IoInfo& info : inputs_) {
    NPU_ASSIGN(Tensor t, allocate_tensor(info));
    own_.push_back(std::move(t));
  }
  bound_in_.resize(inputs_.size());
  bound_out_.resize(outputs_.size());
  return {};
}

Status Session::index(size_t i, const std::vector<IoInfo>& list, const char* what) const {
  if (i < list.size()) return {};
  return Diag(diag::usage, "the model has " + std::to_string(list.size()) + " " + what + "s, there is no " + what +
                               " " + std::to_string(i));
}

Status Session::size(const IoInfo& info, const void* data, size_t bytes) const {
  if (!data && bytes > 0) return Diag(diag::usage, "no memory was given for '" + info.name + "'").at_tensor(info.name);
  if (bytes == bytes_of(info)) return {};
  return Diag(diag::usage, "'" + info.name + "' is " + to_string(info.type) + ", " + std::to_string(bytes_of(info)) +
                               " bytes; " + std::to_string(bytes) + " were given")
      .at_tensor(info.name);
}

Status Session::set_input(size_t i, const void* data, size_t bytes) {
  Turn turn(core_->state, Core::idle, Core::in_call);
  if (!turn) return busy();
  NPU_TRY(index(i, inputs_, "input"));
  NPU_TRY(size(inputs_[i], data, bytes));
  if (bytes > 0) std::memcpy(own_[i].mutable_data(), data, bytes);
  bound_in_[i] = nullptr;
  return {};
}

Result<std::span<std::byte>> Session::input_buffer(size_t i) {
  Turn turn(core_->state, Core::idle, Core::in_call);
  if (!turn) return busy();
  NPU_TRY(index(i, inputs_, "input"));
  bound_in_[i] = nullptr;
  return std::span<std::byte>(own_[i].mutable_data(), bytes_of(inputs_[i]));
}

Result<std::span<const std::byte>> Session::result(size_t i) const {
  NPU_TRY(index(i, outputs_, "output"));
  if (results_.empty())
    return Diag(diag::usage, "there is no output yet", "call npuport_session_run first, and look at what it returns");
  return std::span<const std::byte>(results_[i].data, bytes_of(outputs_[i]));
}

Result<std::span<const std::byte>> Session::output_buffer(size_t i) {
  Turn turn(core_->state, Core::idle, Core::in_call);
  if (!turn) return busy();
  return result(i);
}

Status Session::get_output(size_t i, void* data, size_t bytes) {
  Turn turn(core_->state, Core::idle, Core::in_call);
  if (!turn) return busy();
  NPU_ASSIGN(const std::span<const std::byte> from, result(i));
  NPU_TRY(size(outputs_[i], data, bytes));
  if (bytes > 0) std::memcpy(data, from.data(), bytes);
  return {};
}

Status Session::bind_input(size_t i, const void* data, size_t bytes) {
  Turn turn(core_->state, Core::idle, Core::in_call);
  if (!turn) return busy();
  NPU_TRY(index(i, inputs_, "input"));
  if (data) NPU_TRY(size(inputs_[i], data, bytes));
  bound_in_[i] = data;
  return {};
}

Status Session::bind_output(size_t i, void* data, size_t bytes) {
  Turn turn(core_->state, Core::idle, Core::in_call);
  if (!turn) return busy();
  NPU_TRY(index(i, outputs_, "output"));
  if (data) NPU_TRY(size(outputs_[i], data, bytes));
  bound_out_[i] = data;
  return {};
}

std::vector<Tensor> Session::current_inputs(bool copy) const {
  std::vector<Tensor> in;
  for (size_t i = 0; i < own_.size(); ++i) {
    const void* data = bound_in_[i] ? bound_in_[i] : own_[i].data;
    if (copy) {
      in.push_back(Tensor::zeros(own_[i].dtype, own_[i].shape));
      if (bytes_of(inputs_[i]) > 0) std::memcpy(in.back().mutable_data(), data, bytes_of(inputs_[i]));
    } else {
      in.push_back(borrowed(inputs_[i], data));
    }
  }
  return in;
}

Status Session::take_outputs(std::vector<Tensor> results) {
  if (results.size() != outputs_.size())
    return Diag(diag::internal, "the backend gave " + std::to_string(results.size()) + " outputs");
  for (size_t i = 0; i < results.size(); ++i) {
    Tensor& t = results[i];
    if (t.dtype != outputs_[i].type.dtype || t.shape != outputs_[i].type.shape)
      return Diag(diag::corrupt, "output '" + outputs_[i].name + "' came as " +
                                     to_string(TensorType{t.dtype, t.shape, nullptr}) + ", not as " +
                                     to_string(outputs_[i].type))
          .at_tensor(outputs_[i].name);
    if (!bound_out_[i] || t.data == bound_out_[i]) continue;
    if (bytes_of(outputs_[i]) > 0) std::memcpy(bound_out_[i], t.data, bytes_of(outputs_[i]));
    t = borrowed(outputs_[i], bound_out_[i]);
  }
  results_ = std::move(results);
  return {};
}

namespace {

// A run in a thread of its own, and who waits for it.
struct Waiting {
  std::mutex mutex;
  std::condition_variable done;
  std::optional<Result<std::vector<Tensor>>> result;
  bool abandoned = false;
};

template <class Core>
Result<std::vector<Tensor>> run_guarded(Core& core, std::span<const Tensor> in, std::vector<Tensor> places) {
  // Nothing above this thread catches.
  try {
    return core.run(in, std::move(places));
  } catch (const std::bad_alloc&) {
    return Diag(diag::too_large, "out of memory");
  } catch (const std::exception& e) {
    return Diag(diag::internal, e.what());
  }
}

}  // namespace

Status Session::run(uint32_t timeout_ms) {
  Turn turn(core_->state, Core::idle, Core::in_call);
  if (!turn) return busy();
  const auto start = Clock::now();
  results_.clear();  // may point into the backend's memory
  std::optional<Result<std::vector<Tensor>>> out;
  if (timeout_ms == 0) {
    std::vector<Tensor> places;
    for (size_t i = 0; i < outputs_.size(); ++i) places.push_back(borrowed(outputs_[i], bound_out_[i]));
    out = core_->run(current_inputs(false), std::move(places));
  } else {
    auto waiting = std::make_shared<Waiting>();
    std::vector<Tensor> places;
    for (const IoInfo& o : outputs_) places.push_back(borrowed(o, nullptr));
    std::thread worker([core = core_, waiting, in = current_inputs(true), places = std::move(places)]() mutable {
      Result<std::vector<Tensor>> r = run_guarded(*core, in, std::move(places));
      const std::lock_guard lock(waiting->mutex);
      waiting->result = std::move(r);
      if (waiting->abandoned) core->state = Core::idle;
      waiting->done.notify_one();
    });
    worker.detach();
    std::unique_lock lock(waiting->mutex);
    if (!waiting->done.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                                [&] { return waiting->result.has_value(); })) {
      waiting->abandoned = true;
      core_->state = Core::background;
      turn.give_away();
      return Diag(diag::timed_out, "the run took longer than " + std::to_string(timeout_ms) + " ms",
                  "allow more time; if the device hangs, end the process");
    }
    out = std::move(waiting->result);
  }
  if (!*out) return std::move(*out).error();
  NPU_TRY(take_outputs(std::move(**out)));

  profile_.last_ms = since(start);
  profile_.last_host_ms = core_->host_ms;
  profile_.min_ms = profile_.runs == 0 ? profile_.last_ms : std::min(profile_.min_ms, profile_.last_ms);
  profile_.max_ms = std::max(profile_.max_ms, profile_.last_ms);
  total_ms_ += profile_.last_ms;
  profile_.mean_ms = total_ms_ / static_cast<double>(++profile_.runs);
  return {};
}

Result<npuport_profile> Session::profile() {
  Turn turn(core_->state, Core::idle, Core::in_call);
  if (!turn) return busy();
  return profile_;
}

Result<std::string> Session::details() {
  Turn turn(core_->state, Core::idle, Core::in_call);
  if (!turn) return busy();
  return dump_json(core_->model->details(), -1);
}

Status Session::shut() {
  int expected = Core::idle;
  if (core_->state.compare_exchange_strong(expected, Core::closed)) return {};
  if (expected == Core::background) return {};
  return busy();
}

void Session::remember(Diag error) {
  const std::lock_guard lock(error_mutex_);
  error_ = std::move(error);
}

std::optional<Diag> Session::last_error() const {
  const std::lock_guard lock(error_mutex_);
  return error_;
}

}  // namespace npuport::runtime
