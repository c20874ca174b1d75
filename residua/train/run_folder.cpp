#include "residua/train/run_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "residua/core/error.h"
#include "residua/core/options.h"
#include "residua/io/atomic_file.h"

namespace residua {

namespace {

namespace fs = std::filesystem;

// True when this call made it; parents are made too.
bool make_folder(const std::string& path) {
  std::error_code error;
  const fs::path parent = fs::path(path).parent_path();
  if (!parent.empty()) fs::create_directories(parent, error);
  if (error) throw_io_error(path, "create the folder", error.value());
  const bool made = fs::create_directory(path, error);
  if (error) throw_io_error(path, "create the folder", error.value());
  return made;
}

std::string claim_free_folder(const std::string& name) {
  for (int number = 1;; ++number) {
    std::string path =
        number == 1 ? fmt::format("runs/{}", name) : fmt::format("runs/{}-{}", name, number);
    if (make_folder(path)) return path;
  }
}

void claim_folder(const std::string& path) {
  if (make_folder(path)) return;
  std::error_code error;
  const bool empty = fs::is_empty(path, error);
  if (error) throw_io_error(path, "read the folder", error.value());
  if (empty) return;
  const bool is_run = fs::exists(RunFolder{path}.config(), error);
  throw Error(ErrorKind::invalid_argument,
              {.where = path,
               .rule = is_run ? "already holds a run" : "is not empty",
               .expected = "a new or empty folder",
               .hint = is_run ? "--resume " + path + " continues it" : "choose another with out="});
}

}  // namespace

RunFolder create_run_folder(const std::string& out, const std::string& name,
                            const Json& configuration) {
  RunFolder folder{out};
  if (out.empty()) {
    folder.path = claim_free_folder(name);
  } else {
    claim_folder(out);
  }
  try {
    write_file_atomic(folder.config(), to_toml(configuration));
  } catch (...) {
    std::error_code ignored;
    fs::remove(folder.path, ignored);  // it is empty
    throw;
  }
  return folder;
}

void discard_unused_run(const RunFolder& folder) {
  std::error_code ignored;
  const bool recorded =
      fs::exists(folder.metrics(), ignored) && fs::file_size(folder.metrics(), ignored) > 0;
  const bool saved = fs::exists(folder.checkpoints(), ignored) &&
                     !fs::remove(folder.checkpoints(), ignored);  // goes only when it is empty
  if (recorded || saved) return;
  for (const std::string& file : {folder.config(), folder.metrics(), folder.events()})
    fs::remove(file, ignored);
  fs::remove(folder.path, ignored);
}

RunFolder open_run_folder(const std::string& path) {
  RunFolder folder{path};
  std::error_code error;
  if (!fs::is_regular_file(folder.config(), error))
    throw Error(ErrorKind::not_found,
                {.where = path, .rule = "holds no run", .expected = folder.config()});
  return folder;
}

Json read_run_configuration(const RunFolder& folder) { return read_toml(folder.config()); }

}  // namespace residua
