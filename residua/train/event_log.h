#pragma once
// The run's numbers as JSON lines, one object a line:
//
//   {"kind":"train","step":20,"epoch":1,"lr":0.1,"loss":1.93,"top1":0.31,...}
//
// Kinds are those of `Measured`. A continued run cuts the file back to its checkpoint, so no line
// is there twice.

#include "residua/train/append_file.h"
#include "residua/train/recorder.h"

namespace residua {

Json to_json(const Measured& measured);

class JsonLinesLog final : public Recorder {
 public:
  explicit JsonLinesLog(const std::string& path) : file_(path) {}
  void record(const RunEvent& event) override;
  Json position() override;
  void rewind(const Json& position) override;

 private:
  AppendFile file_;
};

}  // namespace residua
