#include "residua/runtime/image_input.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr int64_t kImageNetSide = 224;
constexpr std::array kImageNetMean{0.485, 0.456, 0.406}, kImageNetStddev{0.229, 0.224, 0.225};

[[noreturn]] void bad_preprocessing(const char* member, std::string rule, std::string expected,
                                    std::string received) {
  throw Error(ErrorKind::invalid_argument, {.where = fmt::format("images.{}", member),
                                            .rule = std::move(rule),
                                            .expected = std::move(expected),
                                            .received = std::move(received)});
}

// "0.485 0.456 0.406"; empty for anything else than `count` finite numbers.
std::vector<double> numbers_of(const Graph& graph, const char* key, int64_t count) {
  const auto entry = graph.metadata.find(key);
  if (entry == graph.metadata.end()) return {};
  std::istringstream text(entry->second);
  std::vector<double> numbers;
  for (double number; text >> number;) numbers.push_back(number);
  const bool all = text.eof() && static_cast<int64_t>(numbers.size()) == count;
  return all ? numbers : std::vector<double>{};
}

bool is_open(const Graph& graph, int64_t axis) {
  return std::any_of(graph.axes.begin(), graph.axes.end(), [&](const AxisRule& rule) {
    return rule.value == graph.inputs[0] && rule.axis == axis;
  });
}

// An open axis of size 1 is one that the file says nothing of.
int64_t image_side(const Graph& graph, int64_t axis, bool& assumed) {
  const int64_t size = graph.shape(graph.inputs[0])[static_cast<size_t>(axis)];
  if (size > 1 || !is_open(graph, axis)) return size;
  assumed = true;
  return kImageNetSide;
}

const Value* image_value(const Graph& graph) {
  if (graph.inputs.size() != 1) return nullptr;
  const Value& value = graph.value(graph.inputs[0]);
  return value.type.dtype == DType::f32 && value.type.shape.size() == 4 ? &value : nullptr;
}

}  // namespace

void ImagePreprocessing::fields(Fields& f) {
  f.add("height", height, "of the network's input", {.min = 0, .max = 16384});
  f.add("width", width, "of the network's input", {.min = 0, .max = 16384});
  f.add("resize", resize, "shorter side before the middle is cut out; 0: input / crop_fraction",
        {.min = 0, .max = 16384});
  f.add("crop_fraction", crop_fraction, "of the resized image that the network sees",
        {.min = 0, .max = 1, .open_min = true});
  f.add("interpolation", interpolation, "how images are resized, with antialiasing");
  f.add("mean", mean, "per channel, of values in [0, 1]");
  f.add("stddev", stddev, "per channel", {.min = 0, .open_min = true});
}

int64_t ImagePreprocessing::shorter_side() const {
  if (resize > 0) return resize;
  const double side = static_cast<double>(std::max(height, width)) / crop_fraction;
  return static_cast<int64_t>(std::nearbyint(std::min(side, 1e9)));
}

void check_preprocessing(const ImagePreprocessing& images) {
  if (images.height < 1 || images.width < 1)
    bad_preprocessing("height", "height and width must be known", "at least 1",
                      fmt::format("{} x {}", images.height, images.width));
  const int64_t side = std::max(images.height, images.width);
  if (images.shorter_side() < side || images.shorter_side() > 65536)
    bad_preprocessing("resize", "the crop must fit what it is cut from",
                      fmt::format("{} to 65536", side), std::to_string(images.shorter_side()));
  if (images.mean.size() != 1 && images.mean.size() != 3)
    bad_preprocessing("mean", "must be one number a channel", "1 or 3 numbers",
                      std::to_string(images.mean.size()));
  if (images.stddev.size() != images.mean.size())
    bad_preprocessing("stddev", "must be one number a channel", std::to_string(images.mean.size()),
                      std::to_string(images.stddev.size()));
  for (const auto* numbers : {&images.mean, &images.stddev})
    for (const double number : *numbers)
      if (!std::isfinite(number) || (numbers == &images.stddev && number <= 0))
        bad_preprocessing(numbers == &images.mean ? "mean" : "stddev", "must be finite",
                          numbers == &images.mean ? "numbers" : "numbers > 0",
                          fmt::format("{}", number));
}

std::optional<ImagePreprocessing> preprocessing_of(const Graph& graph, bool* assumed) {
  const Value* value = image_value(graph);
  if (!value) return std::nullopt;
  const int64_t channels = value->type.shape[1];
  if (channels != 1 && channels != 3) return std::nullopt;
  bool guessed = false;
  ImagePreprocessing images{.height = image_side(graph, 2, guessed),
                            .width = image_side(graph, 3, guessed)};
  images.mean = numbers_of(graph, "mean", channels);
  images.stddev = numbers_of(graph, "stddev", channels);
  guessed = guessed || images.mean.empty() || images.stddev.empty();
  if (assumed) *assumed = guessed;
  if (images.mean.empty() || images.stddev.empty()) {
    images.mean.assign(kImageNetMean.begin(), kImageNetMean.begin() + channels);
    images.stddev.assign(kImageNetStddev.begin(), kImageNetStddev.begin() + channels);
  }
  if (const auto crop = numbers_of(graph, "crop", 1); !crop.empty() && crop[0] > 0 && crop[0] <= 1)
    images.crop_fraction = crop[0];
  try {
    check_preprocessing(images);
  } catch (const Error&) {
    return std::nullopt;  // a size that no image is resized to, or a stddev of 0
  }
  return images;
}

bool takes_images(const Graph& graph, const ImagePreprocessing& images) {
  const Value* value = image_value(graph);
  if (!value || value->type.shape[1] != static_cast<int64_t>(images.mean.size())) return false;
  const int64_t sizes[] = {images.height, images.width};
  for (int64_t axis = 2; axis < 4; ++axis) {
    if (!is_open(graph, axis) && value->type.shape[static_cast<size_t>(axis)] != sizes[axis - 2])
      return false;
  }
  return true;
}

ImageInput::ImageInput(const ImagePreprocessing& images) : images_(images) {
  check_preprocessing(images);
  normalised_.resize(images.mean.size());
  for (size_t c = 0; c < normalised_.size(); ++c)
    for (int value = 0; value < 256; ++value)
      normalised_[c][static_cast<size_t>(value)] =
          static_cast<float>((value / 255.0 - images.mean[c]) / images.stddev[c]);
}

void ImageInput::write(const Image& image, std::span<float> out) {
  if (static_cast<int64_t>(out.size()) != elements())
    throw Error(ErrorKind::internal, {.where = "image input",
                                      .rule = "there must be room for one image",
                                      .expected = std::to_string(elements()),
                                      .received = std::to_string(out.size())});
  Image changed;
  const Image* source = &image;
  if (image.channels != channels()) {
    changed = channels() == 3 ? to_rgb(image) : to_grey(image);
    source = &changed;
  }
  resample(*source, 0, 0,
           center_resize(image.height, image.width, images_.shorter_side(), images_.height,
                         images_.width),
           resized_, scratch_);
  const auto count = static_cast<size_t>(images_.height * images_.width);
  const auto step = static_cast<size_t>(channels());
  for (size_t c = 0; c < step; ++c) {
    const auto& table = normalised_[c];
    const uint8_t* pixel = resized_.pixels.data() + c;
    float* to = out.data() + c * count;
    for (size_t i = 0; i < count; ++i, pixel += step) to[i] = table[*pixel];
  }
}

}  // namespace residua
