#pragma once
// From images of any size to the numbers that a network reads.
//
//   const ImageInput prepare(file.info.images.value());
//   std::vector<float> x(prepare.elements());
//   prepare.write(read_image("cat.jpg"), x);

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "residua/core/options.h"
#include "residua/graph/graph.h"
#include "residua/io/image.h"
#include "residua/io/resample.h"

namespace residua {

enum class Interpolation { bilinear };
template <>
struct EnumNames<Interpolation> {
  static constexpr std::array names{"bilinear"};
};

// The shorter side is resized, the middle cut out, pixels in [0, 1] lose `mean` and are divided by
// `stddev`: what `residua predict` does.
struct ImagePreprocessing {
  int64_t height = 0, width = 0;
  int64_t resize = 0;
  double crop_fraction = 0.875;
  Interpolation interpolation = Interpolation::bilinear;
  std::vector<double> mean = {}, stddev = {};
  void fields(Fields& f);

  // `resize`, or what `crop_fraction` makes of the input's size.
  int64_t shorter_side() const;
};

// Throws ErrorKind::invalid_argument, naming the member, for what cannot be used: no size, a crop
// that is larger than what it is cut from, mean and stddev that are not one number for each of 1 or
// 3 channels.
void check_preprocessing(const ImagePreprocessing& images);

// What a graph of one image input [N, C, H, W] says in its metadata (mean, stddev, crop), with
// ImageNet's numbers where it says nothing, 224 also for open axes of size 1; `assumed` becomes
// whether it said nothing. nullopt where the graph has another input.
std::optional<ImagePreprocessing> preprocessing_of(const Graph& graph, bool* assumed = nullptr);

// Whether the graph has one input, and images so prepared fit it.
bool takes_images(const Graph& graph, const ImagePreprocessing& images);

class ImageInput {
 public:
  // Throws what check_preprocessing throws.
  explicit ImageInput(const ImagePreprocessing& images);

  int64_t channels() const { return static_cast<int64_t>(images_.mean.size()); }
  int64_t elements() const { return channels() * images_.height * images_.width; }
  const ImagePreprocessing& preprocessing() const { return images_; }

  // Writes [C, H, W]. Colour becomes grey and grey colour where the network wants it; alpha is
  // dropped. One thread at a time.
  void write(const Image& image, std::span<float> out);

 private:
  ImagePreprocessing images_;
  std::vector<std::array<float, 256>> normalised_;  // by channel and pixel value
  ResampleScratch scratch_;
  Image resized_;
};

}  // namespace residua
