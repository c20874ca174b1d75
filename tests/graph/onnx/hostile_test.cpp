// Broken models are refused with the kind of error that fits, by name, and without using memory.
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>
#include <sys/resource.h>

#include <functional>

#include "residua/graph/onnx/onnx.h"
#include "residua/io/atomic_file.h"
#include "tests/graph/onnx/onnx_check.h"
#include "tests/io/fixtures.h"

namespace residua::testing {
namespace {

onnx::ModelProto model_of(const std::string& graph, int opset = 13) {
  onnx::ModelProto model;
  model.ParseFromString(onnx_from_text(graph, opset));
  return model;
}

onnx::ModelProto good_model() {
  onnx::ModelProto model =
      model_of("(float[N,3] X) => (float[N,3] Y) { A = Relu (X) Y = Add (A, W) }");
  onnx::TensorProto& w = *model.mutable_graph()->add_initializer();
  w.set_name("W");
  w.set_data_type(onnx::TensorProto::FLOAT);
  w.add_dims(3);
  w.set_raw_data(std::string(12, '\1'));
  return model;
}

onnx::TensorProto& weight(onnx::ModelProto& model) {
  return *model.mutable_graph()->mutable_initializer(0);
}

void make_external(onnx::ModelProto& model, const std::string& location,
                   const std::string& offset = "0", const std::string& length = "12") {
  weight(model).clear_raw_data();
  weight(model).set_data_location(onnx::TensorProto::EXTERNAL);
  for (const auto& [key, value] : {std::pair("location", location), std::pair("offset", offset),
                                   std::pair("length", length)}) {
    auto& entry = *weight(model).add_external_data();
    entry.set_key(key);
    entry.set_value(value);
  }
}

struct HostileModel {
  const char* name;
  ErrorKind kind;
  std::function<std::string()> bytes;
};

// A change of the good model.
HostileModel changed(const char* name, ErrorKind kind,
                     std::function<void(onnx::ModelProto&)> change) {
  return {name, kind, [change] {
            onnx::ModelProto model = good_model();
            change(model);
            return model.SerializeAsString();
          }};
}

HostileModel text(const char* name, ErrorKind kind, const char* graph, int opset = 13) {
  return {name, kind, [=] { return model_of(graph, opset).SerializeAsString(); }};
}

std::string nested(int depth) {
  // A graph in an attribute of a node of a graph ..., written from the inside.
  onnx::GraphProto graph;
  for (int i = 0; i < depth; ++i) {
    onnx::GraphProto outer;
    auto& attribute = *outer.add_node()->add_attribute();
    *attribute.mutable_g() = graph;
    graph = outer;
  }
  onnx::ModelProto model = good_model();
  *model.mutable_graph()->add_node()->add_attribute()->mutable_g() = graph;
  return model.SerializeAsString();
}

constexpr auto kCorrupt = ErrorKind::corrupt_file;
constexpr auto kLimit = ErrorKind::limit;
constexpr auto kUnsupported = ErrorKind::unsupported;

const std::vector<HostileModel>& hostile_models() {
  static const std::vector<HostileModel> models = {
      {"empty", kCorrupt, [] { return std::string(); }},
      {"no_model", kCorrupt, [] { return std::string("this is no model at all"); }},
      {"zeros", kCorrupt, [] { return std::string(1000, '\0'); }},
      {"truncated", kCorrupt,
       [] {
         std::string bytes = good_model().SerializeAsString();
         return bytes.substr(0, bytes.size() - 20);
       }},
      {"length_beyond_file", kCorrupt, [] { return std::string("\x3a\xff\xff\xff\x7f\x0a", 6); }},
      {"length_beyond_32_bits", kCorrupt,
       [] { return std::string("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10); }},
      {"nested_too_deeply", kLimit, [] { return nested(40); }},
      {"too_many_parts", kLimit,
       [] {
         std::string nodes;
         for (int i = 0; i < 4'000'001; ++i) nodes += std::string("\x0a\0", 2);
         std::string length;
         for (size_t n = nodes.size(); n > 0; n >>= 7)
           length += static_cast<char>((n & 127) | (n > 127 ? 128 : 0));
         return "\x3a" + length + nodes;
       }},
      changed("no_opset", kUnsupported, [](auto& m) { m.clear_opset_import(); }),
      changed("old_opset", kUnsupported,
              [](auto& m) { m.mutable_opset_import(0)->set_version(3); }),
      changed("huge_opset", kUnsupported,
              [](auto& m) { m.mutable_opset_import(0)->set_version(INT64_MAX); }),
      changed("no_output", kCorrupt, [](auto& m) { m.mutable_graph()->clear_output(); }),
      changed("output_unwritten", kCorrupt,
              [](auto& m) { m.mutable_graph()->mutable_output(0)->set_name("Q"); }),
      changed("too_few_bytes", kCorrupt, [](auto& m) { weight(m).set_raw_data("123"); }),
      changed("too_many_bytes", kCorrupt,
              [](auto& m) { weight(m).set_raw_data(std::string(16, 'x')); }),
      changed("no_bytes", kCorrupt, [](auto& m) { weight(m).clear_raw_data(); }),
      changed("negative_size", kLimit, [](auto& m) { weight(m).set_dims(0, -3); }),
      changed("huge_size", kCorrupt, [](auto& m) { weight(m).set_dims(0, int64_t{1} << 40); }),
      changed("overflowing_sizes", kLimit,
              [](auto& m) {
                weight(m).set_dims(0, int64_t{1} << 40);
                weight(m).add_dims(int64_t{1} << 40);
              }),
      changed("too_many_axes", kLimit,
              [](auto& m) {
                for (int i = 0; i < 100; ++i) weight(m).add_dims(1);
              }),
      changed("unknown_element_type", kUnsupported, [](auto& m) { weight(m).set_data_type(77); }),
      changed("strings", kUnsupported,
              [](auto& m) { weight(m).set_data_type(onnx::TensorProto::STRING); }),
      changed("wrong_element_type", kCorrupt,
              [](auto& m) { weight(m).set_data_type(onnx::TensorProto::INT32); }),
      changed("unnamed_weight", kCorrupt, [](auto& m) { weight(m).set_name(""); }),
      changed("segment", kUnsupported, [](auto& m) { weight(m).mutable_segment()->set_end(3); }),
      changed("weight_twice", kCorrupt,
              [](auto& m) { *m.mutable_graph()->add_initializer() = weight(m); }),
      changed("sparse", kUnsupported, [](auto& m) { m.mutable_graph()->add_sparse_initializer(); }),
      changed("cyclic", kCorrupt,
              [](auto& m) { m.mutable_graph()->mutable_node(0)->set_input(0, "Y"); }),
      changed("reads_itself", kCorrupt,
              [](auto& m) { m.mutable_graph()->mutable_node(0)->set_input(0, "A"); }),
      changed("written_twice", kCorrupt,
              [](auto& m) { m.mutable_graph()->mutable_node(1)->set_output(0, "A"); }),
      changed("reads_nothing", kCorrupt,
              [](auto& m) { m.mutable_graph()->mutable_node(0)->clear_input(); }),
      changed("unknown_operator", kUnsupported,
              [](auto& m) { m.mutable_graph()->mutable_node(0)->set_op_type("Bogus"); }),
      changed("unknown_domain", kUnsupported,
              [](auto& m) { m.mutable_graph()->mutable_node(0)->set_domain("com.example"); }),
      changed("functions", kUnsupported, [](auto& m) { m.add_functions(); }),
      changed("input_no_tensor", kUnsupported,
              [](auto& m) {
                m.mutable_graph()->mutable_input(0)->mutable_type()->mutable_sequence_type();
              }),
      changed("input_of_no_rank", kUnsupported,
              [](auto& m) {
                m.mutable_graph()
                    ->mutable_input(0)
                    ->mutable_type()
                    ->mutable_tensor_type()
                    ->clear_shape();
              }),
      changed("input_huge", kLimit,
              [](auto& m) {
                auto& shape = *m.mutable_graph()
                                   ->mutable_input(0)
                                   ->mutable_type()
                                   ->mutable_tensor_type()
                                   ->mutable_shape();
                for (int i = 0; i < 2; ++i) shape.mutable_dim(i)->set_dim_value(int64_t{1} << 50);
              }),
      changed("input_negative", kLimit,
              [](auto& m) {
                m.mutable_graph()
                    ->mutable_input(0)
                    ->mutable_type()
                    ->mutable_tensor_type()
                    ->mutable_shape()
                    ->mutable_dim(0)
                    ->set_dim_value(-1);
              }),
      changed("too_many_outputs", kLimit,
              [](auto& m) {
                for (int i = 0; i < 2000; ++i)
                  *m.mutable_graph()->add_output() = m.graph().output(0);
              }),
      changed("too_many_symbols", kLimit,
              [](auto& m) {
                for (int i = 0; i < 40; ++i) {
                  auto& input = *m.mutable_graph()->add_input();
                  input = m.graph().input(0);
                  input.set_name("X" + std::to_string(i));
                  input.mutable_type()
                      ->mutable_tensor_type()
                      ->mutable_shape()
                      ->mutable_dim(0)
                      ->set_dim_param("N" + std::to_string(i));
                }
              }),
      changed("external_absolute", kCorrupt, [](auto& m) { make_external(m, "/etc/passwd"); }),
      changed("external_upward", kCorrupt, [](auto& m) { make_external(m, "../secret"); }),
      changed("external_hidden_upward", kCorrupt,
              [](auto& m) { make_external(m, "inner/../../secret"); }),
      changed("external_by_link", kCorrupt, [](auto& m) { make_external(m, "link"); }),
      changed("external_no_location", kCorrupt, [](auto& m) { make_external(m, ""); }),
      changed("external_beyond_file", kCorrupt, [](auto& m) { make_external(m, "data", "8"); }),
      changed("external_huge_offset", kCorrupt,
              [](auto& m) { make_external(m, "data", "18446744073709551615"); }),
      changed("external_negative_offset", kCorrupt,
              [](auto& m) { make_external(m, "data", "-8"); }),
      changed("external_wrong_length", kCorrupt,
              [](auto& m) { make_external(m, "data", "0", "4"); }),
      changed("external_missing", kCorrupt, [](auto& m) { make_external(m, "nothing"); }),
      text("attribute_of_another_type", kCorrupt,
           "(float[2,3] X) => (float[2,3] Y) { Y = Softmax <axis = 1.5> (X) }"),
      text("shapes_that_do_not_fit", kCorrupt,
           "(float[2,3] X, float[4,5] Z) => (float[2,5] Y) { Y = MatMul (X, Z) }"),
      text("types_that_do_not_fit", kCorrupt,
           "(float[2] X, int64[2] Z) => (float[2] Y) { Y = Add (X, Z) }"),
      text("reshape_to_other_count", kCorrupt,
           "(float[2,3] X) => (float[7] Y) { s = Constant <value_ints = [7]> () Y = Reshape (X, s) "
           "}"),
      text("reshape_by_data", kUnsupported,
           "(float[2,3] X, int64[1] s) => (float[6] Y) { Y = Reshape (X, s) }"),
      text("fill_huge", kCorrupt,
           "(float[1] X) => (float[1] Y) { s = Constant <value_ints = [4000000000, 4000000000]> () "
           "F = ConstantOfShape (s) Y = ReduceMax (F) }"),
      text("expand_huge", kLimit,
           "(float[1] X) => (float[1] Y) { s = Constant <value_ints = "
           "[2000000000, 2000000000, 2000000000]> () Y = Expand (X, s) }"),
      text("range_huge", kUnsupported,
           "(float[1] X) => (float[1] Y) { a = Constant <value_float = 0.0> () b = Constant "
           "<value_float = 1e30> () c = Constant <value_float = 1.0> () Y = Range (a, b, c) }"),
      text(
          "index_beyond_axis", kCorrupt,
          "(float[1] X) => (float[1] Y) { s = Shape (X) i = Constant <value_int = 5> () n = Gather "
          "<axis = 0> (s, i) Y = Cast <to = 1> (n) }"),
      text("axis_out_of_range", kCorrupt,
           "(float[2,3] X) => (float[2,3] Y) { Y = Softmax <axis = 7> (X) }"),
      text("kernel_larger_than_image", kCorrupt,
           "(float[1,1,2,2] X, float[1,1,5,5] W) => (float[1,1,1,1] Y) { Y = Conv (X, W) }"),
      text("negative_padding", kCorrupt,
           "(float[1,1,5,5] X, float[1,1,3,3] W) => (float[1,1,1,1] Y) { Y = Conv <pads = "
           "[-1,0,0,0]> (X, W) }"),
      text(
          "zero_stride", kCorrupt,
          "(float[1,1,5,5] X, float[1,1,3,3] W) => (float[1,1,1,1] Y) { Y = Conv <strides = [0,1]> "
          "(X, W) }"),
      text("zero_groups", kCorrupt,
           "(float[1,1,5,5] X, float[1,1,3,3] W) => (float[1,1,1,1] Y) { Y = Conv <group = 0> (X, "
           "W) }"),
      text("same_padding_of_zero_stride", kCorrupt,
           "(float[1,1,5,5] X, float[1,1,3,3] W) => (float[1,1,1,1] Y) { Y = Conv <auto_pad = "
           "\"SAME_UPPER\", strides = [0,0]> (X, W) }"),
      text("step_of_zero", kCorrupt,
           "(float[6] X) => (float[3] Y) { s = Constant <value_ints = [0]> () e = Constant "
           "<value_ints = [6]> () a = Constant <value_ints = [0]> () t = Constant <value_ints = "
           "[0]> () Y = Slice (X, s, e, a, t) }"),
      text(
          "branch_by_data", kUnsupported,
          "(bool[1] c, float[1] X) => (float[1] Y) { Y = If (c) <then_branch = yes () => (float[1] "
          "A) { A = Relu (X) }, else_branch = no () => (float[1] B) { B = Neg (X) }> }"),
      text("block_of_zero", kCorrupt,
           "(float[1,4,2,2] X) => (float[1,1,4,4] Y) { Y = DepthToSpace <blocksize = 0> (X) }"),
      text("repeats_overflow", kCorrupt,
           "(float[3,3] X) => (float[3,3] Y) { r = Constant <value_ints = [9223372036854775807, "
           "2]> () Y = Tile (X, r) }"),
      text("cast_to_nothing", kUnsupported,
           "(float[1] X) => (float[1] Y) { Y = Cast <to = 99999999999> (X) }"),
  };
  return models;
}

class OnnxHostileModel : public ::testing::TestWithParam<HostileModel> {};

TEST_P(OnnxHostileModel, IsRefused) {
  TemporaryFolder outside, folder;
  write_file_atomic(outside.file("secret"), std::string_view("twelve bytes"));
  write_file_atomic(folder.file("data"), std::string_view("twelve bytes"));
  std::filesystem::create_symlink(outside.file("secret"), folder.path() / "link");
  const std::string bytes = GetParam().bytes();
  write_file_atomic(folder.file("model.onnx"), std::string_view(bytes));
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const Error error = error_of([&] { read_onnx(folder.file("model.onnx"), {.default_size = 2}); });
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_EQ(to_string(error.kind()), to_string(GetParam().kind)) << error.what();
  EXPECT_NE(error.text().where.find("model.onnx"), std::string::npos) << error.what();
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 100 << 10) << "kilobytes";
}

INSTANTIATE_TEST_SUITE_P(Onnx, OnnxHostileModel, ::testing::ValuesIn(hostile_models()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(OnnxHostileBytes, TheGoodModelIsRead) {
  TemporaryFolder folder;
  onnx::ModelProto model = good_model();
  write_file_atomic(folder.file("model.onnx"), std::string_view(model.SerializeAsString()));
  EXPECT_EQ(read_onnx(folder.file("model.onnx")).graph.nodes.size(), 2u);
  make_external(model, "data");
  write_file_atomic(folder.file("data"), std::string_view("twelve bytes"));
  write_file_atomic(folder.file("model.onnx"), std::string_view(model.SerializeAsString()));
  EXPECT_EQ(read_onnx(folder.file("model.onnx")).graph.nodes.size(), 2u);
}

// Names like those that doubles of a name get.
TEST(OnnxHostileBytes, NamesThatCountAreRead) {
  onnx::ModelProto model = model_of(
      "(float[3] X) => (float[3] Y) { A = Relu (X) B = Relu (A) C = Relu (B) Y = Relu (C) }");
  for (int i = 0; i < 4; ++i)
    model.mutable_graph()->mutable_node(i)->set_name(i == 0 ? "n.1" : i == 1 ? "n.2" : "n");
  const std::string bytes = model.SerializeAsString();
  const auto view = std::as_bytes(std::span(bytes));
  EXPECT_EQ(parse_onnx(own_bytes({view.begin(), view.end()}), "m.onnx").graph.nodes.size(), 4u);
}

// Every prefix of a file, and every byte of it changed, is read or refused.
TEST(OnnxHostileBytes, EveryPrefixAndEveryByteIsHandled) {
  const std::string bytes = good_model().SerializeAsString();
  const auto handle = [](const std::string& changed) {
    const auto view = std::as_bytes(std::span(changed));
    try {
      parse_onnx(own_bytes({view.begin(), view.end()}), "model.onnx", {.default_size = 2});
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::corrupt_file || error.kind() == ErrorKind::limit ||
                  error.kind() == ErrorKind::unsupported)
          << error.what();
    }
  };
  for (size_t i = 0; i < bytes.size(); ++i) {
    handle(bytes.substr(0, i));
    for (const int change : {1, 0x80, 0xff}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ change);
      handle(changed);
    }
  }
}

}  // namespace
}  // namespace residua::testing
