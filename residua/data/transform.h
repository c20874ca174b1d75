#pragma once
// From a decoded image to the network's input: crop, flip, RandAugment, normalisation and erasing
// in one object.
//
//   const Pipeline pipeline(dataset->info(), options, Phase::train);
//   std::vector<float> input(pipeline.elements());
//   Pipeline::Scratch scratch;
//   int64_t label = pipeline.load(*dataset, index, random.split(index), input,
//   PixelLayout::channels_first, scratch);

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "residua/core/random.h"
#include "residua/data/dataset.h"
#include "residua/data/options.h"
#include "residua/io/resample.h"

namespace residua {

enum class Phase { train, test };
enum class PixelLayout { channels_first, channels_last };  // [C, H, W] or [H, W, C]

class Pipeline {
 public:
  // Memory used again from sample to sample; one for each thread.
  struct Scratch {
    PartialSample sample;
    Image work;
    Image other;
    ResampleScratch resample;
  };

  // Resolves everything left "auto". In the test phase nothing is random: images are resized and
  // center-cropped where training crops by random-resized or center, and taken whole otherwise.
  // Throws ErrorKind::invalid_argument when an option does not fit the dataset (mean of another
  // length; no size for images that differ in size; ...).
  Pipeline(const DatasetInfo& info, const AugmentOptions& options, Phase phase);

  int64_t channels() const { return channels_; }
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  int64_t elements() const { return channels_ * height_ * width_; }
  const MixOptions& mix() const { return mix_; }  // for whole batches; off in the test phase

  // Reads sample `index`, decoding no more than the crop needs, and writes `elements()` floats.
  // Returns the label. `random` decides everything that is random.
  int64_t load(const Dataset& dataset, int64_t index, const Random& random, std::span<float> out,
               PixelLayout layout, Scratch& scratch) const;

  // The same for an image in memory, of any size that the crop can take.
  void apply(const Image& image, const Random& random, std::span<float> out, PixelLayout layout,
             Scratch& scratch) const;

  // How the geometry was resolved.
  CropKind crop() const { return crop_; }
  int64_t resize() const { return resize_; }
  int64_t pad() const { return pad_; }
  double flip() const { return flip_; }
  const std::vector<double>& mean() const { return mean_; }
  const std::vector<double>& stddev() const { return stddev_; }

 private:
  struct Geometry;
  Geometry choose(int64_t height, int64_t width, const Random& random) const;
  void finish(const Geometry& geometry, const Random& random, std::span<float> out,
              PixelLayout layout, Scratch& scratch) const;
  void resolve_size(const DatasetInfo& info, const AugmentOptions& options);
  void resolve_normalisation(const DatasetInfo& info, const AugmentOptions& options);

  CropKind crop_ = CropKind::none;
  int64_t channels_ = 0, height_ = 0, width_ = 0;
  int64_t resize_ = 0, pad_ = 0;
  double min_scale_ = 1, max_scale_ = 1, min_ratio_ = 1;
  double flip_ = 0;
  RandAugmentOptions randaugment_;
  EraseOptions erase_;
  MixOptions mix_;
  std::vector<double> mean_, stddev_;
  std::vector<std::array<float, 256>> normalised_;  // by channel and pixel value
};

// torchvision's sampling of a random-resized crop: ten tries at an area and an aspect ratio, else a
// center crop.
CropBox random_resized_crop(int64_t height, int64_t width, double min_scale, double max_scale,
                            double min_ratio, Random& random);

}  // namespace residua
