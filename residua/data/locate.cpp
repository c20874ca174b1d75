#include "residua/data/locate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <filesystem>

#include "residua/core/error.h"

namespace residua {

namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool holds(const fs::path& folder, const std::string& file) {
  return is_file(folder / file) || is_file(folder / (file + ".gz"));
}

}  // namespace

std::string cache_folder() {
  if (const std::string set = environment("RESIDUA_CACHE"); !set.empty()) return set;
  if (const std::string xdg = environment("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/residua";
  if (const std::string home = environment("HOME"); !home.empty()) return home + "/.cache/residua";
  throw Error(ErrorKind::not_found, {.where = "cache folder",
                                     .rule = "cannot be named, because HOME is not set",
                                     .hint = "set RESIDUA_CACHE to a folder"});
}

std::string downloaded_folder(const std::string& name) { return cache_folder() + "/data/" + name; }

std::string find_dataset(const std::string& name, const std::string& canonical,
                         const std::string& marker, const std::string& path) {
  std::vector<fs::path> places;
  const auto add = [&](const fs::path& folder) {
    places.push_back(folder);
    places.push_back(folder / canonical);
  };
  if (!path.empty()) {
    add(path);
  } else {
    if (const std::string root = environment("RESIDUA_DATA"); !root.empty())
      places.push_back(fs::path(root) / canonical);
    add(downloaded_folder(name));
  }
  for (const fs::path& place : places)
    if (holds(place, marker)) return place.string();
  std::vector<std::string> looked;
  for (const fs::path& place : places) looked.push_back(place.string());
  throw Error(ErrorKind::not_found,
              {.where = "data " + name,
               .rule = "was not found",
               .expected = fmt::format("{} or {}.gz in one of: {}", marker, marker,
                                       fmt::join(looked, ", ")),
               .hint = fmt::format("`residua data get {}` downloads it; `data.path` names a folder",
                                   name)});
}

std::string find_maybe_gz(const std::string& folder, const std::string& file) {
  const std::string plain = folder + "/" + file;
  if (is_file(plain)) return plain;
  if (is_file(plain + ".gz")) return plain + ".gz";
  throw Error(ErrorKind::not_found, {.where = folder,
                                     .rule = "lacks a file of the dataset",
                                     .expected = file + " or " + file + ".gz"});
}

}  // namespace residua
