#include "frontends/onnx_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/diag_codes.h"
#include "base/proto_reader.h"

namespace npuport {
namespace {

// Graphs inside attributes inside nodes; deeper than any exporter goes, and shallow enough for the stack.
constexpr int kMaxDepth = 40;

class Parser {
 public:
  Status model(OnnxFile& f);
  bool graph_seen() const { return graph_seen_; }

 private:
  // Runs `field` for every field of a message; false on the first failure.
  template <class Fn>
  bool each(std::span<const std::byte> bytes, Fn&& field) {
    ProtoReader r(bytes);
    while (error_.empty() && r.next()) field(r);
    if (r.failed()) error_ = error_.empty() ? "a message is broken" : error_;
    return error_.empty();
  }
  void graph(std::span<const std::byte> bytes, OnnxFileGraph& g, int depth);
  void node(std::span<const std::byte> bytes, OnnxFileNode& n, int depth);
  void attribute(std::span<const std::byte> bytes, OnnxFileAttr& a, int depth);
  void tensor(std::span<const std::byte> bytes, OnnxFileTensor& t);
  void sparse(std::span<const std::byte> bytes, OnnxFileSparse& t);
  void value(std::span<const std::byte> bytes, OnnxFileValue& v);
  void type(std::span<const std::byte> bytes, OnnxFileValue& v);
  void tensor_type(std::span<const std::byte> bytes, OnnxFileValue& v);
  void opset(std::span<const std::byte> bytes, OnnxOpsets& o);
  void function(std::span<const std::byte> bytes, OnnxFileFunction& f);
  std::pair<std::string, std::string> entry(std::span<const std::byte> bytes);

  std::string error_;
  bool too_deep_ = false;
  bool graph_seen_ = false;
};

std::string plain_domain(std::string_view d) { return d == "ai.onnx" ? std::string() : std::string(d); }

std::pair<std::string, std::string> Parser::entry(std::span<const std::byte> bytes) {
  std::pair<std::string, std::string> e;
  each(bytes, [&](ProtoReader& r) {
    if (r.field() == 1) e.first = r.text();
    if (r.field() == 2) e.second = r.text();
  });
  return e;
}

void Parser::opset(std::span<const std::byte> bytes, OnnxOpsets& o) {
  std::string domain;
  int64_t version = 0;
  each(bytes, [&](ProtoReader& r) {
    if (r.field() == 1) domain = plain_domain(r.text());
    if (r.field() == 2) version = r.integer();
  });
  if (version < 0 || version > 1'000'000) error_ = fmt::format("opset version {}", version);
  int& known = o[domain];
  known = std::max(known, static_cast<int>(version));
}

void Parser::tensor(std::span<const std::byte> bytes, OnnxFileTensor& t) {
  t.message = bytes;
  each(bytes, [&](ProtoReader& r) {
    if (r.field() == 1) r.append(t.dims);
    if (r.field() == 2) t.type = r.integer();
    if (r.field() == 8) t.name = r.text();
    if (t.dims.size() > 64) error_ = "a tensor has more than 64 dimensions";
    if (!t.dims.empty() && t.dims.back() < 0) error_ = "a tensor has a negative dimension";
  });
}

void Parser::sparse(std::span<const std::byte> bytes, OnnxFileSparse& t) {
  each(bytes, [&](ProtoReader& r) {
    if (r.field() == 1) tensor(r.bytes(), t.values);
    if (r.field() == 2) tensor(r.bytes(), t.indices);
    if (r.field() == 3) r.append(t.dims);
  });
}

void Parser::tensor_type(std::span<const std::byte> bytes, OnnxFileValue& v) {
  each(bytes, [&](ProtoReader& r) {
    if (r.field() == 1) v.type = r.integer();
    if (r.field() != 2) return;
    v.ranked = true;
    each(r.bytes(), [&](ProtoReader& shape) {
      if (shape.field() != 1) return;
      OnnxFileDim d;
      each(shape.bytes(), [&](ProtoReader& dim) {
        if (dim.field() == 1) d.size = dim.integer();
        if (dim.field() == 2) d.symbol = dim.text();
      });
      if (v.dims.size() >= 64) error_ = "a shape has more than 64 dimensions";
      v.dims.push_back(std::move(d));
    });
  });
}

void Parser::type(std::span<const std::byte> bytes, OnnxFileValue& v) {
  each(bytes, [&](ProtoReader& r) {
    switch (r.field()) {
      case 1:
        tensor_type(r.bytes(), v);
        break;
      case 4:
        v.other = "sequence";
        break;
      case 5:
        v.other = "map";
        break;
      case 8:
        v.other = "sparse tensor";
        break;
      case 9:
        v.other = "optional";
        break;
      default:
        break;
    }
  });
}

void Parser::value(std::span<const std::byte> bytes, OnnxFileValue& v) {
  each(bytes, [&](ProtoReader& r) {
    if (r.field() == 1) v.name = r.text();
    if (r.field() == 2) type(r.bytes(), v);
  });
}

void Parser::attribute(std::span<const std::byte> bytes, OnnxFileAttr& a, int depth) {
  // The kind is field `type`; files of IR version 1 leave it out, so what is there decides.
  int64_t kind = 0;
  int64_t i = 0;
  float f = 0;
  std::string s;
  Ints ints;
  Reals reals;
  std::vector<float> floats;
  std::vector<std::string> strings;
  int64_t seen = 0;
  each(bytes, [&](ProtoReader& r) {
    switch (r.field()) {
      case 1:
        a.name = r.text();
        break;
      case 21:
        a.ref = r.text();
        break;
      case 20:
        kind = r.integer();
        break;
      case 2:
        f = r.real(), seen = 1;
        break;
      case 3:
        i = r.integer(), seen = 2;
        break;
      case 4:
        s = r.text(), seen = 3;
        break;
      case 5:
        tensor(r.bytes(), a.tensor.emplace()), seen = 4;
        break;
      case 6: {
        auto g = std::make_shared<OnnxFileGraph>();
        graph(r.bytes(), *g, depth + 1);
        a.graph = std::move(g), seen = 5;
        break;
      }
      case 7:
        r.append(floats), seen = 6;
        break;
      case 8:
        r.append(ints), seen = 7;
        break;
      case 9:
        strings.emplace_back(r.text()), seen = 8;
        break;
      case 22:
        sparse(r.bytes(), a.sparse.emplace()), seen = 11;
        break;
      case 10:
      case 11:
      case 14:
      case 15:
      case 23:
        a.problem = "is a list of tensors or graphs, or a type";
        break;
      default:
        break;
    }
  });
  if (kind == 0) kind = seen;
  switch (kind) {
    case 1:
      a.value.emplace(a.name, f);
      break;
    case 2:
      a.value.emplace(a.name, i);
      break;
    case 3:
      a.value.emplace(a.name, OnnxAttr::Value(std::move(s)));
      break;
    case 6:
      a.value.emplace(a.name, OnnxAttr::Value(Reals(floats.begin(), floats.end())));
      break;
    case 7:
      a.value.emplace(a.name, OnnxAttr::Value(std::move(ints)));
      break;
    case 8:
      a.value.emplace(a.name, OnnxAttr::Value(std::move(strings)));
      break;
    default:
      break;
  }
}

// "…/model.py:12" out of an exporter's stack trace: the innermost frame outside of torch.
std::string source_of(std::string_view trace) {
  std::string found;
  size_t at = 0;
  while (at < trace.size()) {
    const size_t end = std::min(trace.find('\n', at), trace.size());
    const std::string_view line = trace.substr(at, end - at);
    at = end + 1;
    // torch 2: File "…/model.py", line 12, in forward; torch 1: # …/model.py(12): forward, or …/model.py:12:0
    std::string_view file, number;
    if (const size_t q = line.find("File \""); q != std::string_view::npos) {
      const size_t close = line.find("\", line ", q + 6);
      if (close == std::string_view::npos) continue;
      file = line.substr(q + 6, close - q - 6);
      number = line.substr(close + 8);
    } else if (const size_t py = line.find(".py"); py != std::string_view::npos && py + 4 < line.size()) {
      const size_t start = line.find_first_not_of("# ");
      file = line.substr(start, py + 3 - start);
      number = line.substr(py + 4);
    } else {
      continue;
    }
    number = number.substr(0, number.find_first_not_of("0123456789"));
    const bool library = file.find("/torch/") != std::string_view::npos;
    if (number.empty() || number.size() > 9 || (library && !found.empty())) continue;
    found = fmt::format("{}:{}", file, number);
    if (line.find("File \"") == std::string_view::npos) return found;  // torch 1 lists the innermost first
  }
  return found;
}

// "/layer1/layer1.0/conv1/Conv" → "layer1.layer1.0.conv1"; names without '/' stay as they are.
std::string scope_of(std::string_view name) {
  if (name.empty() || name.front() != '/') return std::string(name);
  const size_t last = name.rfind('/');
  std::string scope(name.substr(1, last == 0 ? 0 : last - 1));
  std::replace(scope.begin(), scope.end(), '/', '.');
  return scope;
}

void Parser::node(std::span<const std::byte> bytes, OnnxFileNode& n, int depth) {
  std::string trace;
  each(bytes, [&](ProtoReader& r) {
    switch (r.field()) {
      case 1:
        n.in.emplace_back(r.text());
        break;
      case 2:
        n.out.emplace_back(r.text());
        break;
      case 3:
        n.name = r.text();
        break;
      case 4:
        n.type = r.text();
        break;
      case 5:
        attribute(r.bytes(), n.attrs.emplace_back(), depth);
        break;
      case 6:
        if (trace.empty()) trace = r.text();
        break;
      case 7:
        n.domain = plain_domain(r.text());
        break;
      case 8:
        n.overload = r.text();
        break;
      case 9: {
        auto [key, text] = entry(r.bytes());
        if (key == "pkg.torch.onnx.stack_trace") trace = std::move(text);
        break;
      }
      default:
        break;
    }
  });
  n.scope = scope_of(n.name);
  n.source = source_of(trace);
}

void Parser::graph(std::span<const std::byte> bytes, OnnxFileGraph& g, int depth) {
  if (depth > kMaxDepth) {
    too_deep_ = true;
    error_ = fmt::format("graphs are nested more than {} deep", kMaxDepth);
    return;
  }
  each(bytes, [&](ProtoReader& r) {
    switch (r.field()) {
      case 1:
        node(r.bytes(), g.nodes.emplace_back(), depth);
        break;
      case 2:
        g.name = r.text();
        break;
      case 5: {
        OnnxFileTensor t;
        tensor(r.bytes(), t);
        std::string name = t.name;
        if (!g.initialisers.emplace(std::move(name), std::move(t)).second) error_ = "two initialisers have one name";
        break;
      }
      case 15: {
        OnnxFileSparse t;
        sparse(r.bytes(), t);
        std::string name = t.values.name;
        g.sparse.emplace(std::move(name), std::move(t));
        break;
      }
      case 11:
        value(r.bytes(), g.inputs.emplace_back());
        break;
      case 12:
        value(r.bytes(), g.outputs.emplace_back());
        break;
      case 13: {
        OnnxFileValue v;
        value(r.bytes(), v);
        std::string name = v.name;
        g.values.emplace(std::move(name), std::move(v));
        break;
      }
      default:
        break;
    }
  });
}

void Parser::function(std::span<const std::byte> bytes, OnnxFileFunction& f) {
  each(bytes, [&](ProtoReader& r) {
    switch (r.field()) {
      case 1:
        f.name = r.text();
        break;
      case 4:
        f.in.emplace_back(r.text());
        break;
      case 5:
        f.out.emplace_back(r.text());
        break;
      case 6:
        f.attrs.emplace_back(r.text());
        break;
      case 7:
        node(r.bytes(), f.nodes.emplace_back(), 0);
        break;
      case 9:
        opset(r.bytes(), f.opsets);
        break;
      case 10:
        f.domain = plain_domain(r.text());
        break;
      case 11:
        attribute(r.bytes(), f.defaults.emplace_back(), 0);
        break;
      case 13:
        f.overload = r.text();
        break;
      default:
        break;
    }
  });
}

Status Parser::model(OnnxFile& f) {
  std::string version;
  each(f.file->bytes(), [&](ProtoReader& r) {
    switch (r.field()) {
      case 1:
        f.ir_version = r.integer();
        break;
      case 2:
        f.producer = r.text();
        break;
      case 3:
        version = r.text();
        break;
      case 7:
        graph_seen_ = true;
        graph(r.bytes(), f.graph, 0);
        break;
      case 8:
        opset(r.bytes(), f.opsets);
        break;
      case 14: {
        auto [key, text] = entry(r.bytes());
        f.metadata[key] = std::move(text);
        break;
      }
      case 20:
        f.training = true;
        break;
      case 25: {
        OnnxFileFunction fn;
        function(r.bytes(), fn);
        std::string key = OnnxFile::key(fn.domain, fn.name, fn.overload);
        if (!f.functions.emplace(std::move(key), std::move(fn)).second) error_ = "two functions have one name";
        break;
      }
      default:
        break;
    }
  });
  if (!version.empty()) f.producer += " " + version;
  if (too_deep_) return Diag(diag::too_large, error_);
  if (!error_.empty()) return Diag(diag::corrupt, error_, "copy or export the file again");
  if (!graph_seen_) return Diag(diag::corrupt, "the model has no graph");
  return {};
}

}  // namespace

const OnnxFileAttr* OnnxFileNode::attr(std::string_view wanted) const {
  for (const OnnxFileAttr& a : attrs) {
    if (a.name == wanted) return &a;
  }
  return nullptr;
}

bool OnnxFileValue::is_static() const {
  return other.empty() && ranked && std::all_of(dims.begin(), dims.end(), [](const auto& d) { return d.size >= 0; });
}

std::string OnnxFile::key(std::string_view domain, std::string_view name, std::string_view overload) {
  return fmt::format("{}:{}:{}", domain, name, overload);
}

bool looks_like_onnx(std::span<const std::byte> bytes, bool whole) {
  ProtoReader r(bytes);
  bool graph = false, version = false;
  while (r.next()) {
    static constexpr uint32_t kVarints[] = {1, 5}, kBytes[] = {2, 3, 4, 6, 7, 8, 14, 20, 25, 26};
    const bool ok = r.wire() == ProtoReader::varint
                        ? std::find(std::begin(kVarints), std::end(kVarints), r.field()) != std::end(kVarints)
                        : r.wire() == ProtoReader::length &&
                              std::find(std::begin(kBytes), std::end(kBytes), r.field()) != std::end(kBytes);
    if (!ok) return false;
    version |= r.field() == 1 && r.integer() > 0 && r.integer() < 1000;
    graph |= r.field() == 7;
  }
  return r.failed() ? !whole && version : graph;
}

Result<OnnxFile> parse_onnx(std::shared_ptr<const MappedFile> file) {
  OnnxFile f;
  f.file = std::move(file);
  {
    ProtoReader outer(f.file->bytes());
    while (outer.next()) {
    }
    if (outer.failed()) {
      return Diag(diag::truncated, "the file ends inside a field, or is no protobuf message",
                  "copy or export the file again; a model above 2 GB needs external data")
          .in_file(f.file->path());
    }
  }
  Status parsed = Parser().model(f);
  if (!parsed) return std::move(parsed).error().in_file(f.file->path());
  return f;
}

}  // namespace npuport
