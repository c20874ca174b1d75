#include "residua/train/event_log.h"

namespace residua {

Json to_json(const Measured& measured) {
  Json line{{"kind", measured.kind}, {"step", measured.step}, {"epoch", measured.epoch}};
  if (measured.kind != "test") line["lr"] = measured.lr;
  for (const Metric& m : measured.metrics) line[m.name] = m.value;
  line[measured.unit + "_per_second"] = measured.per_second;
  line["seconds"] = measured.seconds;
  return line;
}

void JsonLinesLog::record(const RunEvent& event) {
  if (const auto* measured = std::get_if<Measured>(&event))
    file_.append(to_json(*measured).dump() + "\n");
}

Json JsonLinesLog::position() {
  file_.sync();
  return file_.size();
}

void JsonLinesLog::rewind(const Json& position) {
  file_.truncate(position.is_null() ? 0 : position.get<uint64_t>());
}

}  // namespace residua
