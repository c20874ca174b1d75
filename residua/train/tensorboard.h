#pragma once
// TensorBoard event files: TFRecord frames around `tensorflow.Event` messages, of which scalar
// summaries need six fields (tensorflow/core/util/event.proto, summary.proto; the frame is
// described in tensorflow/core/lib/io/record_writer.h).

#include <cstdint>
#include <string>
#include <string_view>

#include "residua/train/append_file.h"
#include "residua/train/recorder.h"

namespace residua {

// CRC-32C (Castagnoli), and the form in which a record that itself holds CRCs stores it.
uint32_t crc32c(std::string_view bytes);
uint32_t masked_crc32c(std::string_view bytes);

// A record: length (8 bytes), masked CRC of the length, data, masked CRC of the data; all
// little-endian.
std::string tfrecord_frame(std::string_view data);

// Serialised Event messages. `wall_time` is in seconds since 1970.
std::string tensorboard_version_event(double wall_time);
std::string tensorboard_scalar_event(double wall_time, int64_t step, std::string_view tag,
                                     float value);

// Writes every `Measured` as scalars "train/loss", "epoch/top1", "test/top1", "train/lr", ...
class TensorBoardLog final : public Recorder {
 public:
  explicit TensorBoardLog(const std::string& path);
  void record(const RunEvent& event) override;
  Json position() override;
  void rewind(const Json& position) override;

 private:
  void begin();

  AppendFile file_;
};

}  // namespace residua
