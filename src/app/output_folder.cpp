#include "app/output_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;
constexpr int kStateVersion = 1;
constexpr const char* kState = ".npuport/state.json";
constexpr const char* kLock = ".npuport/lock";

// A relative path that stays inside the folder: the state file is input like any other.
bool inside(const std::string& relative) {
  const fs::path p = fs::path(relative).lexically_normal();
  return !p.empty() && !p.is_absolute() && *p.begin() != "..";
}

// What a killed run may have left between making a finished file visible and renaming it: ".NAME.PID.N.tmp". The lock
// is held, so nobody is writing here.
void remove_leftovers(const std::string& path) {
  std::error_code ec;
  for (const char* folder :
       {"", ".npuport", ".npuport/generated", "models", "scripts", "test/outputs/debug", "test/outputs/baseline"})
    for (const auto& entry : fs::directory_iterator(path + "/" + folder, ec)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with('.') && name.ends_with(".tmp") && entry.is_regular_file(ec)) fs::remove(entry.path(), ec);
    }
}

}  // namespace

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : path_(std::move(other.path_)),
      made_(std::move(other.made_)),
      lock_(std::exchange(other.lock_, -1)),
      steps_(std::move(other.steps_)) {}

OutputFolder::~OutputFolder() {
  if (lock_ < 0) return;
  remove_if_unused();
  ::close(lock_);
}

// The lock is held: whoever opened the lock file meanwhile finds it unlinked and starts over.
void OutputFolder::remove_if_unused() {
  std::error_code ec;
  const auto holds_only = [&](const std::string& folder, std::initializer_list<std::string_view> names) {
    for (const auto& entry : fs::directory_iterator(folder, ec))
      if (std::find(names.begin(), names.end(), entry.path().filename().string()) == names.end()) return false;
    return !ec;
  };
  if (!steps_.empty() || !holds_only(path_, {".npuport"}) || !holds_only(path_ + "/.npuport", {"state.json", "lock"}))
    return;
  for (const char* name : {kState, kLock, ".npuport"}) fs::remove(file(name), ec);
  for (const std::string& folder : made_) fs::remove(folder, ec);
}

Status OutputFolder::lock() {
  const std::string file = path_ + "/" + kLock;
  for (;;) {
    NPU_TRY(make_folders(path_ + "/.npuport"));
    lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock_ < 0 && errno == ENOENT) continue;  // its folder has just been removed by a run that ended
    if (lock_ < 0)
      return Diag(diag::not_writable, std::string("cannot open the lock file: ") + std::strerror(errno)).in_file(file);
    const bool held = ::flock(lock_, LOCK_EX | LOCK_NB) == 0;
    struct stat info = {};
    if (held && ::fstat(lock_, &info) == 0 && info.st_nlink > 0) return {};
    ::close(std::exchange(lock_, -1));
    if (!held)
      return Diag(diag::locked, "another npuport run is writing to this folder", "wait for it, or choose another -o")
          .in_file(path_);
  }
}

Result<OutputFolder> OutputFolder::open(const std::string& path) {
  OutputFolder f;
  f.path_ = path;
  std::error_code ec;
  for (fs::path p = fs::path(path).lexically_normal(); !p.empty() && !fs::exists(p, ec); p = p.parent_path())
    f.made_.push_back(p.string());
  NPU_TRY(f.lock());
  remove_leftovers(path);
  if (!fs::exists(path + "/" + kState, ec)) return f;
  NPU_ASSIGN(const std::string text, read_file(path + "/" + kState, uint64_t{64} << 20));
  const Result<Json> state = parse_json(text, kState);
  // A damaged or foreign state only means that everything is done again.
  if (!state || !state->is_object() || !state->contains("version")) return f;
  if ((*state)["version"].is_number_integer() && (*state)["version"].get<int>() > kStateVersion)
    return Diag(diag::newer_version, "the output folder was written by a newer npuport",
                "choose another -o, or remove the folder")
        .in_file(path);
  try {
    for (const auto& [id, s] : (*state).at("steps").items()) {
      auto step = std::make_shared<Step>();
      step->number = s.at("number").get<int>();
      step->key = s.at("key").get<std::string>();
      step->result = s.at("result");
      for (const auto& [file, hash] : s.at("artefacts").items())
        if (inside(file)) step->artefacts[file] = hash.get<std::string>();
      f.steps_[id] = std::move(step);
    }
  } catch (const nlohmann::json::exception&) {
    f.steps_.clear();
  }
  return f;
}

const Json* OutputFolder::reusable(const std::string& id, const std::string& key) const {
  const auto it = steps_.find(id);
  if (it == steps_.end() || it->second->key != key) return nullptr;
  for (const auto& [path, hash] : it->second->artefacts) {
    const Result<std::string> now = sha256_file(file(path));
    if (!now || *now != hash) return nullptr;
  }
  return &it->second->result;
}

Status OutputFolder::record(const std::string& id, int number, const std::string& key, Json result,
                            const std::vector<std::string>& artefacts) {
  auto step = std::make_shared<Step>();
  step->number = number;
  step->key = key;
  step->result = std::move(result);
  for (const std::string& a : artefacts) {
    NPU_ASSIGN(step->artefacts[a], sha256_file(file(a)));
  }
  steps_[id] = std::move(step);
  return save();
}

Status OutputFolder::changed(const std::string& relative) {
  bool recorded = false;
  for (auto& [id, step] : steps_)
    if (const auto it = step->artefacts.find(relative); it != step->artefacts.end()) {
      NPU_ASSIGN(it->second, sha256_file(file(relative)));
      recorded = true;
    }
  return recorded ? save() : Status();
}

Status OutputFolder::drop_from(int number) {
  std::error_code ec;
  bool changed = false;
  for (auto it = steps_.begin(); it != steps_.end();) {
    if (it->second->number < number) {
      ++it;
      continue;
    }
    for (const auto& [path, hash] : it->second->artefacts) {
      // A page edited by hand (the decisions in operator_analysis.*) belongs to its author.
      const Result<std::string> now = sha256_file(file(path));
      if (path.find('/') == std::string::npos && now && *now != hash) continue;
      fs::remove(file(path), ec);
      // Folders that are empty now go too; remove() refuses any other. A file in a folder's place is somebody else's.
      for (fs::path parent = fs::path(path).parent_path();
           !parent.empty() && fs::is_directory(file(parent.string()), ec) && fs::remove(file(parent.string()), ec);)
        parent = parent.parent_path();
    }
    it = steps_.erase(it);
    changed = true;
  }
  return changed ? save() : Status();
}

Status OutputFolder::save() {
  Json j{{"version", kStateVersion}, {"steps", Json::object()}};
  for (const auto& [id, s] : steps_)
    j["steps"][id] = Json{{"number", s->number}, {"key", s->key}, {"result", s->result}, {"artefacts", s->artefacts}};
  return write_file(file(kState), dump_json(j));
}

}  // namespace npuport::app
