#include "residua/train/checkpoint_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/io/atomic_file.h"

namespace residua {

namespace {

namespace fs = std::filesystem;

// Step and running number of "step-0000001234-2"; nothing for another name.
struct CheckpointName {
  int64_t step = 0, number = 1;
  auto operator<=>(const CheckpointName&) const = default;
};

std::optional<CheckpointName> parse_name(std::string_view text) {
  if (!text.starts_with("step-")) return std::nullopt;
  text.remove_prefix(5);
  CheckpointName name;
  const char* end = text.data() + text.size();
  const auto step = std::from_chars(text.data(), end, name.step);
  if (step.ec != std::errc()) return std::nullopt;
  if (step.ptr == end) return name;
  if (*step.ptr != '-') return std::nullopt;
  const auto number = std::from_chars(step.ptr + 1, end, name.number);
  if (number.ec != std::errc() || number.ptr != end) return std::nullopt;
  return name;
}

std::string name_text(const CheckpointName& name) {
  return name.number == 1 ? fmt::format("step-{:010}", name.step)
                          : fmt::format("step-{:010}-{}", name.step, name.number);
}

// All folders of checkpoints, complete or not, oldest first.
std::vector<std::string> checkpoint_folders(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (parse_name(entry.path().filename().string()))
      names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return *parse_name(a) < *parse_name(b);
  });
  return names;
}

void remove_folder(const std::string& path) {
  // Without its manifest it is no checkpoint any more, whatever happens to the rest.
  std::error_code error;
  fs::remove(path + "/manifest.json", error);
  if (!error) fs::remove_all(path, error);
  if (error)
    log_message(LogLevel::warning,
                fmt::format("[{}] could not be removed: {}", path, error.message()));
}

// Reads "best" or "last" of index.json; empty when it is not there or not whole.
std::string indexed_name(const std::string& folder, const std::string& which) {
  try {
    const std::vector<std::byte> bytes = read_file(folder + "/index.json", 1 << 16);
    const Json index =
        parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, folder);
    const std::string name = index.value(which, std::string());
    return parse_name(name) && is_checkpoint(folder + "/" + name) ? name : std::string();
  } catch (const std::exception&) {
    return {};  // the index only repeats what the folders say
  }
}

std::optional<std::string> checkpoint_of_run(const std::string& path, const std::string& which) {
  for (const std::string& folder : {path + "/checkpoints", path}) {
    if (const std::string name = indexed_name(folder, which); !name.empty())
      return folder + "/" + name;
    std::string newest;
    for (const std::string& name : checkpoint_folders(folder))
      if (is_checkpoint(folder + "/" + name)) newest = name;
    if (!newest.empty()) return folder + "/" + newest;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> find_checkpoint(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    if (is_checkpoint(path)) return path;
    if (const auto found = checkpoint_of_run(path, "best")) return found;
    throw Error(ErrorKind::not_found, {.where = path,
                                       .rule = "holds no checkpoint",
                                       .expected = "a run, or a folder with a manifest.json"});
  }
  const fs::path given(path);
  const std::string which = given.filename().string();
  if ((which == "best" || which == "last") && !fs::exists(given, error))
    return checkpoint_of_run(given.parent_path().string(), which);
  return std::nullopt;
}

std::vector<std::string> CheckpointStore::names() const {
  std::vector<std::string> names;
  for (const std::string& name : checkpoint_folders(folder_))
    if (is_checkpoint(folder_ + "/" + name)) names.push_back(name);
  return names;
}

std::string CheckpointStore::free_name(int64_t step) const {
  CheckpointName name{.step = step};
  for (const std::string& other : checkpoint_folders(folder_)) {
    if (!is_checkpoint(folder_ + "/" + other)) continue;
    const CheckpointName taken = *parse_name(other);
    if (taken.step == step) name.number = std::max(name.number, taken.number + 1);
  }
  return name_text(name);
}

std::string CheckpointStore::save(const CheckpointContent& content, bool best) {
  const std::string name = free_name(content.step);
  const std::string path = folder_ + "/" + name;
  const std::string best_name = best ? name : best_;
  std::error_code error;
  fs::remove_all(path, error);  // what an interrupted save left
  save_checkpoint(path, content, best_name);
  best_ = best_name;
  write_index(name);
  prune(name);
  return path;
}

void CheckpointStore::write_index(const std::string& last) const {
  Json index{{"last", last}};
  if (!best_.empty()) index["best"] = best_;
  // Also makes the new folder durable: the folder that holds both is synced.
  write_file_atomic(folder_ + "/index.json", index.dump(1) + "\n");
}

void CheckpointStore::prune(const std::string& newest) const {
  const CheckpointName last = *parse_name(newest);
  std::vector<std::string> folders = checkpoint_folders(folder_);
  int64_t kept = 0;
  for (auto name = folders.rbegin(); name != folders.rend(); ++name) {
    const bool complete = is_checkpoint(folder_ + "/" + *name);
    // What comes after the newest belongs to a future that was given up because it could not be
    // read.
    const bool abandoned = *parse_name(*name) > last;
    if (!abandoned && complete && kept++ < keep_) continue;
    if (!abandoned && complete && *name == best_) continue;
    remove_folder(folder_ + "/" + *name);
  }
}

std::optional<Checkpoint> CheckpointStore::load_newest() {
  const std::vector<std::string> all = names();
  std::exception_ptr first_failure;
  for (auto name = all.rbegin(); name != all.rend(); ++name) {
    try {
      Checkpoint checkpoint = load_checkpoint(folder_ + "/" + *name);
      const std::string best = checkpoint.manifest.value("best", std::string());
      best_ = is_checkpoint(folder_ + "/" + best) ? best : std::string();
      return checkpoint;
    } catch (const Error& error) {
      if (!first_failure) first_failure = std::current_exception();
      log_message(LogLevel::warning,
                  fmt::format("{} The checkpoint before it is tried.", error.what()));
    }
  }
  if (first_failure) std::rethrow_exception(first_failure);
  return std::nullopt;
}

}  // namespace residua
