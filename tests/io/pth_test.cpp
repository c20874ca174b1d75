#include "residua/io/pth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/io/fixtures.h"

namespace residua::testing {
namespace {

class PthFormat : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<TensorFile> open(const std::string& stem) {
    return open_tensor_file(fixture(stem + GetParam()));
  }
};

INSTANTIATE_TEST_SUITE_P(Forms, PthFormat, ::testing::Values(".pth", ".legacy.pth"),
                         [](const auto& info) {
                           return std::string(info.param) == ".pth" ? "zip" : "legacy";
                         });

TEST_P(PthFormat, ReadsEveryElementType) {
  const auto file = open("kinds");
  EXPECT_EQ(file->format(), std::string(GetParam()) == ".pth" ? "pth" : "pth-legacy");
  const std::pair<const char*, DType> types[] = {
      {"float32", DType::f32},   {"float64", DType::f64},   {"float16", DType::f16},
      {"bfloat16", DType::bf16}, {"int64", DType::i64},     {"int32", DType::i32},
      {"int16", DType::i16},     {"int8", DType::i8},       {"uint8", DType::u8},
      {"bool", DType::boolean},  {"complex64", DType::c64}, {"complex128", DType::c128}};
  for (const auto& [name, dtype] : types)
    expect_ruled(*file, std::string("type.") + name, dtype, {2, 3});
}

TEST_P(PthFormat, ReadsViewsAsContiguous) {
  const auto file = open("kinds");
  // base is [2, 3, 4]; permuted has its axes in the order 2, 0, 1
  expect_ruled(*file, "permuted", DType::f32, {4, 2, 3},
               [](int64_t i) { return (i / 3 % 2) * 12 + (i % 3) * 4 + i / 6; });
  expect_ruled(*file, "offset", DType::f32, {3, 4}, [](int64_t i) { return 12 + i; });
  expect_ruled(*file, "every_other", DType::f32, {2, 3, 2}, [](int64_t i) { return i * 2; });
  expect_ruled(*file, "channels_last", DType::f32, {2, 3, 4, 5});
  expect_ruled(*file, "shared.a", DType::f32, {6});
  expect_ruled(*file, "shared.b", DType::f32, {6}, [](int64_t i) { return i + 4; });
  const TensorData expanded = file->read("expanded");
  EXPECT_EQ(expanded.info.shape, (Shape{3, 4}));
  for (size_t i = 0; i < 12; ++i) EXPECT_EQ(value_of(expanded, i), 5.0);
}

TEST_P(PthFormat, ReadsScalarsEmptyTensorsAndParameters) {
  const auto file = open("kinds");
  expect_ruled(*file, "scalar", DType::i64, {});
  expect_ruled(*file, "empty", DType::f32, {0, 3});
  expect_ruled(*file, "parameter", DType::f32, {3});
  expect_ruled(*file, "with_attribute", DType::f32, {4});
  EXPECT_EQ(file->tensors().size(), 23u);
}

TEST_P(PthFormat, TakesTheStateDictOfACheckpoint) {
  const auto file = open("checkpoint");
  std::vector<std::string> names;
  for (const TensorInfo& info : file->tensors()) names.push_back(info.name);
  EXPECT_THAT(names,
              ::testing::ElementsAre("module.0.weight", "module.0.bias", "module.1.weight",
                                     "module.1.bias", "module.1.running_mean",
                                     "module.1.running_var", "module.1.num_batches_tracked"));
  expect_ruled(*file, "module.0.weight", DType::f32, {2, 1, 3, 3});
  expect_ruled(*file, "module.1.num_batches_tracked", DType::i64, {});
  const std::map<std::string, std::string> expected = {
      {"epoch", "12"},           {"arch", "resnet20"},     {"best_prec1", "91.25"},
      {"flag", "true"},          {"numpy", "2.5"},         {"count", "7"},
      {"device", "cpu"},         {"big", "1099511627776"}, {"negative", "-5"},
      {"pth.root", "state_dict"}};
  EXPECT_EQ(file->metadata(), expected);
}

TEST_P(PthFormat, ReadsEveryProtocol) {
  for (const char* protocol : {"2", "3", "4", "5"}) {
    const auto file = open(std::string("protocol") + protocol);
    expect_ruled(*file, "a", DType::f32, {2, 3});
    expect_ruled(*file, "b.c", DType::i32, {4});
  }
}

TEST(Pth, ReadsListsAndSingleTensors) {
  const auto list = open_pth(fixture("list.pth"));
  expect_ruled(*list, "0", DType::f32, {2, 3});
  expect_ruled(*list, "1.0", DType::i32, {4});
  expect_ruled(*open_pth(fixture("tensor.pth")), "tensor", DType::f32, {2, 3});
}

TEST(Pth, ReadsCompressedArchives) {
  const auto file = open_tensor_file(fixture("deflated.pth"));
  expect_ruled(*file, "a", DType::f32, {2, 3});
  expect_ruled(*file, "b.c", DType::i32, {4});
}

TEST(Pth, SwapsBigEndianStorages) {
  const auto file = open_tensor_file(fixture("big_endian.pth"));
  expect_ruled(*file, "a", DType::f32, {2, 3});
  expect_ruled(*file, "b.c", DType::i32, {4});
}

TEST(Pth, PointsIntoTheFileAndKeepsItAlive) {
  TensorData tensor;
  {
    const auto file = open_pth(fixture("protocol2.pth"));
    tensor = file->read("a");
    EXPECT_EQ(tensor.bytes.data(), file->read("a").bytes.data());  // no copy was made
  }
  for (size_t i = 0; i < 6; ++i)
    EXPECT_EQ(value_of(tensor, i), ruled_value(DType::f32, static_cast<int64_t>(i)));
}

TEST(Pth, NamesTheNearestTensors) {
  const auto file = open_pth(fixture("checkpoint.pth"));
  const Error error = error_of([&] { file->read("module.0.weigth"); });
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_THAT(error.what(), ::testing::HasSubstr("'module.0.weight'"));
}

// --- pickles as PyTorch under Python 2 and of other ages wrote them, put together by hand ---

std::string legacy_file(const std::string& object, const std::string& keys,
                        const std::string& storages) {
  const std::string magic =
      std::string("\x80\x02\x8a\x0a") + "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  const std::string protocol("\x80\x02M\xe9\x03.", 6),
      machine = "\x80\x02}U\x0dlittle_endian\x88s.";
  return magic + protocol + machine + object + keys + storages;
}

std::unique_ptr<TensorFile> parse_text(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return parse_tensor_file(own_bytes({bytes.begin(), bytes.end()}), "by hand");
}

std::string floats(int64_t count, std::initializer_list<float> values) {
  std::string bytes(reinterpret_cast<const char*>(&count), sizeof count);
  return bytes.append(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float));
}

constexpr const char* kStorageOf4 =
    "(U\x07storagectorch\nFloatStorage\nU\x01kU\x03"
    "cpuK\x04NtQ";

TEST(PthByHand, ReadsPython2Dicts) {
  const std::string tensor =
      std::string("ctorch._utils\n_rebuild_tensor\n(") + kStorageOf4 + "K\x01(K\x03t(K\x01ttR";
  const std::string pair =
      "\x80\x02"
      "ccollections\nOrderedDict\n(]](U\x01w" +
      tensor + "eatR.";
  const auto file = parse_text(legacy_file(pair, "\x80\x02](U\x01ke.", floats(4, {-3, -2, -1, 0})));
  expect_ruled(*file, "w", DType::f32, {3});
}

TEST(PthByHand, ReadsStorageViews) {
  // A storage of 4 elements, of which the view "v" begins at element 1 and has 3.
  const std::string storage =
      "(U\x07storagectorch\nFloatStorage\nU\x01kU\x03"
      "cpuK\x04(U\x01vK\x01K\x03ttQ";
  const std::string with_zero = [&] {
    std::string text =
        "\x80\x02}U\x01w"
        "ctorch._utils\n_rebuild_tensor\n(" +
        storage + "K";
    text.push_back('\0');
    return text + "(K\x03t(K\x01ttRs.";
  }();
  const auto file =
      parse_text(legacy_file(with_zero, "\x80\x02](U\x01ke.", floats(4, {-3, -2, -1, 0})));
  expect_ruled(*file, "w", DType::f32, {3});
}

TEST(PthByHand, ReadsUntypedStorages) {
  std::string object =
      "\x80\x02}U\x01w"
      "ctorch._utils\n_rebuild_tensor_v3\n((U\x07storagectorch.storage\nUntypedStorage\n"
      "U\x01kU\x03"
      "cpuK\x08NtQK";
  object.push_back('\0');
  object +=
      "(K\x04t(K\x01t\x89"
      "ccollections\nOrderedDict\n)R"
      "ctorch\nuint16\ntRs.";
  const int64_t bytes = 8;
  const uint16_t values[] = {0, 1, 2, 3};
  std::string storage(reinterpret_cast<const char*>(&bytes), 8);
  storage.append(reinterpret_cast<const char*>(values), 8);
  expect_ruled(*parse_text(legacy_file(object, "\x80\x02](U\x01ke.", storage)), "w", DType::u16,
               {4});
}

TEST(PthByHand, RefusesEveryOtherGlobalByName) {
  for (const char* global : {"os\nsystem", "builtins\neval", "torch._utils\n_rebuild_qtensor",
                             "argparse\nNamespace", "collections\ndefaultdict", "torch\nload"}) {
    std::string dotted(global);
    dotted.replace(dotted.find('\n'), 1, ".");
    const std::string object = std::string(
                                   "\x80\x02"
                                   "c") +
                               global +
                               "\n(U\x04true"
                               "tR.";
    const Error error = error_of([&] { parse_text(legacy_file(object, "\x80\x02].", "")); });
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_EQ(error.text().where, "by hand");
    EXPECT_THAT(error.what(), ::testing::HasSubstr(dotted));
  }
}

TEST(PthByHand, BoundsSharedNesting) {
  // Forty lists, each holding the former twice: 2^40 places for one tensor.
  std::string object = std::string(
                           "\x80\x02"
                           "ctorch._utils\n_rebuild_tensor\n(") +
                       kStorageOf4;
  object += "K";
  object.push_back('\0');
  object += "(K\x04t(K\x01ttR";
  for (char i = 0; i < 40; ++i) object += std::string("q") + i + "](h" + i + "h" + i + "e";
  const Error error = error_of([&] {
    parse_text(legacy_file(object + ".", "\x80\x02](U\x01ke.", floats(4, {0, 0, 0, 0})));
  });
  EXPECT_EQ(error.kind(), ErrorKind::limit);
}

TEST(PthByHand, BoundsCycles) {
  const std::string tensor = [] {
    std::string text = std::string("ctorch._utils\n_rebuild_tensor\n(") + kStorageOf4 + "K";
    text.push_back('\0');
    return text + "(K\x04t(K\x01ttR";
  }();
  const std::string object = "\x80\x02]q\x01(" + tensor +
                             "h\x01"
                             "e.";
  const Error error = error_of([&] {
    parse_text(legacy_file(object, "\x80\x02](U\x01ke.", floats(4, {0, 0, 0, 0})));
  });
  EXPECT_EQ(error.kind(), ErrorKind::limit);
}

}  // namespace
}  // namespace residua::testing
