#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "residua/core/error.h"
#include "residua/train/event_log.h"
#include "residua/train/progress.h"
#include "residua/train/tensorboard.h"
#include "tests/train/tiny_run.h"

namespace residua {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Measured some_measured(int64_t step) {
  return {"train", step, 1, 0.05, {{"loss", 1.5}, {"top1", 0.25}}, 321.5, 2.25};
}

// Reads the frames of an event file back, checking both checksums bit by bit (polynomial division,
// no table).
uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const uint32_t in = (crc ^ static_cast<uint32_t>(static_cast<uint8_t>(c) >> bit)) & 1;
      crc = (crc >> 1) ^ (in ? 0x82F63B78u : 0);
    }
  return ~crc;
}

uint32_t slow_masked(std::string_view bytes) {
  const uint32_t crc = slow_crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

template <class T>
T little_endian(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

std::vector<std::string> read_frames(const std::string& bytes) {
  std::vector<std::string> frames;
  for (size_t at = 0; at < bytes.size();) {
    const auto length = little_endian<uint64_t>(bytes, at);
    EXPECT_EQ(little_endian<uint32_t>(bytes, at + 8),
              slow_masked(std::string_view(bytes).substr(at, 8)));
    frames.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(little_endian<uint32_t>(bytes, at + 12 + length), slow_masked(frames.back()));
    at += 16 + length;
  }
  return frames;
}

std::string decode_with_protoc(const std::string& message, const std::string& folder) {
  std::ofstream(folder + "/message", std::ios::binary) << message;
  const std::string command =
      "protoc --decode_raw < " + folder + "/message > " + folder + "/text 2>/dev/null";
  return std::system(command.c_str()) == 0 ? test::read_text(folder + "/text") : std::string();
}

TEST(TensorBoard, ChecksumIsCrc32c) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);            // the check value of CRC-32C
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(masked_crc32c("abc"), slow_masked("abc"));
}

TEST(TensorBoard, FileReadsBack) {
  const test::TemporaryFolder folder;
  {
    TensorBoardLog log(folder.path("events"));
    log.record(some_measured(300));
  }
  const auto frames = read_frames(test::read_text(folder.path("events")));
  ASSERT_EQ(frames.size(), 5u);  // version, loss, top1, images_per_second, lr
  EXPECT_THAT(frames[0], HasSubstr("brain.Event:2"));
  EXPECT_THAT(frames[1], HasSubstr("train/loss"));
  EXPECT_THAT(frames[4], HasSubstr("train/lr"));
}

TEST(TensorBoard, MessagesAreProtobuf) {
  if (std::system("protoc --version > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "protoc is not installed";
  const test::TemporaryFolder folder;
  const std::string text =
      decode_with_protoc(tensorboard_scalar_event(1.5, 300, "test/top1", 0.25f), folder.path());
  // Event {1: wall_time, 2: step, 5: Summary {1: Value {1: tag, 2: simple_value}}}
  EXPECT_EQ(text,
            "1: 0x3ff8000000000000\n2: 300\n5 {\n  1 {\n    1: \"test/top1\"\n    2: 0x3e800000\n  "
            "}\n}\n");
}

TEST(TensorBoard, RewindCutsWholeFrames) {
  const test::TemporaryFolder folder;
  TensorBoardLog log(folder.path("events"));
  log.record(some_measured(1));
  const Json position = log.position();
  log.record(some_measured(2));
  log.rewind(position);
  EXPECT_EQ(read_frames(test::read_text(folder.path("events"))).size(), 5u);
  log.rewind(Json());
  EXPECT_EQ(read_frames(test::read_text(folder.path("events"))).size(), 1u);
}

TEST(JsonLines, RewindLosesAndRepeatsNothing) {
  const test::TemporaryFolder folder;
  JsonLinesLog log(folder.path("metrics.jsonl"));
  log.record(some_measured(1));
  const Json position = Json::parse(log.position().dump());
  const std::string before = test::read_text(folder.path("metrics.jsonl"));
  log.record(some_measured(2));
  log.record(StepDone{});
  log.rewind(position);
  EXPECT_EQ(test::read_text(folder.path("metrics.jsonl")), before);
  log.record(some_measured(2));
  EXPECT_EQ(test::timeless_lines(folder.path("metrics.jsonl")),
            "{\"kind\":\"train\",\"step\":1,\"epoch\":1,\"lr\":0.05,\"loss\":1.5,\"top1\":0.25}\n"
            "{\"kind\":\"train\",\"step\":2,\"epoch\":1,\"lr\":0.05,\"loss\":1.5,\"top1\":0.25}\n");
}

TEST(AppendFile, SaysWhichFileCannotBeWritten) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path("plain")) << "x";
  try {
    AppendFile file(folder.path("plain/metrics.jsonl"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_THAT(error.what(), HasSubstr("plain/metrics.jsonl"));
  }
}

TEST(AppendFile, FullDiskLeavesNoHalfRecord) {
  AppendFile file("/dev/full");
  EXPECT_THROW(file.append("x"), Error);
  EXPECT_EQ(file.size(), 0u);
}

struct Screen {
  std::string text;
  double now = 0;
  ProgressDisplay display(ProgressOptions options) {
    return ProgressDisplay([this](std::string_view t) { text += t; }, options,
                           [this] { return now; });
  }
};

StepDone some_step(int64_t step) { return {step, 1, 64, 0.1, {{"loss", 0.5}, {"top1", 0.875}}}; }

TEST(Progress, TerminalRedrawsOneLine) {
  Screen screen;
  ProgressDisplay display = screen.display({.terminal = true, .width = 120});
  display.record(RunStarted{2, 20, 10, 0});
  screen.now = 0.5;
  display.record(some_step(1));
  screen.now = 0.55;  // too early to draw again
  display.record(some_step(2));
  EXPECT_THAT(screen.text, HasSubstr("epoch 1/2 [===="));
  EXPECT_THAT(screen.text,
              HasSubstr(" 10%  loss 0.5000  top1 87.50 %  lr 0.1  128 img/s  left 0:10"));
  EXPECT_THAT(screen.text, Not(HasSubstr("\n")));
  EXPECT_EQ(screen.text.find("\r\x1b[K", 1), std::string::npos);
  display.record(Measured{"epoch", 10, 1, 0.1, {{"loss", 0.25}}, 100, 1});
  EXPECT_THAT(screen.text, HasSubstr("\r\x1b[Kepoch 1/2  loss 0.2500  lr 0.1  100 img/s"));
}

TEST(Progress, NarrowTerminalIsNotWrapped) {
  Screen screen;
  ProgressDisplay display = screen.display({.terminal = true, .width = 40});
  display.record(RunStarted{2, 20, 10, 0});
  screen.now = 1;
  display.record(some_step(1));
  EXPECT_LE(screen.text.size(), 4u + 39u);
}

TEST(Progress, PlainLinesHaveNoControlCharacters) {
  Screen screen;
  ProgressDisplay display = screen.display({.terminal = false});
  display.record(RunStarted{2, 20, 10, 4});
  for (int step = 5; step <= 10; ++step) {
    screen.now += 6;
    display.record(some_step(step));
  }
  display.record(Measured{"test", 10, 1, 0.1, {{"top1", 0.5}}, 100, 1});
  display.record(RunEnded{10, false});
  EXPECT_EQ(screen.text,
            "continuing after step 4 of 20\n"
            "epoch 1/2  60%  loss 0.5000  top1 87.50 %  lr 0.1  11 img/s  left 1:24\n"
            "epoch 1/2  80%  loss 0.5000  top1 87.50 %  lr 0.1  11 img/s  left 1:12\n"
            "epoch 1/2 100%  loss 0.5000  top1 87.50 %  lr 0.1  11 img/s  left 1:00\n"
            "  test after epoch 1  top1 50.00 %\n"
            "interrupted after step 10; saved\n");
}

TEST(Progress, Durations) {
  EXPECT_EQ(duration_text(0.2), "0:00");
  EXPECT_EQ(duration_text(65), "1:05");
  EXPECT_EQ(duration_text(3725), "1:02:05");
}

}  // namespace
}  // namespace residua
