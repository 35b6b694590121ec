#include "ir/npy.h"

#include <fmt/core.h>

#include <set>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/diag_codes.h"
#include "base/mapped_file.h"

namespace npuport {
namespace {

std::span<const std::byte> contents_of(const Tensor& t) { return {t.data, static_cast<size_t>(t.bytes())}; }

std::string member(std::string_view name) { return std::string(name) + ".npy"; }

}  // namespace

Result<NpzReader> NpzReader::open(const std::string& path) {
  NPU_ASSIGN(auto file, MappedFile::open(path));
  return open(std::move(file));
}

Result<NpzReader> NpzReader::open(std::shared_ptr<const MappedFile> file) {
  NPU_ASSIGN(ZipReader zip, ZipReader::open(std::move(file)));
  return NpzReader(std::move(zip));
}

std::vector<std::string> NpzReader::names() const {
  constexpr std::string_view suffix = ".npy";
  std::vector<std::string> result;
  for (const ZipEntry& e : zip_.entries())
    if (e.name.ends_with(suffix)) result.push_back(e.name.substr(0, e.name.size() - suffix.size()));
  return result;
}

bool NpzReader::has(std::string_view name) const { return zip_.find(member(name)) != nullptr; }

Result<Tensor> NpzReader::read(std::string_view name) const {
  const ZipEntry* e = zip_.find(member(name));
  if (!e)
    return Diag(diag::missing_entry, fmt::format("there is no array {}", name), "check the names of the arrays")
        .in_file(path());
  NPU_ASSIGN(const ZipBytes bytes, zip_.read(*e));
  if (e->method == 0) NPU_TRY(zip_.check_crc(*e));  // inflated members were checked by read
  auto t = parse_npy(bytes.bytes, bytes.owner);
  if (!t) return std::move(t).error().in_file(path()).at_tensor(name);
  return t;
}

Result<NamedTensors> read_npz(const std::string& path) {
  NPU_ASSIGN(const NpzReader npz, NpzReader::open(path));
  NamedTensors arrays;
  for (const std::string& name : npz.names()) {
    NPU_ASSIGN(Tensor t, npz.read(name));
    arrays.emplace_back(name, std::move(t));
  }
  return arrays;
}

Status write_npz(const std::string& path, std::span<const std::pair<std::string, Tensor>> arrays) {
  std::set<std::string_view> seen;
  for (const auto& [name, t] : arrays)
    if (name.empty() || !seen.insert(name).second)
      return Diag(diag::bad_input_data, fmt::format("an array has no name or the name \"{}\" twice", name))
          .in_file(path);
  NPU_ASSIGN(auto file, AtomicFile::create(path));
  ZipWriter zip([&](std::span<const std::byte> bytes) { return file.write(bytes); });
  for (const auto& [name, t] : arrays) {
    auto contents = npy_header(t);
    if (!contents) return std::move(contents).error().in_file(path).at_tensor(name);
    contents->append(as_text(contents_of(t)));
    ZipWriter::EntryOptions options;
    options.align = 64;
    NPU_TRY(zip.add(member(name), as_bytes(*contents), options));
  }
  NPU_TRY(zip.finish());
  return file.commit(false);
}

}  // namespace npuport
