// `residua run`

#include <fmt/format.h>

#include "app/run_parts.h"
#include "app/terminal.h"
#include "residua/core/error.h"
#include "residua/io/image.h"

namespace residua::app {

namespace {

bool is_image_file(const std::string& path) {
  const MappedFile file(path);
  return is_jpeg(file.bytes()) || is_png(file.bytes());
}

// All of one kind, told by the content of each.
bool are_images(const std::vector<std::string>& paths) {
  const bool first = is_image_file(paths[0]);
  for (const std::string& path : paths)
    if (is_image_file(path) != first)
      throw Error(ErrorKind::invalid_argument,
                  {.where = path,
                   .rule = first ? "is no image, as the inputs before it are"
                                 : "is an image, as the inputs before it are not",
                   .expected = first ? "JPEG or PNG" : ".npy, .npz or .safetensors"});
  return first;
}

// Where the network gives no classes, one line for each output.
void print_outputs(const Json& outputs) {
  for (const Json& output : outputs) {
    fmt::print("  {}: {} {}", printable(output["name"].get<std::string>()),
               output["dtype"].get<std::string>(), output["shape"].dump());
    for (const char* key : {"least", "mean", "greatest"})
      if (output[key].is_number() && !std::isnan(output[key].get<double>()))
        fmt::print("  {} {:.6g}", key, output[key].get<double>());
    if (output["not_finite"] != 0)
      fmt::print("  not finite {}", output["not_finite"].get<int64_t>());
    fmt::print("\n");
  }
}

void print_result(const Json& result) {
  fmt::print("{}\n", result[result.contains("image") ? "image" : "input"].get<std::string>());
  if (result.contains("outputs")) print_outputs(result["outputs"]);
  if (!result.contains("top")) return;
  for (const Json& entry : result["top"])
    fmt::print("  {:>8}  {}\n", fmt::format("{:.2f} %", 100 * entry["probability"].get<double>()),
               printable(entry["class"].get<std::string>()));
}

}  // namespace

int run_model(const RunArguments& a) {
  if (a.inputs.empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = "run",
                 .rule = "needs at least one input",
                 .expected = "images, or .npy, .npz or .safetensors files"});
  RunTimes times;
  const double begin = run_clock();
  ModelFile file = read_model(a.model);
  times.open = run_clock() - begin;
  const RunOptions options = run_options(file, a.overrides);
  const bool images = are_images(a.inputs);
  if (!images && !options.images.empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = "images", .rule = "is used only where the inputs are images"});
  const auto run = images ? run_images : run_tensors;
  const std::string path = file.path;
  const Json results = run(a, std::move(file), options, times);
  if (a.json) {
    Json all{{"model", path}, {"results", results}};
    if (a.time) all["time"] = to_json(times);
    fmt::print("{}\n", all.dump(1, ' ', false, Json::error_handler_t::replace));
    return 0;
  }
  for (const Json& result : results) print_result(result);
  if (a.time) fmt::print("{}\n", to_text(times));
  return 0;
}

}  // namespace residua::app
