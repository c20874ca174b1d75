#include "app/training/papers_folder.h"

#include <filesystem>

namespace residua::app {

std::string papers_folder(const std::string& named) {
  if (!named.empty()) return named;
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  const auto installed = (program / RESIDUA_PAPERS_INSTALLED).lexically_normal();
  return std::filesystem::is_directory(installed, ignored) ? installed.string()
                                                           : RESIDUA_PAPERS_SOURCES;
}

}  // namespace residua::app
