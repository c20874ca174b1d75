#include "residua/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "residua/core/random.h"
#include "tests/io/fixtures.h"

namespace residua::testing {
namespace {

template <class Number>
std::span<const std::byte> bytes_of(const std::vector<Number>& values) {
  return std::as_bytes(std::span(values));
}

std::string content_of(const std::string& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string with_header(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header +
         std::string(data_bytes, '\0');
}

std::unique_ptr<TensorFile> parse_text(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return parse_safetensors(own_bytes({bytes.begin(), bytes.end()}), "in memory");
}

TEST(Safetensors, ReadsEveryType) {
  const auto file = open_tensor_file(fixture("layout.safetensors"));
  EXPECT_EQ(file->format(), "safetensors");
  expect_ruled(*file, "f32", DType::f32, {2, 3});
  expect_ruled(*file, "f16", DType::f16, {5});
  expect_ruled(*file, "bf16", DType::bf16, {3});
  expect_ruled(*file, "i64", DType::i64, {});
  expect_ruled(*file, "bool", DType::boolean, {7});
  expect_ruled(*file, "empty", DType::f32, {0, 3});
  for (const auto& [name, dtype] :
       {std::pair("u8", DType::u8), std::pair("i8", DType::i8), std::pair("i16", DType::i16),
        std::pair("i32", DType::i32), std::pair("f64", DType::f64), std::pair("c64", DType::c64)})
    expect_ruled(*file, name, dtype, {3});
  EXPECT_EQ(file->metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
}

TEST(Safetensors, WritesTheReferencesLayout) {
  const auto file = open_safetensors(fixture("layout.safetensors"));
  std::vector<TensorData> held;
  std::vector<TensorView> views;
  for (const TensorInfo& info : file->tensors()) held.push_back(file->read(info.name));
  for (size_t i = held.size(); i-- > 0;)  // the order given must not matter
    views.push_back({held[i].info.name, held[i].info.dtype, held[i].info.shape, held[i].bytes});
  const TemporaryFolder folder;
  write_safetensors(folder.file("copy.safetensors"), views, file->metadata());
  EXPECT_EQ(content_of(folder.file("copy.safetensors")), content_of(fixture("layout.safetensors")));
}

TEST(Safetensors, KeepsNamesAndMetadataOfAnyText) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1.5f, -2.0f};
  const std::string name = "a \"quoted\" \\ name\nwith \xC3\xA4 and \xF0\x9F\x98\x80";
  const std::vector<TensorView> views = {{name, DType::f32, {2}, bytes_of(values)}};
  write_safetensors(folder.file("x"), views, {{"key \"1\"", "line\nline"}});
  const auto file = open_safetensors(folder.file("x"));
  EXPECT_EQ(element_of<float>(file->read(name), 1), -2.0f);
  EXPECT_EQ(file->metadata().at("key \"1\""), "line\nline");
}

TEST(Safetensors, RandomTensorsSurvive) {
  const TemporaryFolder folder;
  Random random(7);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::vector<std::byte>> contents;
    std::vector<TensorView> views;
    const auto count = 1 + random.integer(0, 20);
    contents.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      Shape shape;
      for (int64_t d = random.integer(0, 5); d > 0; --d) shape.push_back(random.integer(0, 5));
      const auto dtype = static_cast<DType>(random.integer(0, 14));  // all but c128
      std::vector<std::byte> content(static_cast<size_t>(checked_bytes(shape, dtype, "test")));
      for (std::byte& b : content) b = static_cast<std::byte>(random.integer(0, 256));
      contents.push_back(std::move(content));
      views.push_back({"t" + std::to_string(i), dtype, shape, contents.back()});
    }
    write_safetensors(folder.file("x"), views);
    const auto file = open_safetensors(folder.file("x"));
    ASSERT_EQ(file->tensors().size(), views.size());
    for (const TensorView& view : views) {
      const TensorData data = file->read(view.name);
      EXPECT_EQ(data.info.shape, view.shape);
      EXPECT_EQ(data.info.dtype, view.dtype);
      EXPECT_TRUE(
          std::equal(data.bytes.begin(), data.bytes.end(), view.bytes.begin(), view.bytes.end()));
    }
  }
}

TEST(Safetensors, RefusesToWriteWhatItCouldNotRead) {
  const TemporaryFolder folder;
  const std::vector<float> values(4);
  const auto write = [&](std::string name, DType dtype, Shape shape) {
    const std::vector<TensorView> views = {
        {std::move(name), dtype, std::move(shape), bytes_of(values)}};
    return error_of([&] { write_safetensors(folder.file("x"), views); }).kind();
  };
  EXPECT_EQ(write("a", DType::c128, {1}), ErrorKind::unsupported);
  EXPECT_EQ(write("a", DType::f32, {5}), ErrorKind::shape);
  EXPECT_EQ(write("__metadata__", DType::f32, {4}), ErrorKind::invalid_argument);
  EXPECT_EQ(write(std::string(1025, 'x'), DType::f32, {4}), ErrorKind::limit);
  EXPECT_EQ(write("a", DType::f32, Shape(9, 1)), ErrorKind::limit);
  EXPECT_EQ(write("\xFF", DType::f32, {4}), ErrorKind::invalid_argument);
  const std::vector<TensorView> twice(2, {"a", DType::f32, {4}, bytes_of(values)});
  EXPECT_EQ(error_of([&] { write_safetensors(folder.file("x"), twice); }).kind(),
            ErrorKind::invalid_argument);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

struct Refusal {
  const char* header;
  size_t data_bytes;
  ErrorKind kind;
  const char* words;
};

TEST(Safetensors, NamesTheTensorAndTheRule) {
  const Refusal refusals[] = {
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9, ErrorKind::corrupt_file,
       "1 bytes after"},
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7, ErrorKind::corrupt_file,
       "'w'"},
      {R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, ErrorKind::corrupt_file,
       "needs 12 bytes"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, ErrorKind::corrupt_file,
       "hole"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
       6, ErrorKind::corrupt_file, "'v'] its data overlaps"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, ErrorKind::corrupt_file, "'w'] is named twice"},
      {R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
       ErrorKind::limit, "'w'"},
      {R"({"w":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4,
       ErrorKind::limit, "dimensions"},
      {R"({"w":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", 4, ErrorKind::unsupported,
       "F99"},
      {R"({"w":{"dtype":"F32","shape":[1]}})", 4, ErrorKind::corrupt_file, "lacks"},
      {R"({"w":[[1]]})", 4, ErrorKind::corrupt_file, "a list"},
      {R"({"w":)", 4, ErrorKind::corrupt_file, "JSON"},
  };
  for (const Refusal& refusal : refusals) {
    const Error error =
        error_of([&] { parse_text(with_header(refusal.header, refusal.data_bytes)); });
    EXPECT_EQ(error.kind(), refusal.kind) << error.what();
    EXPECT_THAT(error.what(), ::testing::HasSubstr(refusal.words));
    EXPECT_THAT(error.text().where, ::testing::StartsWith("in memory"));
  }
}

TEST(Safetensors, HundredThousandTensorsAreCheap) {
  const TemporaryFolder folder;
  std::vector<TensorView> views;
  const std::vector<float> value(1);
  for (int i = 0; i < 100'000; ++i)
    views.push_back({"layer." + std::to_string(i) + ".weight", DType::f32, {1}, bytes_of(value)});
  const std::string path = folder.file("many.safetensors");
  write_safetensors(path, views);
  const auto begin = std::chrono::steady_clock::now();
  const auto file = open_safetensors(path);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(file->tensors().size(), 100'000u);
  EXPECT_TRUE(file->contains("layer.99999.weight"));
  EXPECT_LT(
      seconds.count(),
      10.0);  // measured 1.3 s unoptimised on a busy machine; a quadratic reader takes minutes
}

}  // namespace
}  // namespace residua::testing
