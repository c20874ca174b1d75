#include "app/commands_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "app/version.h"
#include "residua/core/error.h"

namespace residua::app {

namespace {

constexpr char kLibraryFile[] = "libresidua_commands.so";

std::string find_commands_library() {
  if (const char* named = std::getenv("RESIDUA_COMMANDS"); named && *named) return named;
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  for (const char* folder : {"../lib", RESIDUA_LIBRARY_FOLDER}) {
    const auto file = program / folder / kLibraryFile;
    if (std::filesystem::exists(file)) return file.lexically_normal();
  }
  throw Error(
      ErrorKind::unsupported,
      {.where = kLibraryFile,
       .rule = "is not beside this program, so commands that train or run models are not available",
       .hint = "build with -DRESIDUA_TRAINING=ON, or name the file in RESIDUA_COMMANDS"});
}

const CommandTable& load_commands_library() {
  const std::string path = find_commands_library();
  void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!library)
    throw Error(ErrorKind::unsupported,
                {.where = path, .rule = fmt::format("could not be loaded: {}", dlerror())});
  using GetTable = const CommandTable* (*)();
  const auto get_table = reinterpret_cast<GetTable>(dlsym(library, kCommandTableSymbol));
  if (!get_table)
    throw Error(ErrorKind::unsupported,
                {.where = path, .rule = "is not a command library of residua"});
  const CommandTable* table = get_table();
  if (std::strcmp(table->version, kBuildVersion) != 0)
    throw Error(ErrorKind::unsupported, {.where = path,
                                         .rule = "belongs to another build of residua",
                                         .expected = kBuildVersion,
                                         .received = table->version});
  return *table;
}

}  // namespace

const CommandTable& commands_library() {
  static const CommandTable& table = load_commands_library();
  return table;
}

}  // namespace residua::app
