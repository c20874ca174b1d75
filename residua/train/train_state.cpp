#include "residua/train/train_state.h"

#include <cmath>

namespace residua {

Json TrainState::to_json() const {
  Json test_json = Json::object();
  for (const Metric& m : test) test_json[m.name] = m.value;
  return {{"epoch", epoch},
          {"batch", batch},
          {"step", step},
          {"epoch_means", epoch_means.state()},
          {"recent_means", recent_means.state()},
          {"test", test_json},
          {"best_step", best_step},
          {"best_value", best_value},
          {"seconds", seconds}};
}

TrainState TrainState::from_json(const Json& json) {
  TrainState s;
  s.epoch = json.at("epoch").get<int64_t>();
  s.batch = json.at("batch").get<int64_t>();
  s.step = json.at("step").get<int64_t>();
  s.epoch_means.load_state(json.at("epoch_means"));
  s.recent_means.load_state(json.at("recent_means"));
  for (const auto& [name, value] : json.at("test").items())
    s.test.push_back({name, value.is_null() ? std::nan("") : value.get<double>()});
  s.best_step = json.at("best_step").get<int64_t>();
  s.best_value = json.at("best_value").get<double>();
  s.seconds = json.at("seconds").get<double>();
  return s;
}

}  // namespace residua
