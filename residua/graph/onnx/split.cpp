// An ONNX file taken apart without copying its weights.
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include "residua/core/error.h"
#include "residua/graph/onnx/form.h"

namespace residua {

namespace {

using Wire = google::protobuf::internal::WireFormatLite;
using Bytes = std::span<const std::byte>;

// An empty message of two bytes becomes an object of some hundred.
constexpr int64_t kMaxParts = 4'000'000;
constexpr int kMaxNesting = 60;  // below protobuf's own limit

[[noreturn]] void refuse_form(const std::string& path, std::string rule,
                              std::string received = {}) {
  throw Error(ErrorKind::corrupt_file,
              {.where = path, .rule = std::move(rule), .received = std::move(received)});
}

// Calls visit(field number, payload of a length-delimited field, the whole field) for each field of
// a message; false when the bytes are no message.
template <class Visit>
bool each_field(Bytes message, Visit visit) {
  const auto* data = reinterpret_cast<const uint8_t*>(message.data());
  google::protobuf::io::CodedInputStream in(data, static_cast<int>(message.size()));
  while (true) {
    const int start = in.CurrentPosition();
    const uint32_t tag = in.ReadTag();
    if (tag == 0) return in.ConsumedEntireMessage();
    std::optional<Bytes> payload;
    if (Wire::GetTagWireType(tag) == Wire::WIRETYPE_LENGTH_DELIMITED) {
      uint32_t length = 0;
      if (!in.ReadVarint32(&length)) return false;
      const auto at = static_cast<size_t>(in.CurrentPosition());
      if (length > message.size() - at || !in.Skip(static_cast<int>(length))) return false;
      payload = message.subspan(at, length);
    } else if (!Wire::SkipField(&in, tag)) {
      return false;
    }
    const auto end = static_cast<size_t>(in.CurrentPosition());
    visit(Wire::GetTagFieldNumber(tag), payload,
          message.subspan(static_cast<size_t>(start), end - static_cast<size_t>(start)));
  }
}

enum class Message {
  other,
  model,
  graph,
  node,
  attribute,
  tensor,
  sparse,
  value,
  type,
  tensor_type,
  list_type,
  map_type,
  shape,
  annotation,
  function,
  training
};

// The message that a field of a message holds.
Message part_of(Message whole, int field) {
  switch (whole) {
    case Message::model:
      return field == 7    ? Message::graph
             : field == 20 ? Message::training
             : field == 25 ? Message::function
                           : Message::other;
    case Message::training: return Message::graph;
    case Message::function: return field == 7 ? Message::node : Message::other;
    case Message::graph:
      return field == 1                                  ? Message::node
             : field == 5                                ? Message::tensor
             : field == 15                               ? Message::sparse
             : field == 14                               ? Message::annotation
             : field == 11 || field == 12 || field == 13 ? Message::value
                                                         : Message::other;
    case Message::node: return field == 5 ? Message::attribute : Message::other;
    case Message::attribute:
      return field == 5 || field == 10    ? Message::tensor
             : field == 6 || field == 11  ? Message::graph
             : field == 14 || field == 15 ? Message::type
             : field == 22 || field == 23 ? Message::sparse
                                          : Message::other;
    case Message::sparse: return field == 1 || field == 2 ? Message::tensor : Message::other;
    case Message::value: return field == 2 ? Message::type : Message::other;
    case Message::type:
      return field == 1 || field == 8   ? Message::tensor_type
             : field == 4 || field == 9 ? Message::list_type
             : field == 5               ? Message::map_type
                                        : Message::other;
    case Message::tensor_type: return field == 2 ? Message::shape : Message::other;
    case Message::list_type: return field == 1 ? Message::type : Message::other;
    case Message::map_type: return field == 2 ? Message::type : Message::other;
    default: return Message::other;
  }
}

class PartCounter {
 public:
  explicit PartCounter(const std::string& path) : path_(path) {}

  void count(Bytes message, Message kind, int nesting = 0) {
    if (nesting > kMaxNesting)
      throw Error(ErrorKind::limit,
                  {.where = path_,
                   .rule = "is nested too deeply",
                   .expected = fmt::format("at most {} messages in one another", kMaxNesting)});
    const bool whole = each_field(message, [&](int field, const auto& payload, Bytes) {
      if (!payload) return;
      if (++parts_ > kMaxParts)
        throw Error(ErrorKind::limit, {.where = path_,
                                       .rule = "has too many parts",
                                       .expected = fmt::format("at most {}", kMaxParts)});
      const Message part = part_of(kind, field);
      // Entries of lists of strings have no parts of their own.
      if (part != Message::other) count(*payload, part, nesting + 1);
    });
    if (!whole) refuse_form(path_, "is no ONNX model, or a damaged or truncated one");
  }

 private:
  const std::string& path_;
  int64_t parts_ = 0;
};

void append(std::string& to, Bytes bytes) {
  to.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

StoredTensor split_tensor(Bytes message, const std::string& path) {
  StoredTensor tensor;
  std::string rest;
  each_field(message, [&](int field, const auto& payload, Bytes whole) {
    if (field == pb::TensorProto::kRawDataFieldNumber && payload)
      tensor.raw = *payload;
    else
      append(rest, whole);
  });
  if (!tensor.form.ParseFromString(rest)) refuse_form(path, "has a damaged initialiser");
  return tensor;
}

}  // namespace

std::shared_ptr<const OnnxFile> split_onnx(OwnedBytes bytes, std::string path,
                                           std::optional<std::string> folder) {
  if (bytes.bytes.size() > INT32_MAX)
    throw Error(ErrorKind::limit, {.where = path,
                                   .rule = "is larger than an ONNX file can be",
                                   .expected = "at most 2 GB, and the weights in a file beside it",
                                   .received = fmt::format("{} bytes", bytes.bytes.size())});
  PartCounter(path).count(bytes.bytes, Message::model);
  auto file = std::make_shared<OnnxFile>();
  file->path = std::move(path);
  file->folder = std::move(folder);
  file->bytes = bytes;
  // A message in several parts is their sum, so that the parts without weights can be joined.
  std::string model, graph;
  bool has_graph = false;
  each_field(bytes.bytes, [&](int field, const auto& payload, Bytes whole) {
    if (field != pb::ModelProto::kGraphFieldNumber || !payload) return append(model, whole);
    has_graph = true;
    each_field(*payload, [&](int part, const auto& inner, Bytes all) {
      if (part == pb::GraphProto::kInitializerFieldNumber && inner)
        file->initializers.push_back(split_tensor(*inner, file->path));
      else
        append(graph, all);
    });
  });
  if (!has_graph) refuse_form(file->path, "is no ONNX model: it has no graph");
  if (!file->model.ParseFromString(model) || !file->model.mutable_graph()->ParseFromString(graph))
    refuse_form(file->path, "is a damaged ONNX model");
  return file;
}

}  // namespace residua
