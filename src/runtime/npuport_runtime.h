// npuport runtime, C interface: runs the models a port wrote, on this machine or on an NPU.
//
// A *session* is one loaded model. A *port* is the output folder of `npuport port` (or its *_metadata.json alone): it
// opens its parts as sessions that take and give what the model took and gave in PyTorch, whatever the port changed at
// its borders (embedding tables, NHWC, int32 ids).
//
// Errors. Every function that can fail returns npuport_status; the text (what, which file, which tensor, what to do
// next) is kept per thread (npuport_last_error(NULL)) and per session. Nothing is printed, no C++ exception leaves.
//
// Threads. Sessions are independent: any number of threads may use one each. A session may move between threads, but
// one thread at a time sets, runs and gets: a call that meets another thread's call on the same session returns
// NPUPORT_BUSY at once and changes nothing. Queries (counts, infos, backend) and errors may be asked at any time by any
// thread. A port is read-only after opening and may be shared. npuport_*_close must be the last call on its handle; a
// closed, NULL or foreign handle gives NPUPORT_BAD_ARGUMENT as long as its address was not given out again.
//
// Ownership. Handles belong to the caller until closed. Pointers a query gives (names, shapes, texts) belong to the
// handle and live until it is closed, unless said otherwise. Sessions outlive the port they came from.
//
// Values are little-endian, dense, row-major. 4-bit types are packed two to a byte, low half first.
#ifndef NPUPORT_RUNTIME_H
#define NPUPORT_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define NPUPORT_API
#else
#define NPUPORT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

// Grows when a function or a field changes; additions keep it.
#define NPUPORT_RUNTIME_ABI 1
// The ABI of the library linked in; compare it with NPUPORT_RUNTIME_ABI after dlopen.
NPUPORT_API int npuport_runtime_abi(void);
// "0.1.0".
NPUPORT_API const char* npuport_runtime_version(void);

typedef enum npuport_status {
  NPUPORT_OK = 0,
  NPUPORT_BAD_ARGUMENT = 1,  // NULL, closed handle, index out of range, unknown backend or option, wrong byte count
  NPUPORT_NOT_FOUND = 2,     // a file, part or metadata key is not there
  NPUPORT_BAD_FILE = 3,      // damaged, of a newer version or another kind; hash or shape disagrees with the metadata
  NPUPORT_BAD_INPUT = 4,     // a value the model cannot take: an id outside the table, an integer that does not fit
  NPUPORT_UNAVAILABLE =
      5,  // a library, symbol or device is missing or of the wrong version: the text says what to install
  NPUPORT_UNSUPPORTED = 6,  // this backend cannot do that
  NPUPORT_FAILED = 7,       // the backend refused to load or run; the text has its own words and code
  NPUPORT_TIMEOUT = 8,      // run took longer than allowed; it goes on in the background, see npuport_session_run
  NPUPORT_BUSY = 9,         // another thread (or a run that timed out) uses the session
  NPUPORT_INTERNAL = 10     // a bug
} npuport_status;
// "NPUPORT_BAD_FILE" …; never NULL.
NPUPORT_API const char* npuport_status_name(npuport_status status);

typedef enum npuport_dtype {
  NPUPORT_UNKNOWN = 0,
  NPUPORT_F16 = 1,
  NPUPORT_BF16 = 2,
  NPUPORT_F32 = 3,
  NPUPORT_F64 = 4,
  NPUPORT_I4 = 5,
  NPUPORT_U4 = 6,
  NPUPORT_I8 = 7,
  NPUPORT_U8 = 8,
  NPUPORT_I16 = 9,
  NPUPORT_U16 = 10,
  NPUPORT_I32 = 11,
  NPUPORT_U32 = 12,
  NPUPORT_I64 = 13,
  NPUPORT_U64 = 14,
  NPUPORT_BOOL = 15
} npuport_dtype;
// "float32", "int64", "bool" …; "unknown" for anything else.
NPUPORT_API const char* npuport_dtype_name(npuport_dtype dtype);

typedef enum npuport_layout {
  NPUPORT_LAYOUT_MODEL = 0,     // the model's own order of dimensions (NCHW for PyTorch's images)
  NPUPORT_LAYOUT_PERMUTED = 1,  // raw sessions of a port: dim i of the file is dim permutation[i] of the model
  NPUPORT_LAYOUT_NCHW = 2,      // as the compiled file says
  NPUPORT_LAYOUT_NHWC = 3,
  NPUPORT_LAYOUT_MERGED = 4  // raw sessions of a port: dims permuted, then merged, as the metadata's "io" says
} npuport_layout;

// One input or output. All pointers belong to the session.
typedef struct npuport_tensor_info {
  const char* name;
  npuport_dtype dtype;
  npuport_layout layout;
  size_t rank;
  const int64_t* shape;        // `rank` entries; NULL for rank 0
  const int64_t* permutation;  // `rank` entries for NPUPORT_LAYOUT_PERMUTED, else NULL
  size_t bytes;                // of a dense buffer
  size_t quant_count;          // 0: not quantised; 1: per tensor; else one per index of quant_axis
  int quant_axis;              // -1: per tensor
  const float* quant_scale;    // real = scale · (stored − zero_point)
  const int32_t* quant_zero_point;
} npuport_tensor_info;

typedef struct npuport_option {
  const char* key;
  const char* value;
} npuport_option;

typedef struct npuport_session npuport_session;
typedef struct npuport_port npuport_port;

// ---- errors ---------------------------------------------------------------------------------------------------------

// The text of the last failed call: of the session, or with NULL of the calling thread (failed opens). "" when nothing
// failed yet. Lives until this thread's next npuport_last_error call.
NPUPORT_API const char* npuport_last_error(const npuport_session* session);

// The same in pieces; strings are "" where unknown and live until this thread's next call of this function.
typedef struct npuport_error {
  npuport_status status;
  const char* code;     // stable id, "NP0203"
  const char* message;  // one sentence
  const char* file;
  const char* tensor;
  const char* hint;  // what to do next
} npuport_error;
NPUPORT_API void npuport_last_error_info(const npuport_session* session, npuport_error* out);

// ---- backends -------------------------------------------------------------------------------------------------------

// Backends linked in: litert, neuron, ascend, and host after npuport_runtime_host_register().
NPUPORT_API size_t npuport_backend_count(void);
NPUPORT_API const char* npuport_backend_name(size_t index);  // NULL behind the end
// Looks for the backend's libraries without loading a model: a JSON text {"backend", "usable", "library", "version",
// "detail", "hint"}, or NULL for an unknown backend. Lives until this thread's next call of this function.
NPUPORT_API const char* npuport_backend_probe(const char* backend, const npuport_option* options, size_t option_count);

// ---- sessions -------------------------------------------------------------------------------------------------------

// Opens a model file as it is (its own inputs and outputs, no host steps; a port's parts: npuport_port_open_part).
// `backend`: "host", "litert", "neuron", "ascend"; NULL or "": by the file – .dla neuron, .om ascend, else host when
// linked in, else litert. Options, all optional, as text; where a variable is named, it counts when the option is
// absent:
// - threads: of host and litert, 0 = all cores; devices decide for themselves
// - litert: library (NPUPORT_LITERT_LIBRARY) = path of libLiteRt.so 2.3.0
// - neuron: library (NPUPORT_NEURON_LIBRARY) = path, else MediaTek's names on the loader's path;
//   api = v2 | v1 | adapter, else the first of them the library offers;
//   suppress = none | input | output | both (v1 and adapter); boost = 0…100; preference = performance | power | turbo;
//   io = JSON text, see npuport_session_open_memory
// - ascend: library (NPUPORT_ASCEND_LIBRARY) = path of libascendcl.so, or the folder of it or of libacl_rt.so, else
//   lib64 of ASCEND_HOME_PATH, else the loader's path; device = its number
// - host: profile = 1 for times per operator; reference = 1 for reference kernels only (slow, the same bits anywhere)
NPUPORT_API npuport_status npuport_session_open(const char* path, const char* backend, const npuport_option* options,
                                                size_t option_count, npuport_session** out);
// The same from memory, which must stay valid and unchanged until the session is closed. A .dla does not say what its
// inputs and outputs are: a port's metadata do, or option `io`:
// {"inputs": [{"name": "x", "dtype": "float32", "shape": [1, 3]}], "outputs": [...]}.
NPUPORT_API npuport_status npuport_session_open_memory(const void* data, size_t bytes, const char* backend,
                                                       const npuport_option* options, size_t option_count,
                                                       npuport_session** out);
// NPUPORT_BUSY when another thread's call is under way (the handle stays open). After a timed-out run it returns OK and
// the backend's resources are freed when the run ends.
NPUPORT_API npuport_status npuport_session_close(npuport_session* session);

// Name of the backend in use; NULL for a bad handle.
NPUPORT_API const char* npuport_session_backend(const npuport_session* session);
NPUPORT_API size_t npuport_session_input_count(const npuport_session* session);   // 0 for a bad handle
NPUPORT_API size_t npuport_session_output_count(const npuport_session* session);  // 0 for a bad handle
NPUPORT_API npuport_status npuport_session_input_info(const npuport_session* session, size_t index,
                                                      npuport_tensor_info* out);
NPUPORT_API npuport_status npuport_session_output_info(const npuport_session* session, size_t index,
                                                       npuport_tensor_info* out);
// Index by name; NPUPORT_NOT_FOUND names what there is.
NPUPORT_API npuport_status npuport_session_find_input(const npuport_session* session, const char* name, size_t* index);
NPUPORT_API npuport_status npuport_session_find_output(const npuport_session* session, const char* name, size_t* index);

// By copy. `bytes` must be info.bytes. Inputs keep their values from run to run; all zero at first.
NPUPORT_API npuport_status npuport_session_set_input(npuport_session* session, size_t index, const void* data,
                                                     size_t bytes);
// NPUPORT_BAD_ARGUMENT before the first successful run.
NPUPORT_API npuport_status npuport_session_get_output(npuport_session* session, size_t index, void* data, size_t bytes);

// Without copy. The input's own buffer: 64-byte aligned, the same address for the session's whole life; write into it
// between runs. It undoes npuport_session_bind_input.
NPUPORT_API npuport_status npuport_session_input_buffer(npuport_session* session, size_t index, void** data,
                                                        size_t* bytes);
// The output of the last run, to be read until the next run (or until memory bound to it is freed).
NPUPORT_API npuport_status npuport_session_output_buffer(npuport_session* session, size_t index, const void** data,
                                                         size_t* bytes);
// Your own memory as an input or output: read (written) by every run until bound to something else, NULL or closed.
// Backends use it in place where they can (64-byte alignment helps), else it is copied during run.
NPUPORT_API npuport_status npuport_session_bind_input(npuport_session* session, size_t index, const void* data,
                                                      size_t bytes);
NPUPORT_API npuport_status npuport_session_bind_output(npuport_session* session, size_t index, void* data,
                                                       size_t bytes);

// Runs on the current inputs. timeout_ms 0: no limit. A vendor library cannot be stopped from outside: after
// NPUPORT_TIMEOUT the run goes on in the background on copies of its own, bound memory is left alone, and the session
// returns NPUPORT_BUSY until it ends; its result is dropped.
NPUPORT_API npuport_status npuport_session_run(npuport_session* session, uint32_t timeout_ms);

typedef struct npuport_profile {
  uint64_t runs;        // successful ones
  double open_ms;       // loading, hashing, compiling on the device
  double last_ms;       // the whole last run
  double last_host_ms;  // of it: host steps, permutations, casts
  double min_ms, mean_ms, max_ms;
} npuport_profile;
NPUPORT_API npuport_status npuport_session_profile(npuport_session* session, npuport_profile* out);
// What the backend tells besides (times per operator, bandwidth …) as JSON, "{}" when nothing. Lives until the next
// call of this function on the session.
NPUPORT_API npuport_status npuport_session_profile_json(npuport_session* session, const char** out);

// ---- ports ----------------------------------------------------------------------------------------------------------

// `path`: the output folder of `npuport port`, or its models/*_metadata.json with the files it names beside it. Checks
// version and structure here, hashes and shapes of a part's files when it is opened.
NPUPORT_API npuport_status npuport_port_open(const char* path, npuport_port** out);
NPUPORT_API npuport_status npuport_port_close(npuport_port* port);

NPUPORT_API size_t npuport_port_part_count(const npuport_port* port);                    // 0 for a bad handle
NPUPORT_API const char* npuport_port_part_name(const npuport_port* port, size_t index);  // NULL behind the end
// The folder of the models, absolute or as given.
NPUPORT_API const char* npuport_port_folder(const npuport_port* port);

// A part as a session. Options besides those of npuport_session_open:
//   interface  model (default): inputs and outputs as the model had them in PyTorch; host steps, permutations and casts
//              run inside. raw: those of the file.
//   verify     1 (default): SHA-256 of every file against the metadata; 0: sizes and shapes only
//   file       which of the part's files; default: the one the backend takes (.dla neuron, .om ascend, else .tflite).
//              Compiled files are those the metadata list, and {name of the .tflite}_*.dla (.om) beside them, whose
//              number and sizes of inputs and outputs are compared but for which no hash is known
// `part` may be NULL when there is only one.
NPUPORT_API npuport_status npuport_port_open_part(const npuport_port* port, const char* part, const char* backend,
                                                  const npuport_option* options, size_t option_count,
                                                  npuport_session** out);

// One entry of the metadata by JSON pointer (RFC 6901): "/task/decode/language", "/task/kind". Strings come as they
// are, everything else as JSON text; "" gives the whole document. NPUPORT_NOT_FOUND when there is none. The text lives
// as long as the port.
NPUPORT_API npuport_status npuport_port_metadata(const npuport_port* port, const char* pointer, const char** text);

// ---- embedding tables -----------------------------------------------------------------------------------------------

// A .npy table [rows, width] of f16, bf16, f32 or f64, mapped, looked up without loading it (ports do this by
// themselves; this is for callers with loops of their own). `info_path` may name its embedding_info.json (or be NULL):
// vocabulary, width, dtype and SHA-256 must agree. Column-major tables are refused.
typedef struct npuport_embedding npuport_embedding;
NPUPORT_API npuport_status npuport_embedding_open(const char* npy_path, const char* info_path, npuport_embedding** out);
NPUPORT_API npuport_status npuport_embedding_close(npuport_embedding* table);
NPUPORT_API npuport_status npuport_embedding_shape(const npuport_embedding* table, int64_t* rows, int64_t* width,
                                                   npuport_dtype* dtype);
// out[i, :] = table[ids[i], :] as float32, `count`·width values. An id outside [0, rows): NPUPORT_BAD_INPUT, `out`
// untouched. May be called from several threads at once.
NPUPORT_API npuport_status npuport_embed_tokens(const npuport_embedding* table, const int64_t* ids, size_t count,
                                                float* out);

#ifdef __cplusplus
}
#endif
#endif
