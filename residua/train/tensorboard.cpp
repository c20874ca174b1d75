#include "residua/train/tensorboard.h"

#include <array>
#include <bit>
#include <chrono>

namespace residua {

namespace {

constexpr std::array<uint32_t, 256> make_crc32c_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0);
    table[i] = crc;
  }
  return table;
}

template <class Integer>
void put_little_endian(std::string& out, Integer value) {
  for (size_t i = 0; i < sizeof(value); ++i) out += static_cast<char>(value >> (8 * i));
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// Protobuf wire types.
enum class Wire { varint = 0, fixed64 = 1, length = 2, fixed32 = 5 };

void put_tag(std::string& out, uint32_t field, Wire wire) {
  put_varint(out, field << 3 | static_cast<uint32_t>(wire));
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_tag(out, field, Wire::length);
  put_varint(out, bytes.size());
  out += bytes;
}

// Event.wall_time
void put_wall_time(std::string& out, double seconds) {
  put_tag(out, 1, Wire::fixed64);
  put_little_endian(out, std::bit_cast<uint64_t>(seconds));
}

double wall_time_now() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since_1970).count();
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = make_crc32c_table();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint8_t>(c)) & 0xFF];
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xA282EAD8u;
}

std::string tfrecord_frame(std::string_view data) {
  std::string frame;
  put_little_endian(frame, static_cast<uint64_t>(data.size()));
  put_little_endian(frame, masked_crc32c(frame));
  frame += data;
  put_little_endian(frame, masked_crc32c(data));
  return frame;
}

std::string tensorboard_version_event(double wall_time) {
  std::string event;
  put_wall_time(event, wall_time);
  put_bytes(event, 3, "brain.Event:2");  // Event.file_version
  return event;
}

std::string tensorboard_scalar_event(double wall_time, int64_t step, std::string_view tag,
                                     float value) {
  std::string scalar;
  put_bytes(scalar, 1, tag);          // Summary.Value.tag
  put_tag(scalar, 2, Wire::fixed32);  // Summary.Value.simple_value
  put_little_endian(scalar, std::bit_cast<uint32_t>(value));
  std::string summary;
  put_bytes(summary, 1, scalar);  // Summary.value
  std::string event;
  put_wall_time(event, wall_time);
  put_tag(event, 2, Wire::varint);  // Event.step
  put_varint(event, static_cast<uint64_t>(step));
  put_bytes(event, 5, summary);  // Event.summary
  return event;
}

TensorBoardLog::TensorBoardLog(const std::string& path) : file_(path) {
  if (file_.size() == 0) begin();
}

void TensorBoardLog::begin() {
  file_.append(tfrecord_frame(tensorboard_version_event(wall_time_now())));
}

void TensorBoardLog::record(const RunEvent& event) {
  const auto* measured = std::get_if<Measured>(&event);
  if (measured == nullptr) return;
  const double now = wall_time_now();
  std::string frames;
  const auto scalar = [&](const std::string& name, double value) {
    frames += tfrecord_frame(tensorboard_scalar_event(
        now, measured->step, measured->kind + "/" + name, static_cast<float>(value)));
  };
  for (const Metric& m : measured->metrics) scalar(m.name, m.value);
  scalar(measured->unit + "_per_second", measured->per_second);
  if (measured->kind == "train") scalar("lr", measured->lr);
  file_.append(frames);
}

Json TensorBoardLog::position() {
  file_.sync();
  return file_.size();
}

void TensorBoardLog::rewind(const Json& position) {
  file_.truncate(position.is_null() ? 0 : position.get<uint64_t>());
  if (file_.size() == 0) begin();
}

}  // namespace residua
