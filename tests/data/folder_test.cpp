#include "residua/data/folder.h"

#include <gtest/gtest.h>

#include "pictures.h"
#include "residua/data/transform.h"
#include "support.h"

namespace residua {
namespace {

using test::contains;
using test::error_of;
using test::picture;
using test::TemporaryFolder;
using test::write_bytes;

void write_picture(const std::string& path, int64_t height = 20, int64_t width = 30,
                   int64_t channels = 3) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  write_png(path, picture(height, width, channels));
}

TEST(Folder, IsSplitByAFixedFraction) {
  const TemporaryFolder folder;
  for (const char* name : {"b", "a"})
    for (int i = 0; i < 10; ++i)
      write_picture(folder / (std::string(name) + "/" + std::to_string(i) + ".png"));
  write_bytes(folder / "a/notes.txt", "not an image");
  write_bytes(folder / "a/.hidden.png", "not looked at");
  const DataSplits splits = make_folder({.path = folder.path(), .test_fraction = 0.2});
  EXPECT_EQ(splits.train->info().classes, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(splits.train->size(), 16);
  ASSERT_EQ(splits.test->size(), 4);
  EXPECT_EQ(splits.test->describe(0), folder / "a/4.png");
  EXPECT_EQ(splits.test->describe(3), folder / "b/9.png");
  EXPECT_EQ(splits.test->label(3), 1);
  EXPECT_EQ(splits.train->get(0).image.pixels, picture(20, 30, 3).pixels);
}

TEST(Folder, UsesTrainAndValFolders) {
  const TemporaryFolder folder;
  write_picture(folder / "train/cat/1.png");
  write_picture(folder / "train/dog/deep/2.PNG");
  write_picture(folder / "val/dog/3.png");
  const DataSplits splits = make_folder({.path = folder.path()});
  EXPECT_EQ(splits.train->size(), 2);
  EXPECT_EQ(splits.test->size(), 1);
  EXPECT_EQ(splits.test->label(0), 1);
  write_picture(folder / "val/fish/4.png");
  const Error error = error_of([&] { make_folder({.path = folder.path()}); });
  EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
  EXPECT_TRUE(contains(error.what(), "fish")) << error.what();
}

TEST(Folder, WithoutImagesIsAnError) {
  const TemporaryFolder folder;
  const Error empty = error_of([&] { make_folder({.path = folder.path()}); });
  EXPECT_EQ(empty.kind(), ErrorKind::not_found);
  EXPECT_TRUE(contains(empty.what(), folder.path() + "] holds no images")) << empty.what();
  std::filesystem::create_directories(folder / "cat");
  write_bytes(folder / "cat/readme.txt", "x");
  EXPECT_TRUE(
      contains(error_of([&] { make_folder({.path = folder.path()}); }).what(), "holds no images"));
  write_picture(folder / "dog/1.png");
  EXPECT_TRUE(
      contains(error_of([&] { make_folder({.path = folder.path()}); }).what(), "none in cat"));
  EXPECT_EQ(error_of([&] { make_folder({.path = folder / "missing"}); }).kind(),
            ErrorKind::not_found);
  EXPECT_EQ(error_of([] { make_folder({}); }).kind(), ErrorKind::invalid_argument);
}

TEST(Folder, ACorruptImageIsNamed) {
  const TemporaryFolder folder;
  for (int i = 0; i < 5; ++i) write_picture(folder / ("a/" + std::to_string(i) + ".png"));
  write_bytes(folder / "a/1.png", "\x89PNG\r\n\x1a\n and then nothing");
  const DataSplits splits = make_folder({.path = folder.path()});
  const Pipeline pipeline(splits.train->info(), {.size = 8}, Phase::train);
  std::vector<float> out(static_cast<size_t>(pipeline.elements()));
  Pipeline::Scratch scratch;
  const Error error = error_of([&] {
    pipeline.load(*splits.train, 1, Random(0), out, PixelLayout::channels_first, scratch);
  });
  EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
  EXPECT_TRUE(contains(error.what(), "a/1.png")) << error.what();
}

// What a random-resized crop takes from a partly decoded JPEG is what it takes from the whole
// picture.
TEST(Folder, PartialDecodingChangesNothing) {
  const char* data = std::getenv("RESIDUA_DATA");
  if (!data) GTEST_SKIP() << "RESIDUA_DATA is not set";
  std::vector<FolderEntry> entries;
  for (const auto& file :
       std::filesystem::directory_iterator(std::string(data) + "/imagenet-sample-images"))
    if (entries.size() < 20) entries.push_back({file.path().string(), 0});
  ASSERT_EQ(entries.size(), 20u);
  DatasetInfo info{.name = "sample", .classes = {"all"}};
  info.mean = {0.485, 0.456, 0.406};
  info.stddev = {0.229, 0.224, 0.225};
  info.transform = {.crop = CropKind::random_resized, .size = 64, .resize = 72, .flip = 0.5};
  const FolderDataset dataset(info, entries);
  for (const Phase phase : {Phase::train, Phase::test}) {
    const Pipeline pipeline(info, {}, phase);
    std::vector<float> partial(static_cast<size_t>(pipeline.elements())), whole = partial;
    Pipeline::Scratch scratch;
    for (int64_t i = 0; i < dataset.size(); ++i) {
      const Random random = Random(1).split(static_cast<uint64_t>(i));
      pipeline.load(dataset, i, random, partial, PixelLayout::channels_first, scratch);
      pipeline.apply(dataset.get(i).image, random, whole, PixelLayout::channels_first, scratch);
      EXPECT_EQ(partial, whole) << dataset.describe(i);
    }
  }
}

}  // namespace
}  // namespace residua
