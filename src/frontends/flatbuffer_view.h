// Reads flatbuffers without ever leaving the bytes: every access is checked when it happens, so nothing has to be
// verified beforehand and files beyond 2 GiB (whose bulk lies outside the flatbuffer) work as well. The first bad
// access sticks: later ones give defaults and `failed` stays true, so a parser checks once per record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace npuport {

class FlatTable;

class FlatView {
 public:
  // `budget`: how many vector elements may be read in all. A hostile file can point a million tables at one vector, so
  // the file's size alone does not bound the work.
  FlatView(std::span<const std::byte> bytes, uint64_t budget) : bytes_(bytes), budget_(budget) {}

  // The table the header points to; absent when there is none.
  FlatTable root();
  // Bytes 4 to 8: the file identifier; empty for a shorter file.
  std::string_view identifier() const {
    if (bytes_.size() < 8) return {};
    return {reinterpret_cast<const char*>(bytes_.data()) + 4, 4};
  }
  bool failed() const { return failed_; }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  friend class FlatTable;

  template <class T>
  T get(uint64_t pos) {
    T v{};
    if (pos > bytes_.size() || sizeof(T) > bytes_.size() - pos) {
      failed_ = true;
    } else {
      std::memcpy(&v, bytes_.data() + pos, sizeof v);
    }
    return v;
  }
  // `count` elements of `size` bytes at `pos`, against bounds and budget.
  std::span<const std::byte> range(uint64_t pos, uint64_t count, uint64_t size) {
    if (failed_ || pos > bytes_.size() || count > (bytes_.size() - pos) / size || (size > 1 && count > budget_)) {
      failed_ = true;
      return {};
    }
    if (size > 1) budget_ -= count;
    return bytes_.subspan(pos, count * size);
  }

  std::span<const std::byte> bytes_;
  uint64_t budget_;
  bool failed_ = false;
};

// A table, or the absence of one (every field then has its default). Fields are named by slot number.
class FlatTable {
 public:
  FlatTable() = default;
  bool present() const { return view_ != nullptr; }

  template <class T>
  T scalar(int slot, T fallback = {}) const {
    const uint64_t at = field(slot, sizeof(T));
    return at == 0 ? fallback : view_->get<T>(at);
  }
  FlatTable table(int slot) const {
    const uint64_t at = target(slot);
    return at == 0 ? FlatTable() : FlatTable(*view_, at);
  }
  // Bytes of a vector of bytes or of a string; no budget is taken.
  std::span<const std::byte> bytes(int slot) const {
    const uint64_t at = target(slot);
    return at == 0 ? std::span<const std::byte>() : view_->range(at + 4, view_->get<uint32_t>(at), 1);
  }
  std::string_view text(int slot) const {
    const auto b = bytes(slot);
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  }
  template <class T>
  std::vector<T> scalars(int slot) const {
    const uint64_t at = target(slot);
    if (at == 0) return {};
    const auto b = view_->range(at + 4, view_->get<uint32_t>(at), sizeof(T));
    std::vector<T> out(b.size() / sizeof(T));
    if (!out.empty()) std::memcpy(out.data(), b.data(), b.size());
    return out;
  }
  std::vector<FlatTable> tables(int slot) const {
    std::vector<FlatTable> out;
    const uint64_t at = target(slot);
    if (at == 0) return out;
    const uint32_t count = view_->get<uint32_t>(at);
    if (view_->range(at + 4, count, 4).size() != uint64_t{4} * count) return out;
    out.reserve(count);
    for (uint64_t i = 0; i < count && !view_->failed_; ++i) {
      const uint64_t element = at + 4 + 4 * i;
      out.push_back(FlatTable(*view_, element + view_->get<uint32_t>(element)));
    }
    return out;
  }

 private:
  friend class FlatView;
  FlatTable(FlatView& view, uint64_t pos) : view_(&view), pos_(pos) {
    const int64_t vtable = static_cast<int64_t>(pos) - view.get<int32_t>(pos);
    if (vtable < 0) view.failed_ = true;
    vtable_ = view.failed_ ? 0 : static_cast<uint64_t>(vtable);
    vtable_bytes_ = view.get<uint16_t>(vtable_);
    table_bytes_ = view.get<uint16_t>(vtable_ + 2);
    if (view.failed_ || vtable_bytes_ < 4) {
      view.failed_ = true;
      view_ = nullptr;
    }
  }

  // Position of a field of `size` bytes; 0 = not stored.
  uint64_t field(int slot, uint64_t size) const {
    if (view_ == nullptr || view_->failed_) return 0;
    const uint64_t entry = 4 + 2 * static_cast<uint64_t>(slot);
    if (entry + 2 > vtable_bytes_) return 0;
    const uint64_t offset = view_->get<uint16_t>(vtable_ + entry);
    if (offset == 0) return 0;
    if (offset + size > table_bytes_) {
      view_->failed_ = true;
      return 0;
    }
    return pos_ + offset;
  }
  // Where the offset field points; 0 = not stored.
  uint64_t target(int slot) const {
    const uint64_t at = field(slot, 4);
    if (at == 0) return 0;
    const uint64_t to = at + view_->get<uint32_t>(at);
    if (to == at) view_->failed_ = true;
    return view_->failed_ ? 0 : to;
  }

  FlatView* view_ = nullptr;
  uint64_t pos_ = 0, vtable_ = 0;
  uint16_t vtable_bytes_ = 0, table_bytes_ = 0;
};

inline FlatTable FlatView::root() {
  const uint32_t at = get<uint32_t>(0);
  return failed_ || at == 0 ? FlatTable() : FlatTable(*this, at);
}

}  // namespace npuport
