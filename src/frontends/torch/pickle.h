// A reader of Python pickles that never imports and never calls anything: it builds a tree of plain records.
//
// Protocols 0 to 5 as far as PyTorch, torch.save and Python's own containers use them. Classes are names; what a
// REDUCE would call is either on a closed list (tensors, containers) or an error, or, when asked for, a record.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ir/tensor.h"

namespace npuport {

struct PickleValue;

// A storage as the persistent id names it.
struct StorageRecord {
  std::string pool;              // archive folder its bytes live in: "data", "constants", "traced_inputs" …
  std::string key;               // entry name inside the folder
  std::string type_name;         // "torch.FloatStorage"
  std::string dtype_name;        // "float32", "complex64", "quint8" …
  DType dtype = DType::unknown;  // unknown for element types npuport has none for (complex, float8 …)
  int64_t item_bytes = 0;        // bytes of one element, known for complex too; 0 when unknown
  std::string device;            // "cpu", "cuda:0"
  int64_t count = 0;             // elements
};

// A tensor as torch._utils._rebuild_* describes it; bytes are fetched by TorchArchive::tensor.
struct TensorRecord {
  StorageRecord storage;
  int64_t offset = 0;            // first element, in elements of the storage
  Shape sizes;                   // checked: non-negative, product at most 2^40
  std::vector<int64_t> strides;  // in elements; as long as sizes
  bool requires_grad = false;
  bool parameter = false;
  // Quantised tensors (qint8 → i8, quint8 → u8, qint32 → i32): "torch.per_tensor_affine" or
  // "torch.per_channel_affine"; empty for plain ones.
  std::string qscheme;
  double scale = 0;                          // per tensor
  int64_t zero_point = 0;                    // per tensor
  const PickleValue* scales = nullptr;       // per channel: tensor value
  const PickleValue* zero_points = nullptr;  // per channel: tensor value
  int64_t axis = 0;                          // per channel
};

// One Python object. Values live in their Pickle; equal pointers mean the same object (`is`), which is how shared
// submodules and tied weights are told. Cycles are possible: walk with a set of visited values or a depth limit.
struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,      // integer = 0 or 1
    integer,      // integer; outside 64 bits: big_integer
    big_integer,  // text = decimal digits
    real,         // real
    string,       // text (UTF-8 as stored, not checked)
    bytes,        // text
    tuple,        // items; text = class for torch.Size and named tuples of Python, else empty
    list,         // items; text = TorchScript type when known: "List[int]", "List[Tensor]" …, else empty
    set,          // items
    dict,         // entries in insertion order, a later equal key replaces the value; text = TorchScript type or empty
    object,       // text = class ("__torch__.torch.nn.modules.conv.Conv2d"); items = constructor arguments; state
    global,       // text = qualified name, not called: "torch.float32", "torch.per_channel_affine", a class
    device,       // text = "cpu", "cuda:0"
    tensor,       // tensor
    storage,      // tensor->storage (a bare storage)
  };

  Kind kind = Kind::none;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<const PickleValue*> items;
  std::vector<std::pair<const PickleValue*, const PickleValue*>> entries;
  const PickleValue* state = nullptr;  // what BUILD gave (usually a dict); nullptr when there was none
  std::unique_ptr<TensorRecord> tensor;

  bool is(Kind k) const { return kind == k; }
  // The value of a string key: in a dict's entries, or in an object's state dict. nullptr when absent.
  const PickleValue* find(std::string_view key) const;
};

// "int", "dict", "object of class X": for messages.
std::string describe(const PickleValue& v);

struct PickleOptions {
  // Names the storages' folder in StorageRecord::pool.
  std::string pool = "data";
  // false: a class or function off the closed list is `unsafe_pickle`. true: it becomes a record (object or global) and
  // its name appears in Pickle::unknown_globals. Nothing is ever called in either mode.
  bool record_unknown = false;
  size_t max_values = size_t{4} << 20;
  size_t max_depth = 1000;  // open MARKs plus protocol-5 frames; also the depth of nested literals
  size_t max_string = size_t{1} << 30;
};

// A whole pickle: owns its values.
struct Pickle {
  std::deque<PickleValue> values;
  const PickleValue* root = nullptr;
  std::vector<std::string> globals;          // every class or function named, sorted
  std::vector<std::string> unknown_globals;  // those off the closed list (record_unknown only), sorted
  std::vector<std::string> called;           // unknown globals that a REDUCE would have called, sorted
  size_t consumed = 0;                       // bytes up to and including STOP
};

// Reads one pickle from the start of `bytes` (what follows STOP is left alone). Errors: truncated, corrupt, too_large,
// unsafe_pickle (naming the class), unsupported (sparse, nested tensors, external buffers).
Result<Pickle> read_pickle(std::span<const std::byte> bytes, const PickleOptions& options = {});

}  // namespace npuport
