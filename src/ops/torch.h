// How our operators become calls of PyTorch. One row per operator, in src/ops/torch/<family>.cpp, serves both forms
// that writers make: TorchScript source in a `.pt` archive and a readable Python file. (What PyTorch's operators mean
// to us is in src/ops/aten.) Only operators that PyTorch 1.8 has are used, unless the row says otherwise.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ir/builder.h"

namespace npuport {

enum class TorchDialect : uint8_t {
  script,  // the source inside an archive: torch.relu(x), dtypes as numbers
  python,  // a Python file: torch.relu(x), F.linear(x, …), aten.slice(x, …) with aten = torch.ops.aten
};

// A constant of the program: an attribute of the module.
struct TorchConstant {
  std::string attribute;  // identifier, unique in the program
  std::shared_ptr<const Tensor> tensor;
};

struct TorchLine {
  std::string text;  // "y = torch.relu(x)"
  NodeId node;       // whose work it does
};

// The straight-line body of `forward`.
struct TorchProgram {
  std::vector<std::string> inputs;   // identifiers, in the graph's order
  std::vector<std::string> outputs;  // expressions, in the graph's order
  std::vector<TorchLine> lines;
  std::vector<TorchConstant> constants;  // in order of first use
  int archive_version = 3;               // least archive format in which the operators mean what is written
  bool torchvision = false;              // calls operators that torchvision registers
};

struct TorchRow;

// Turns graph nodes into lines of a TorchProgram. The first refusal sticks until `take_refusal`.
//
// Expressions are written as in Python. The prefixes `torch.`, `F.` (torch.nn.functional) and `aten.` (torch.ops.aten)
// say where eager Python finds the function; in TorchScript all of them are `torch.`, so the three must agree on the
// order of arguments.
class TorchEmit {
 public:
  TorchEmit(const Graph& g, TorchProgram& p, TorchDialect dialect);

  // Emits one node; otherwise leaves the lines as they were and returns the reason.
  std::optional<std::string> emit(NodeId id);
  // The expression of a graph value: a variable or self.attribute.
  std::string value(ValueId v);
  std::optional<std::string> take_refusal() { return std::exchange(refusal_, std::nullopt); }

  // -- for the rows' hooks; they speak of the node being emitted --
  const Graph& graph() const { return g_; }
  const Node& node() const { return *node_; }
  AttrView attr() const { return node_->attr(); }
  TorchDialect dialect() const { return dialect_; }
  TorchProgram& program() { return p_; }
  size_t arity() const { return node_->inputs.size(); }
  bool has(size_t k) const { return k < node_->inputs.size() && node_->inputs[k].valid(); }
  const Shape& shape(size_t k) const { return g_.shape(node_->inputs[k]); }
  size_t rank(size_t k) const { return shape(k).size(); }
  DType dtype(size_t k) const { return g_.type(node_->inputs[k]).dtype; }
  const Shape& out_shape(size_t k = 0) const { return g_.shape(node_->outputs[k]); }
  DType out_dtype(size_t k = 0) const { return g_.type(node_->outputs[k]).dtype; }
  const Tensor* constant_of(size_t k) const { return has(k) ? g_.value(node_->inputs[k]).constant.get() : nullptr; }
  // An axis attribute in [0, rank) (0 for rank 0).
  int64_t axis(std::string_view name = "axis", size_t k = 0) const;

  // Input k; "None" when it is absent.
  std::string in(size_t k) { return has(k) ? value(node_->inputs[k]) : "None"; }
  // Input k as a number where it is a constant of one finite element that cannot change the result's shape or type;
  // else as `in`.
  std::string number_or_tensor(size_t k);
  bool is_number(size_t k) const;

  // Literals.
  static std::string text(int64_t v);
  static std::string text(bool v) { return v ? "True" : "False"; }
  static std::string text(double v);  // always a float literal; float("inf") and so on where it must
  static std::string text(std::span<const int64_t> v);
  std::string text(DType t);  // refuses types that PyTorch 1.8 lacks
  static std::string quoted(std::string_view s);
  // v as a literal of the kind the element type `t` takes.
  static std::string number(double v, DType t);
  // None for absent numbers.
  static std::string none() { return "None"; }

  // A helper constant; equal ones are shared.
  std::string constant(Tensor t, std::string_view name);
  // A new variable that holds `expression`; `hint` names it.
  std::string let(const std::string& expression, std::string_view hint = "t");
  // Several at once, from an expression that gives a tuple or a list of tensors.
  std::vector<std::string> let_all(const std::string& expression, size_t count, std::string_view hint = "t");
  // Result k of the node.
  void ret(size_t k, const std::string& expression);
  void ret(const std::string& expression) { ret(0, expression); }
  // All results at once, from an expression that gives a tuple or a list.
  void ret_all(const std::string& expression);
  // x[:, :, indices…] with tensors at the given axes ("" = a whole axis): aten::index. Indices must be int64.
  std::string indexed(const std::string& x, const std::vector<std::string>& indices);
  // Input k, an index tensor, as int64; constants are made non-negative for an axis of `size`.
  std::string index_input(size_t k, int64_t size);
  void refuse(std::string why);
  bool refused() const { return refusal_.has_value(); }

  // Expands the data form of a row, see TorchRow::call.
  std::string expand(std::string_view call);

 private:
  std::string identifier(std::string_view wanted, std::set<std::string, std::less<>>& taken);
  std::string readable(ValueId v) const;
  std::string attribute(const std::shared_ptr<const Tensor>& t, std::string_view wanted);
  std::string dialect_form(std::string_view call) const;
  void line(std::string_view text);

  const Graph& g_;
  TorchProgram& p_;
  TorchDialect dialect_;
  const Node* node_ = nullptr;
  NodeId node_id_;
  std::optional<std::string> refusal_;
  std::map<ValueId, std::string> variables_;
  std::map<const Tensor*, std::string> attributes_;
  std::map<std::string, std::string> helpers_;  // type, shape and bytes of a helper constant → attribute
  std::set<std::string, std::less<>> locals_, fields_;
};

struct TorchRow {
  std::string_view op;  // our operator's name
  // Data form: an expression in which %port is an operand ("None" when absent), #port the same as a number where it can
  // be one, and $attribute an attribute. "torch.leaky_relu(%x, $alpha)".
  std::string_view call = {};
  void (*write)(TorchEmit& c) = nullptr;  // hook, when the data form does not do
  int archive_version = 3;  // least archive format in which TorchScript readers take the operator as meant
};

const TorchRow* torch_row(std::string_view op);

// The whole graph. Image operators must be in NCHW (passes/layout.h, channels_first). All nodes that cannot be written
// come as notes of one `not_representable`.
Result<TorchProgram> torch_program(const Graph& g, TorchDialect dialect);

// An identifier made of `wanted`: ASCII letters, digits and '_', starting with a letter, no keyword, no name PyTorch
// modules use, at most 64 characters.
std::string torch_identifier(std::string_view wanted);

}  // namespace npuport
