#include "residua/data/cifar.h"

#include "residua/data/locate.h"
#include "residua/data/memory_dataset.h"
#include "residua/io/file.h"

namespace residua {

namespace {

const std::vector<std::string> kCifar10Classes{"airplane", "automobile", "bird",  "cat",  "deer",
                                               "dog",      "frog",       "horse", "ship", "truck"};

// In the order of fine_label_names.txt and coarse_label_names.txt of the archive.
const std::vector<std::string> kFineClasses{
    "apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
    "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
    "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
    "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
    "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
    "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
    "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
    "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
    "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
    "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
    "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
    "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
    "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
    "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
    "table",       "tank",          "telephone", "television", "tiger",        "tractor",
    "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
    "willow_tree", "wolf",          "woman",     "worm"};
const std::vector<std::string> kCoarseClasses{"aquatic_mammals",
                                              "fish",
                                              "flowers",
                                              "food_containers",
                                              "fruit_and_vegetables",
                                              "household_electrical_devices",
                                              "household_furniture",
                                              "insects",
                                              "large_carnivores",
                                              "large_man-made_outdoor_things",
                                              "large_natural_outdoor_scenes",
                                              "large_omnivores_and_herbivores",
                                              "medium_mammals",
                                              "non-insect_invertebrates",
                                              "people",
                                              "reptiles",
                                              "small_mammals",
                                              "trees",
                                              "vehicles_1",
                                              "vehicles_2"};

struct CifarForm {
  int64_t label_bytes = 1, label_at = 0;
};

std::shared_ptr<const Dataset> read_cifar(const std::string& folder,
                                          const std::vector<std::string>& files, CifarForm form,
                                          DatasetInfo info) {
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  std::vector<RecordSource> sources;
  for (const std::string& file : files) {
    const std::string path = folder + "/" + file;
    const MappedFile mapped(path);
    const int64_t records =
        append_cifar_records(mapped.bytes(), form.label_bytes, form.label_at,
                             static_cast<int64_t>(info.classes.size()), path, pixels, labels);
    sources.push_back({path, records});
  }
  return std::make_shared<MemoryDataset>(std::move(info), std::move(pixels), std::move(labels),
                                         std::move(sources));
}

DatasetInfo cifar_info(std::string name, std::vector<std::string> classes) {
  return {.name = std::move(name),
          .classes = std::move(classes),
          .channels = 3,
          .height = 32,
          .width = 32,
          .transform = {.crop = CropKind::pad, .size = 32, .pad = 4, .flip = 0.5}};
}

}  // namespace

DataSplits make_cifar10(const Cifar10Options& options) {
  DatasetInfo info = cifar_info("cifar10", kCifar10Classes);
  info.mean = {0.4914, 0.4822, 0.4465};
  info.stddev = {0.2470, 0.2435, 0.2616};
  const std::string folder =
      find_dataset("cifar10", "cifar-10-batches-bin", "data_batch_1.bin", options.path);
  return {read_cifar(folder,
                     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                      "data_batch_4.bin", "data_batch_5.bin"},
                     {}, info),
          read_cifar(folder, {"test_batch.bin"}, {}, info)};
}

DataSplits make_cifar100(const Cifar100Options& options) {
  const bool fine = options.labels == CifarLabels::fine;
  DatasetInfo info = cifar_info("cifar100", fine ? kFineClasses : kCoarseClasses);
  info.mean = {0.5071, 0.4865, 0.4409};
  info.stddev = {0.2673, 0.2564, 0.2762};
  const CifarForm form{.label_bytes = 2, .label_at = fine ? 1 : 0};
  const std::string folder =
      find_dataset("cifar100", "cifar-100-binary", "train.bin", options.path);
  return {read_cifar(folder, {"train.bin"}, form, info),
          read_cifar(folder, {"test.bin"}, form, info)};
}

}  // namespace residua
