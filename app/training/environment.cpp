// What the training library runs on, for `doctor`.

#include <ATen/Version.h>
#include <c10/util/Exception.h>
#include <link.h>
#include <torch/csrc/api/include/torch/cuda.h>
#include <torch/version.h>

#include <string>

#include "app/commands.h"
#include "residua/core/json.h"

namespace residua::app {

namespace {

// The files behind every BLAS that is loaded, with links resolved: the folder tells the variant on
// Debian
// (.../openblas-pthread/, .../openblas-openmp/).
int collect_blas(dl_phdr_info* info, size_t, void* list) {
  const std::string path = info->dlpi_name;
  const std::string file = path.substr(path.find_last_of('/') + 1);
  for (const char* stem : {"libblas.", "libopenblas", "libmkl_rt", "libmkl_core", "libblis"}) {
    if (!file.starts_with(stem)) continue;
    char* resolved = realpath(path.c_str(), nullptr);
    static_cast<Json*>(list)->push_back(resolved ? resolved : path);
    std::free(resolved);
  }
  return 0;
}

std::string first_line_of(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

std::string training_environment() {
  Json blas = Json::array();
  dl_iterate_phdr(collect_blas, &blas);
  return Json{{"libtorch", TORCH_VERSION},
              {"onednn", first_line_of(at::get_mkldnn_version())},
              {"openmp", first_line_of(at::get_openmp_version())},
              {"blas", blas},
              {"gpus", static_cast<int64_t>(torch::cuda::device_count())}}
      .dump();
}

}  // namespace residua::app
