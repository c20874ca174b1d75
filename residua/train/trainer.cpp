#include "residua/train/trainer.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>

#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/data/batch_source.h"
#include "residua/optim/clip.h"
#include "residua/train/device.h"
#include "residua/train/non_finite.h"

namespace residua {

namespace {

double trainer_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Dropout and the like draw from libtorch's generator: it is set anew for every batch.
void seed_batch(int64_t seed, int64_t epoch, int64_t batch) {
  const Random random = Random(static_cast<uint64_t>(seed)).split("step");
  torch::manual_seed(
      random.split(static_cast<uint64_t>(epoch)).split(static_cast<uint64_t>(batch)).bits());
}

}  // namespace

Trainer::Trainer(TrainerParts parts, LoopOptions options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      device_(parse_device(options_.device)),
      parameters_(all_parameters(parts_.optimizer->groups())),
      peak_lr_(parts_.optimizer->lr()),
      scaler_(options_.amp == Amp::fp16) {
  check_amp(options_.amp, device_);
  agc_parameters_ = parameters_except(parts_.optimizer->groups(), parts_.unclipped);
  if (options_.ema_decay > 0)
    ema_ = std::make_unique<Ema>(*parts_.network.module, EmaOptions{.decay = options_.ema_decay});
  batches_per_epoch_ = parts_.train->batches_per_epoch();
  steps_per_epoch_ = (batches_per_epoch_ + options_.accumulate - 1) / options_.accumulate;
  total_steps_ = steps_per_epoch_ * options_.epochs;
}

RunResult Trainer::run() {
  started_ = trainer_clock();
  record(RunStarted{options_.epochs, total_steps_, steps_per_epoch_, state_.step,
                    parts_.train->unit()});
  while (state_.epoch < options_.epochs) {
    if (train_epoch() && finish_epoch()) continue;
    save(false);
    record(RunEnded{state_.step, false});
    return result(false);
  }
  record(RunEnded{state_.step, true});
  return result(true);
}

bool Trainer::train_epoch() {
  parts_.network.module->train();
  recent_started_ = epoch_started_ = trainer_clock();
  recent_units_ = epoch_units_ = 0;
  parts_.train->start(state_.epoch, state_.batch);
  while (state_.batch < batches_per_epoch_) {
    if (const int64_t samples = take_step(); samples > 0) report_step(samples);
    if (stopping()) return false;
    const bool due = options_.save_every > 0 && state_.step % options_.save_every == 0;
    if (due && state_.batch < batches_per_epoch_) save(false);
  }
  if (state_.epoch_means.empty())
    throw Error(ErrorKind::corrupt_file, {.where = parts_.train->dataset_name(),
                                          .rule = "holds no sample that can be read"});
  return true;
}

int64_t Trainer::take_step() {
  parts_.optimizer->set_lr(lr_of(state_.step));
  const int64_t in_step = std::min(options_.accumulate, batches_per_epoch_ - state_.batch);
  int64_t samples = 0;
  for (int64_t i = 0; i < in_step && state_.batch < batches_per_epoch_; ++i)
    samples += take_batch(in_step);
  if (samples > 0) apply_gradients();
  return samples;
}

int64_t Trainer::take_batch(int64_t in_step) {
  std::optional<Batch> next = parts_.train->next();
  state_.batch = next ? next->number + 1 : batches_per_epoch_;
  if (!next) return 0;
  const int64_t number = next->number, samples = next->size();
  seed_batch(options_.seed, state_.epoch, number);
  const Batch batch = to_device(std::move(*next), device_);
  StepResult result;
  {
    const AutocastScope autocast(options_.amp, device_);
    result = parts_.task->step(parts_.network, batch, Phase::train);
  }
  const double loss = metric_value(result.metrics, "loss");
  if (!std::isfinite(loss)) {
    seed_batch(options_.seed, state_.epoch, number);
    not_finite("the loss", fmt::format("{}", loss),
               "first output that is not finite: " +
                   first_non_finite(parts_.network, batch, options_.amp));
  }
  scaler_.scale(result.loss / static_cast<double>(in_step)).backward();
  state_.epoch_means.add(result.metrics, static_cast<double>(samples));
  state_.recent_means.add(result.metrics, static_cast<double>(samples));
  return samples;
}

void Trainer::apply_gradients() {
  bool usable = scaler_.unscale(parameters_);
  if (usable && options_.clip_grad_norm > 0) {
    const double norm = clip_grad_norm(parameters_, options_.clip_grad_norm);
    if (!std::isfinite(norm))
      not_finite("the gradient", fmt::format("norm {}", norm), "the step was not taken");
  }
  if (usable && options_.clip_agc > 0) clip_agc(agc_parameters_, options_.clip_agc);
  if (usable) {
    parts_.optimizer->step();
    if (ema_) ema_->update();
  }
  parts_.optimizer->zero_grad();
  ++state_.step;
}

void Trainer::report_step(int64_t samples) {
  const int64_t units = samples * parts_.train->units_per_sample();
  recent_units_ += units;
  epoch_units_ += units;
  record(StepDone{state_.step, state_.epoch + 1, units, parts_.optimizer->lr(),
                  state_.epoch_means.means()});
  if (state_.step % options_.log_every != 0) return;
  const double now = trainer_clock();
  record(measured("train", state_.recent_means.means(),
                  static_cast<double>(recent_units_) / (now - recent_started_)));
  state_.recent_means.clear();
  recent_started_ = now;
  recent_units_ = 0;
}

Measured Trainer::measured(const std::string& kind, Metrics means, double per_second) const {
  std::ranges::move(parts_.task->derived(means), std::back_inserter(means));
  return {kind,       state_.step, state_.epoch + 1,    parts_.optimizer->lr(), std::move(means),
          per_second, seconds(),   parts_.train->unit()};
}

bool Trainer::finish_epoch() {
  const int64_t epoch = state_.epoch + 1;
  const bool last = epoch == options_.epochs;
  const double rate = static_cast<double>(epoch_units_) / (trainer_clock() - epoch_started_);
  std::optional<Measured> test;
  if (parts_.test && (last || epoch % options_.eval_every == 0)) {
    test = evaluate_now();
    if (!test) return false;
  }
  record(measured("epoch", state_.epoch_means.means(), rate));
  bool best = false;
  if (test) {
    record(*test);
    state_.test = test->metrics;
    const double value = metric_value(test->metrics, parts_.task->best_metric());
    const bool better =
        parts_.task->larger_is_better() ? value > state_.best_value : value < state_.best_value;
    best = state_.best_step < 0 || better;
    if (best) state_.best_step = state_.step;
    if (best) state_.best_value = value;
  }
  state_.epoch = epoch;
  state_.batch = 0;
  state_.epoch_means.clear();
  const bool due = options_.save_every == 0 || state_.step % options_.save_every == 0;
  if (last || best || due) save(best);
  return true;
}

std::optional<Measured> Trainer::evaluate_now() {
  std::optional<EmaScope> averaged;
  if (ema_) averaged.emplace(*ema_);
  const double begin = trainer_clock();
  const auto metrics = evaluate(parts_.network, *parts_.task, *parts_.test,
                                {options_.device, options_.amp}, parts_.review.get(), parts_.stop);
  if (!metrics) return std::nullopt;
  const auto units = static_cast<double>(parts_.test->samples() * parts_.test->units_per_sample());
  const double rate = units / (trainer_clock() - begin);
  return Measured{"test",   state_.step, state_.epoch + 1, parts_.optimizer->lr(),
                  *metrics, rate,        seconds(),        parts_.test->unit()};
}

void Trainer::save(bool best) {
  if (!parts_.checkpoints) return;
  const std::string spoiled = first_non_finite_weight(*parts_.network.module);
  if (!spoiled.empty()) not_finite("a weight", spoiled, "nothing was saved");
  CheckpointContent content{.step = state_.step,
                            .model = state_dict(*parts_.network.module),
                            .optimizer = parts_.optimizer->state(),
                            .ema = ema_ ? ema_->state() : NamedTensors{},
                            .configuration = parts_.configuration,
                            .data = parts_.data,
                            .state = state_json(),
                            .metrics = {}};
  content.metrics = content.state.at("test");
  const std::string path = parts_.checkpoints->save(content, best);
  record(CheckpointSaved{state_.step, path, best});
}

Json Trainer::state_json() const {
  TrainState state = state_;
  state.seconds = seconds();
  Json json = state.to_json();
  json["scaler"] = scaler_.state();
  json["batches_per_epoch"] = batches_per_epoch_;
  json["threads"] = at::get_num_threads();
  json["recorders"] = Json::array();
  for (const auto& recorder : parts_.recorders) json["recorders"].push_back(recorder->position());
  return json;
}

bool Trainer::resume() {
  const std::optional<Checkpoint> checkpoint =
      parts_.checkpoints ? parts_.checkpoints->load_newest() : std::nullopt;
  const Json positions = checkpoint ? checkpoint->manifest.at("state").at("recorders") : Json();
  if (checkpoint) restore(*checkpoint);
  for (size_t i = 0; i < parts_.recorders.size(); ++i)
    parts_.recorders[i]->rewind(i < positions.size() ? positions.at(i) : Json());
  return checkpoint.has_value();
}

void Trainer::restore(const Checkpoint& checkpoint) {
  const Json& state = checkpoint.manifest.at("state");
  if (state.at("batches_per_epoch") != batches_per_epoch_)
    throw Error(ErrorKind::invalid_argument,
                {.where = checkpoint.path,
                 .rule = "the checkpoint is of another data set or batch size",
                 .expected = fmt::format("{} batches an epoch", batches_per_epoch_),
                 .received = state.at("batches_per_epoch").dump()});
  if (ema_ && !checkpoint.ema)
    throw Error(ErrorKind::invalid_argument,
                {.where = checkpoint.path,
                 .rule = "the checkpoint has no average of the weights",
                 .hint = "ema_decay=0"});
  if (state.at("threads") != at::get_num_threads())
    log_message(
        LogLevel::warning,
        fmt::format(
            "[{}] was saved with {} threads and goes on with {}: sums may round differently",
            checkpoint.path, state.at("threads").dump(), at::get_num_threads()));
  load_weights(*parts_.network.module, *checkpoint.model);
  parts_.optimizer->load_state(read_tensors(*checkpoint.optimizer));
  if (ema_) ema_->load_state(read_tensors(*checkpoint.ema));
  scaler_.load_state(state.at("scaler"));
  state_ = TrainState::from_json(state);
  // That of the last step, which the end of an epoch reports.
  if (state_.step > 0) parts_.optimizer->set_lr(lr_of(state_.step - 1));
}

void Trainer::record(const RunEvent& event) {
  for (const auto& recorder : parts_.recorders) recorder->record(event);
}

RunResult Trainer::result(bool finished) const {
  return {finished,         state_.step,       state_.epoch, state_.test,
          state_.best_step, state_.best_value, seconds()};
}

double Trainer::lr_of(int64_t step) const {
  return peak_lr_ * parts_.schedule->factor(step, total_steps_, steps_per_epoch_);
}

double Trainer::seconds() const { return state_.seconds + trainer_clock() - started_; }

void Trainer::not_finite(const std::string& what, const std::string& value,
                         const std::string& place) const {
  throw Diverged({.where = fmt::format("step {}", state_.step + 1),
                  .rule = what + " is not finite",
                  .received = fmt::format("{} at learning rate {:.6g}; {}", value,
                                          parts_.optimizer->lr(), place),
                  .hint = "lower optim.lr, lengthen the warm-up or set clip_grad_norm"});
}

}  // namespace residua
