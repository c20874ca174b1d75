// Images per second on one core: reading and decoding JPEG files, and the whole preparation for
// training and for testing at 224.
//
//   image_pipeline FOLDER [SECONDS]
//
// FOLDER is searched for .jpg and .jpeg files at any depth; the first pass, which fills the file
// cache, is not timed. Time is that of the processor, which other work on the machine stretches
// less than the clock's.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "residua/core/error.h"
#include "residua/core/json.h"
#include "residua/data/folder.h"
#include "residua/data/transform.h"
#include "residua/io/image.h"

namespace {

using residua::FolderDataset;
using residua::Json;

std::vector<residua::FolderEntry> find_jpegs(const std::string& folder) {
  std::vector<residua::FolderEntry> entries;
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder)) {
    std::string extension = file.path().extension();
    std::transform(extension.begin(), extension.end(), extension.begin(), ::tolower);
    if (extension == ".jpg" || extension == ".jpeg") entries.push_back({file.path(), 0});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return entries;
}

double processor_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// One untimed pass over all images, then as many images as fit into the time.
template <class Work>
Json images_per_second(const char* name, int64_t images, double seconds, const Work& work) {
  for (int64_t i = 0; i < images; ++i) work(i);
  const double start = processor_seconds();
  double elapsed = 0;
  int64_t done = 0;
  for (; elapsed < seconds; ++done) {
    work(done % images);
    elapsed = processor_seconds() - start;
  }
  const double rate = static_cast<double>(done) / elapsed;
  return {{"work", name}, {"images_per_s", rate}, {"ms_per_image", 1000 / rate}, {"images", done}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: image_pipeline FOLDER [SECONDS]\n");
    return 2;
  }
  const double seconds = argc > 2 ? std::atof(argv[2]) : 5;
  const auto entries = find_jpegs(argv[1]);
  if (entries.empty()) {
    std::fprintf(stderr, "no JPEG files in %s\n", argv[1]);
    return 2;
  }
  const int64_t images = static_cast<int64_t>(entries.size());
  const FolderDataset dataset({.name = "images",
                               .classes = {"all"},
                               .mean = {0.485, 0.456, 0.406},
                               .stddev = {0.229, 0.224, 0.225},
                               .transform = {.crop = residua::CropKind::random_resized,
                                             .size = 224,
                                             .resize = 256,
                                             .flip = 0.5}},
                              entries);
  Json results = Json::array();
  results.push_back(images_per_second("decode", images, seconds,
                                      [&](int64_t i) { residua::read_image(entries[i].path); }));
  for (const auto phase : {residua::Phase::train, residua::Phase::test}) {
    const residua::Pipeline pipeline(dataset.info(), {}, phase);
    std::vector<float> input(static_cast<size_t>(pipeline.elements()));
    residua::Pipeline::Scratch scratch;
    int64_t drawn = 0;
    results.push_back(images_per_second(
        phase == residua::Phase::train ? "decode, random-resized crop, flip, normalise"
                                       : "decode, resize, center crop, normalise",
        images, seconds, [&](int64_t i) {
          const auto random = residua::Random(1).split(static_cast<uint64_t>(++drawn));
          pipeline.load(dataset, i, random, input, residua::PixelLayout::channels_last, scratch);
        }));
  }
  std::printf("%s\n", results.dump(1).c_str());
}
