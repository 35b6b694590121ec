// The few pickle opcodes (protocol 2) that PyTorch's archives are made of.
#pragma once

#include <string>
#include <string_view>

#include "ir/tensor.h"

namespace npuport {

class PickleWriter {
 public:
  PickleWriter() : out_("\x80\x02") {}

  PickleWriter& global(std::string_view module, std::string_view name);
  PickleWriter& text(std::string_view s);
  PickleWriter& integer(int64_t v);
  PickleWriter& boolean(bool v) { return raw(v ? "\x88" : "\x89"); }
  PickleWriter& none() { return raw("N"); }
  PickleWriter& mark() { return raw("("); }
  PickleWriter& tuple() { return raw("t"); }  // of everything since mark()
  PickleWriter& empty_tuple() { return raw(")"); }
  PickleWriter& empty_list() { return raw("]"); }
  PickleWriter& empty_dict() { return raw("}"); }
  PickleWriter& append() { return raw("a"); }
  PickleWriter& set_items() { return raw("u"); }  // of everything since mark()
  PickleWriter& reduce() { return raw("R"); }
  PickleWriter& new_object() { return raw("\x81"); }
  PickleWriter& build() { return raw("b"); }
  // A tensor over storage `key` of `elements` elements, from its start. Empty `strides`: dense, row-major.
  PickleWriter& tensor(DType dtype, const Shape& shape, std::string_view key, int64_t elements, Shape strides = {});

  std::string finish() { return std::move(out_) + "."; }

 private:
  PickleWriter& raw(std::string_view bytes) {
    out_ += bytes;
    return *this;
  }
  PickleWriter& ints(const Shape& v);
  std::string out_;
};

}  // namespace npuport
