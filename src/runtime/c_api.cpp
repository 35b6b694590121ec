// The C face of the runtime: checks handles, keeps errors, lets no exception out.
#include <cstring>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/diag_codes.h"
#include "base/embedding.h"
#include "runtime/port.h"

using npuport::Diag;
using npuport::Json;
using npuport::Result;
using npuport::Status;
using npuport::Tensor;
namespace diag = npuport::diag;
namespace runtime = npuport::runtime;

// What a session's handle stands for: the session and the C views of its inputs and outputs.
struct SessionEntry {
  std::shared_ptr<runtime::Session> session;
  std::vector<npuport_tensor_info> inputs, outputs;
};

namespace {

static_assert(NPUPORT_F16 == static_cast<int>(npuport::DType::f16) &&
              NPUPORT_BOOL == static_cast<int>(npuport::DType::boolean));

// Open handles. A handle is a number that is never dereferenced: a closed or foreign one is simply not found, and an
// entry lives on while another thread still uses it.
template <class Handle, class Entry>
class Handles {
 public:
  Handle* add(std::shared_ptr<Entry> entry) {
    const std::lock_guard lock(mutex_);
    auto* handle = reinterpret_cast<Handle*>(entry.get());
    open_[handle] = std::move(entry);
    return handle;
  }
  std::shared_ptr<Entry> find(const Handle* handle) {
    const std::lock_guard lock(mutex_);
    const auto it = open_.find(handle);
    return it == open_.end() ? nullptr : it->second;
  }
  void remove(const Handle* handle) {
    std::shared_ptr<Entry> last;  // destroyed outside the lock
    const std::lock_guard lock(mutex_);
    const auto it = open_.find(handle);
    if (it == open_.end()) return;
    last = std::move(it->second);
    open_.erase(it);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const Handle*, std::shared_ptr<Entry>> open_;
};

// Never destroyed: runs that went over their time may still end while the process does.
Handles<npuport_session, SessionEntry>& sessions() {
  static auto* h = new Handles<npuport_session, SessionEntry>;
  return *h;
}
Handles<npuport_port, runtime::PortFolder>& ports() {
  static auto* h = new Handles<npuport_port, runtime::PortFolder>;
  return *h;
}
Handles<npuport_embedding, Tensor>& embeddings() {
  static auto* h = new Handles<npuport_embedding, Tensor>;
  return *h;
}

thread_local std::optional<Diag> thread_error;
thread_local std::string thread_error_text;
thread_local std::optional<Diag> thread_error_shown;
thread_local std::string thread_probe_text;

struct CodeRow {
  const npuport::DiagCode* code;
  npuport_status status;
};
constexpr CodeRow kCodes[] = {
    {&diag::usage, NPUPORT_BAD_ARGUMENT},
    {&diag::bad_handle, NPUPORT_BAD_ARGUMENT},
    {&diag::file_not_found, NPUPORT_NOT_FOUND},
    {&diag::not_readable, NPUPORT_NOT_FOUND},
    {&diag::missing_entry, NPUPORT_NOT_FOUND},
    {&diag::bad_input_data, NPUPORT_BAD_INPUT},
    {&diag::index_range, NPUPORT_BAD_INPUT},
    {&diag::tool_missing, NPUPORT_UNAVAILABLE},
    {&diag::unsupported, NPUPORT_UNSUPPORTED},
    {&diag::unsupported_op, NPUPORT_UNSUPPORTED},
    {&diag::not_representable, NPUPORT_UNSUPPORTED},
    {&diag::data_dependent, NPUPORT_UNSUPPORTED},
    {&diag::dynamic_shape, NPUPORT_UNSUPPORTED},
    {&diag::device_failed, NPUPORT_FAILED},
    {&diag::tool_failed, NPUPORT_FAILED},
    {&diag::timed_out, NPUPORT_TIMEOUT},
    {&diag::busy, NPUPORT_BUSY},
    {&diag::internal, NPUPORT_INTERNAL},
    {&diag::verify_graph, NPUPORT_INTERNAL},
};

// Everything else a Diag can say is about a file that is not what it should be.
npuport_status status_of(const Diag& d) {
  for (const CodeRow& row : kCodes)
    if (row.code == d.code) return row.status;
  return d.code ? NPUPORT_BAD_FILE : NPUPORT_INTERNAL;
}

npuport_status fail(Diag d, runtime::Session* session = nullptr) {
  const npuport_status status = status_of(d);
  if (session) session->remember(d);
  thread_error = std::move(d);
  return status;
}

Diag bad_handle(const char* what) {
  return Diag(diag::bad_handle, std::string("the ") + what + " handle is NULL, closed or none of this library");
}
Diag null_argument(const char* name) { return Diag(diag::usage, std::string("argument ") + name + " is NULL"); }

// Runs `body` (→ Status); out-of-memory and bugs become errors.
template <class Body>
npuport_status guarded(runtime::Session* session, Body&& body) {
  try {
    Status s = body();
    return s ? NPUPORT_OK : fail(std::move(s).error(), session);
  } catch (const std::bad_alloc&) {
    return fail(Diag(diag::too_large, "out of memory"), session);
  } catch (const std::exception& e) {
    return fail(Diag(diag::internal, e.what()), session);
  }
}

template <class Body>
npuport_status with_session(const npuport_session* handle, Body&& body) {
  const std::shared_ptr<SessionEntry> entry = sessions().find(handle);
  if (!entry) return fail(bad_handle("session"));
  return guarded(entry->session.get(), [&] { return body(*entry); });
}

npuport_tensor_info view(const runtime::IoInfo& i) {
  npuport_tensor_info out{};
  out.name = i.name.c_str();
  out.dtype = static_cast<npuport_dtype>(i.type.dtype);
  out.layout = i.layout;
  out.rank = i.type.shape.size();
  out.shape = i.type.shape.empty() ? nullptr : i.type.shape.data();
  out.permutation = i.layout == NPUPORT_LAYOUT_PERMUTED ? i.permutation.data() : nullptr;
  out.bytes = static_cast<size_t>(npuport::byte_size(i.type.dtype, npuport::element_count(i.type.shape)));
  out.quant_axis = -1;
  if (i.type.quant) {
    out.quant_count = i.type.quant->scale.size();
    out.quant_scale = i.type.quant->scale.data();
    out.quant_zero_point = i.type.quant->zero_point.data();
    out.quant_axis = i.type.quant->axis;
  }
  return out;
}

npuport_session* register_session(std::shared_ptr<runtime::Session> s) {
  auto entry = std::make_shared<SessionEntry>();
  for (const runtime::IoInfo& i : s->inputs()) entry->inputs.push_back(view(i));
  for (const runtime::IoInfo& o : s->outputs()) entry->outputs.push_back(view(o));
  entry->session = std::move(s);
  return sessions().add(std::move(entry));
}

Result<runtime::Options> read_options(const npuport_option* options, size_t count) {
  runtime::Options out;
  if (!options && count > 0) return null_argument("options");
  for (size_t i = 0; i < count; ++i) {
    if (!options[i].key || !options[i].value) return null_argument("option key or value");
    out.set(options[i].key, options[i].value);
  }
  return out;
}

Status open_source(const runtime::ModelSource& source, const char* backend_name, const npuport_option* options,
                   size_t count, std::span<const std::string_view> known, npuport_session** out) {
  NPU_ASSIGN(runtime::Options read, read_options(options, count));
  NPU_ASSIGN(const runtime::Backend* backend, runtime::choose_backend(backend_name ? backend_name : "", source.path));
  NPU_TRY(check_options(read, *backend, known));
  NPU_ASSIGN(auto session, runtime::Session::open(*backend, source, read, std::nullopt));
  *out = register_session(std::move(session));
  return {};
}

npuport_status info(const npuport_session* handle, size_t index, npuport_tensor_info* out, bool input) {
  return with_session(handle, [&](SessionEntry& e) -> Status {
    if (!out) return null_argument("out");
    const auto& list = input ? e.inputs : e.outputs;
    if (index >= list.size())
      return Diag(diag::usage, "the model has " + std::to_string(list.size()) + (input ? " inputs" : " outputs") +
                                   ", there is no number " + std::to_string(index));
    *out = list[index];
    return {};
  });
}

npuport_status find(const npuport_session* handle, const char* name, size_t* index, bool input) {
  return with_session(handle, [&](SessionEntry& e) -> Status {
    if (!name || !index) return null_argument(name ? "index" : "name");
    const auto& list = input ? e.inputs : e.outputs;
    std::string names;
    for (size_t i = 0; i < list.size(); ++i) {
      if (std::strcmp(list[i].name, name) == 0) {
        *index = i;
        return {};
      }
      names += (names.empty() ? "" : ", ") + std::string(list[i].name);
    }
    return Diag(diag::missing_entry,
                "the model has no " + std::string(input ? "input" : "output") + " '" + name + "', only: " + names);
  });
}

std::optional<Diag> error_of(const npuport_session* session) {
  if (!session) return thread_error;
  const std::shared_ptr<SessionEntry> entry = sessions().find(session);
  return entry ? entry->session->last_error() : bad_handle("session");
}

}  // namespace

extern "C" {

int npuport_runtime_abi(void) { return NPUPORT_RUNTIME_ABI; }
const char* npuport_runtime_version(void) { return NPUPORT_VERSION; }

const char* npuport_status_name(npuport_status status) {
  static constexpr const char* names[] = {"NPUPORT_OK",          "NPUPORT_BAD_ARGUMENT", "NPUPORT_NOT_FOUND",
                                          "NPUPORT_BAD_FILE",    "NPUPORT_BAD_INPUT",    "NPUPORT_UNAVAILABLE",
                                          "NPUPORT_UNSUPPORTED", "NPUPORT_FAILED",       "NPUPORT_TIMEOUT",
                                          "NPUPORT_BUSY",        "NPUPORT_INTERNAL"};
  const auto i = static_cast<size_t>(status);
  return i < std::size(names) ? names[i] : "unknown status";
}

const char* npuport_dtype_name(npuport_dtype dtype) {
  const auto i = static_cast<unsigned>(dtype);
  // Names are literals of one table, so they end in a zero.
  return npuport::long_name(i <= NPUPORT_BOOL ? static_cast<npuport::DType>(i) : npuport::DType::unknown).data();
}

const char* npuport_last_error(const npuport_session* session) {
  const std::optional<Diag> d = error_of(session);
  thread_error_text = d ? npuport::to_text(*d) : "";
  return thread_error_text.c_str();
}

void npuport_last_error_info(const npuport_session* session, npuport_error* out) {
  if (!out) return;
  thread_error_shown = error_of(session);
  static const Diag none;
  const Diag& d = thread_error_shown ? *thread_error_shown : none;
  *out = {thread_error_shown ? status_of(d) : NPUPORT_OK,
          d.code ? d.code->id.data() : "",
          d.message.c_str(),
          d.where.file.c_str(),
          d.where.tensor.c_str(),
          d.hint.c_str()};
}

size_t npuport_backend_count(void) { return runtime::backends().size(); }

const char* npuport_backend_name(size_t index) {
  const auto rows = runtime::backends();
  return index < rows.size() ? rows[index]->name.data() : nullptr;
}

const char* npuport_backend_probe(const char* backend, const npuport_option* options, size_t option_count) {
  const char* text = nullptr;
  (void)guarded(nullptr, [&]() -> Status {
    if (!backend) return null_argument("backend");
    NPU_ASSIGN(const runtime::Backend* row, runtime::choose_backend(backend, ""));
    NPU_ASSIGN(const runtime::Options read, read_options(options, option_count));
    NPU_TRY(check_options(read, *row, {}));
    Json j{{"backend", std::string(row->name)}};
    j.update(row->probe(read));
    thread_probe_text = npuport::dump_json(j, -1);
    text = thread_probe_text.c_str();
    return {};
  });
  return text;
}

npuport_status npuport_session_open(const char* path, const char* backend, const npuport_option* options,
                                    size_t option_count, npuport_session** out) {
  return guarded(nullptr, [&]() -> Status {
    if (!path || !out) return null_argument(path ? "out" : "path");
    *out = nullptr;
    runtime::ModelSource source;
    source.path = path;
    return open_source(source, backend, options, option_count, {}, out);
  });
}

npuport_status npuport_session_open_memory(const void* data, size_t bytes, const char* backend,
                                           const npuport_option* options, size_t option_count, npuport_session** out) {
  return guarded(nullptr, [&]() -> Status {
    if (!data || !out) return null_argument(data ? "out" : "data");
    *out = nullptr;
    runtime::ModelSource source;
    source.bytes = {static_cast<const std::byte*>(data), bytes};
    return open_source(source, backend, options, option_count, {}, out);
  });
}

npuport_status npuport_session_close(npuport_session* handle) {
  const std::shared_ptr<SessionEntry> entry = sessions().find(handle);
  if (!entry) return fail(bad_handle("session"));
  return guarded(entry->session.get(), [&]() -> Status {
    NPU_TRY(entry->session->shut());
    sessions().remove(handle);
    return {};
  });
}

const char* npuport_session_backend(const npuport_session* handle) {
  const std::shared_ptr<SessionEntry> entry = sessions().find(handle);
  return entry ? entry->session->backend().name.data() : nullptr;
}

size_t npuport_session_input_count(const npuport_session* handle) {
  const std::shared_ptr<SessionEntry> entry = sessions().find(handle);
  return entry ? entry->inputs.size() : 0;
}
size_t npuport_session_output_count(const npuport_session* handle) {
  const std::shared_ptr<SessionEntry> entry = sessions().find(handle);
  return entry ? entry->outputs.size() : 0;
}
npuport_status npuport_session_input_info(const npuport_session* handle, size_t index, npuport_tensor_info* out) {
  return info(handle, index, out, true);
}
npuport_status npuport_session_output_info(const npuport_session* handle, size_t index, npuport_tensor_info* out) {
  return info(handle, index, out, false);
}
npuport_status npuport_session_find_input(const npuport_session* handle, const char* name, size_t* index) {
  return find(handle, name, index, true);
}
npuport_status npuport_session_find_output(const npuport_session* handle, const char* name, size_t* index) {
  return find(handle, name, index, false);
}

npuport_status npuport_session_set_input(npuport_session* handle, size_t index, const void* data, size_t bytes) {
  return with_session(handle, [&](SessionEntry& e) { return e.session->set_input(index, data, bytes); });
}
npuport_status npuport_session_get_output(npuport_session* handle, size_t index, void* data, size_t bytes) {
  return with_session(handle, [&](SessionEntry& e) { return e.session->get_output(index, data, bytes); });
}

npuport_status npuport_session_input_buffer(npuport_session* handle, size_t index, void** data, size_t* bytes) {
  return with_session(handle, [&](SessionEntry& e) -> Status {
    if (!data) return null_argument("data");
    NPU_ASSIGN(const std::span<std::byte> buffer, e.session->input_buffer(index));
    *data = buffer.data();
    if (bytes) *bytes = buffer.size();
    return {};
  });
}
npuport_status npuport_session_output_buffer(npuport_session* handle, size_t index, const void** data, size_t* bytes) {
  return with_session(handle, [&](SessionEntry& e) -> Status {
    if (!data) return null_argument("data");
    NPU_ASSIGN(const std::span<const std::byte> buffer, e.session->output_buffer(index));
    *data = buffer.data();
    if (bytes) *bytes = buffer.size();
    return {};
  });
}
npuport_status npuport_session_bind_input(npuport_session* handle, size_t index, const void* data, size_t bytes) {
  return with_session(handle, [&](SessionEntry& e) { return e.session->bind_input(index, data, bytes); });
}
npuport_status npuport_session_bind_output(npuport_session* handle, size_t index, void* data, size_t bytes) {
  return with_session(handle, [&](SessionEntry& e) { return e.session->bind_output(index, data, bytes); });
}

npuport_status npuport_session_run(npuport_session* handle, uint32_t timeout_ms) {
  return with_session(handle, [&](SessionEntry& e) { return e.session->run(timeout_ms); });
}

npuport_status npuport_session_profile(npuport_session* handle, npuport_profile* out) {
  return with_session(handle, [&](SessionEntry& e) -> Status {
    if (!out) return null_argument("out");
    NPU_ASSIGN(*out, e.session->profile());
    return {};
  });
}
npuport_status npuport_session_profile_json(npuport_session* handle, const char** out) {
  return with_session(handle, [&](SessionEntry& e) -> Status {
    if (!out) return null_argument("out");
    NPU_ASSIGN(e.session->text, e.session->details());
    *out = e.session->text.c_str();
    return {};
  });
}

npuport_status npuport_port_open(const char* path, npuport_port** out) {
  return guarded(nullptr, [&]() -> Status {
    if (!path || !out) return null_argument(path ? "out" : "path");
    *out = nullptr;
    NPU_ASSIGN(auto port, runtime::PortFolder::open(path));
    *out = ports().add(std::move(port));
    return {};
  });
}

npuport_status npuport_port_close(npuport_port* handle) {
  if (!ports().find(handle)) return fail(bad_handle("port"));
  ports().remove(handle);
  return NPUPORT_OK;
}

size_t npuport_port_part_count(const npuport_port* handle) {
  const auto port = ports().find(handle);
  return port ? port->parts().size() : 0;
}
const char* npuport_port_part_name(const npuport_port* handle, size_t index) {
  const auto port = ports().find(handle);
  return port && index < port->parts().size() ? port->parts()[index].name.c_str() : nullptr;
}
const char* npuport_port_folder(const npuport_port* handle) {
  const auto port = ports().find(handle);
  return port ? port->folder().c_str() : nullptr;
}

npuport_status npuport_port_open_part(const npuport_port* handle, const char* part, const char* backend,
                                      const npuport_option* options, size_t option_count, npuport_session** out) {
  return guarded(nullptr, [&]() -> Status {
    const auto port = ports().find(handle);
    if (!port) return bad_handle("port");
    if (!out) return null_argument("out");
    *out = nullptr;
    NPU_ASSIGN(const runtime::PortPart* chosen, port->part(part));
    NPU_ASSIGN(runtime::Options read, read_options(options, option_count));
    NPU_ASSIGN(auto session, port->open_part(*chosen, backend ? backend : "", read));
    *out = register_session(std::move(session));
    return {};
  });
}

npuport_status npuport_port_metadata(const npuport_port* handle, const char* pointer, const char** text) {
  return guarded(nullptr, [&]() -> Status {
    const auto port = ports().find(handle);
    if (!port) return bad_handle("port");
    if (!pointer || !text) return null_argument(pointer ? "text" : "pointer");
    NPU_ASSIGN(*text, port->metadata(pointer));
    return {};
  });
}

npuport_status npuport_embedding_open(const char* npy_path, const char* info_path, npuport_embedding** out) {
  return guarded(nullptr, [&]() -> Status {
    if (!npy_path || !out) return null_argument(npy_path ? "out" : "npy_path");
    *out = nullptr;
    npuport::EmbeddingOptions options;
    if (info_path) options.info_path = info_path;
    NPU_ASSIGN(Tensor table, npuport::open_embedding(npy_path, options));
    *out = embeddings().add(std::make_shared<Tensor>(std::move(table)));
    return {};
  });
}

npuport_status npuport_embedding_close(npuport_embedding* handle) {
  if (!embeddings().find(handle)) return fail(bad_handle("embedding"));
  embeddings().remove(handle);
  return NPUPORT_OK;
}

npuport_status npuport_embedding_shape(const npuport_embedding* handle, int64_t* rows, int64_t* width,
                                       npuport_dtype* dtype) {
  return guarded(nullptr, [&]() -> Status {
    const auto table = embeddings().find(handle);
    if (!table) return bad_handle("embedding");
    if (rows) *rows = table->shape[0];
    if (width) *width = table->shape[1];
    if (dtype) *dtype = static_cast<npuport_dtype>(table->dtype);
    return {};
  });
}

npuport_status npuport_embed_tokens(const npuport_embedding* handle, const int64_t* ids, size_t count, float* out) {
  return guarded(nullptr, [&]() -> Status {
    const auto table = embeddings().find(handle);
    if (!table) return bad_handle("embedding");
    if (count > 0 && (!ids || !out)) return null_argument(ids ? "out" : "ids");
    return npuport::look_up_rows(*table, {ids, count}, out);
  });
}

}  // extern "C"
