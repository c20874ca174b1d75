#include "app/network_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/commands_library.h"
#include "residua/core/error.h"

namespace residua::app {

namespace {

namespace fs = std::filesystem;

bool is_image(const fs::path& path) {
  std::string ending = path.extension();
  std::transform(ending.begin(), ending.end(), ending.begin(), ::tolower);
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

// The images of files and, recursively, folders, in order of their names.
std::vector<fs::path> image_files(const std::vector<std::string>& paths) {
  std::vector<fs::path> files;
  for (const std::string& path : paths) {
    if (!fs::exists(path))
      throw Error(ErrorKind::not_found, {.where = path, .rule = "does not exist"});
    if (!fs::is_directory(path)) {
      files.emplace_back(path);
      continue;
    }
    std::vector<fs::path> inside;
    for (const auto& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file() && is_image(entry.path())) inside.push_back(entry.path());
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  if (files.empty())
    throw Error(
        ErrorKind::not_found,
        {.where = "--images", .rule = "has no JPEG or PNG file", .received = paths.front()});
  return files;
}

// Spread evenly over all images.
std::vector<CalibrationSample> image_samples(const ModelFile& file,
                                             const CalibrationArguments& wanted) {
  if (!file.info.images)
    throw Error(ErrorKind::invalid_argument,
                {.where = "--images",
                 .rule = "nothing says how images are prepared for this network",
                 .expected = "a checkpoint, or data=NAME, the data it was trained on"});
  const std::vector<fs::path> files = image_files(wanted.images);
  ImageInput prepare(*file.info.images);
  const auto all = static_cast<int64_t>(files.size());
  const int64_t count = std::min(wanted.count, all);
  std::vector<CalibrationSample> samples;
  for (int64_t i = 0; i < count; ++i) {
    auto numbers = std::make_shared<std::vector<float>>(static_cast<size_t>(prepare.elements()));
    prepare.write(read_image(files[static_cast<size_t>(i * all / count)]), *numbers);
    const auto& images = prepare.preprocessing();
    samples.push_back(
        {{.info = {"x", DType::f32, {1, prepare.channels(), images.height, images.width}},
          .owner = numbers,
          .bytes = std::as_bytes(std::span(*numbers))}});
  }
  return samples;
}

void refuse_options_of_models(const NetworkArguments& a) {
  const auto refuse = [&](const char* option) {
    throw Error(ErrorKind::invalid_argument,
                {.where = option,
                 .rule = fmt::format("is of models, and {} is a file, which says it all", a.what)});
  };
  if (!a.weights.empty()) refuse("--weights");
  if (!a.overrides.empty()) refuse(a.overrides.front().c_str());
  if (!a.input.empty()) refuse("--input");
  if (a.dynamic_size) refuse("--dynamic-size");
  if (a.fixed_batch) refuse("--fixed-batch");
}

}  // namespace

NetworkSource open_network(const NetworkArguments& a, const CalibrationArguments* samples) {
  const bool from_images = samples && !samples->images.empty();
  NetworkSource source;
  if (fs::is_regular_file(a.what)) {
    refuse_options_of_models(a);
    if (samples && !from_images)
      throw Error(ErrorKind::invalid_argument, {.where = a.what,
                                                .rule = "needs images to compare the types on",
                                                .expected = "--images FOLDER"});
    source.file = read_model(a.what);
    if (a.batch != 1) source.file.graph = with_sizes(source.file.graph, {{"batch", a.batch}});
  } else if (const fs::path path = a.what; path.has_extension() && !fs::exists(path) &&
                                           a.weights.empty() && a.overrides.empty()) {
    throw Error(ErrorKind::not_found,
                {.where = a.what,
                 .rule = "is no file",
                 .expected = "a plan, a graph, an ONNX model, or the name of a model"});
  } else {
    source = commands_library().network(a, samples && !from_images ? samples->count : 0);
  }
  if (from_images) source.samples = image_samples(source.file, *samples);
  return source;
}

}  // namespace residua::app
