#include "report_examples.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <string_view>

#include "residua/core/random.h"

namespace residua {

namespace {

constexpr std::array<std::string_view, 10> kGlyphs{// 3 x 5 dots
                                                   "###"
                                                   "#.#"
                                                   "#.#"
                                                   "#.#"
                                                   "###",
                                                   ".#."
                                                   "##."
                                                   ".#."
                                                   ".#."
                                                   "###",
                                                   "##."
                                                   "..#"
                                                   ".#."
                                                   "#.."
                                                   "###",
                                                   "##."
                                                   "..#"
                                                   "##."
                                                   "..#"
                                                   "##.",
                                                   "#.#"
                                                   "#.#"
                                                   "###"
                                                   "..#"
                                                   "..#",
                                                   "###"
                                                   "#.."
                                                   "##."
                                                   "..#"
                                                   "##.",
                                                   ".##"
                                                   "#.."
                                                   "###"
                                                   "#.#"
                                                   "###",
                                                   "###"
                                                   "..#"
                                                   ".#."
                                                   ".#."
                                                   ".#.",
                                                   "###"
                                                   "#.#"
                                                   "###"
                                                   "#.#"
                                                   "###",
                                                   "###"
                                                   "#.#"
                                                   "###"
                                                   "..#"
                                                   "##."};

// An 8 x 8 picture of a digit with some noise.
Image digit(int64_t value, Random& random) {
  Image image{.height = 8, .width = 8, .channels = 1};
  for (int64_t y = 0; y < 8; ++y) {
    for (int64_t x = 0; x < 8; ++x) {
      const int64_t row = y - 1, column = (x - 1) / 2;
      const bool is_ink =
          row >= 0 && row < 5 && x >= 1 && column < 3 && kGlyphs[value][row * 3 + column] == '#';
      image.pixels.push_back(static_cast<uint8_t>((is_ink ? 190 : 10) + random.integer(0, 60)));
    }
  }
  return image;
}

Image stripes(int64_t side, int64_t angle) {
  Image image{.height = side, .width = side, .channels = 3};
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x)
      for (int64_t c = 0; c < 3; ++c)
        image.pixels.push_back(static_cast<uint8_t>(
            128 + 100 * std::sin(0.11 *
                                 static_cast<double>(x * (angle % 5) + y * (angle % 7) + 20 * c))));
  return image;
}

void add_epoch_series(Report& report, int64_t epochs, Random& random) {
  std::vector<double> epoch, train_loss, val_loss, train_accuracy, val_accuracy, speed;
  for (int64_t e = 1; e <= epochs; ++e) {
    const double progress = static_cast<double>(e) / static_cast<double>(epochs);
    epoch.push_back(static_cast<double>(e));
    train_loss.push_back(0.02 + 1.4 * std::exp(-5 * progress) + 0.01 * random.uniform());
    val_loss.push_back(0.06 + 1.3 * std::exp(-4.6 * progress) + 0.03 * random.uniform());
    train_accuracy.push_back(1 - 0.5 * train_loss.back());
    val_accuracy.push_back(1 - 0.45 * val_loss.back());
    speed.push_back(5200 + 300 * random.normal());
  }
  report.series.push_back({"train/loss", "epoch", epoch, train_loss});
  report.series.push_back({"val/loss", "epoch", epoch, val_loss});
  report.series.push_back({"train/accuracy", "epoch", epoch, train_accuracy});
  report.series.push_back({"val/accuracy", "epoch", epoch, val_accuracy});
  report.series.push_back({"images per second", "epoch", epoch, speed});
}

void add_step_series(Report& report, int64_t steps, Random& random) {
  std::vector<double> step, loss, rate;
  for (int64_t s = 0; s < steps; ++s) {
    const double progress = static_cast<double>(s) / static_cast<double>(steps);
    step.push_back(static_cast<double>(s));
    loss.push_back(0.03 + 2.2 * std::exp(-5 * progress) * std::exp(0.25 * random.normal()));
    rate.push_back(0.1 *
                   std::min(progress / 0.05, 0.5 * (1 + std::cos(std::numbers::pi * progress))));
  }
  loss[steps / 3] = std::numeric_limits<double>::quiet_NaN();
  loss[steps / 3 + 1] = std::numeric_limits<double>::infinity();
  report.series.push_back({"train/loss", "step", step, loss});
  report.series.push_back({"learning rate", "step", step, rate});
}

ReportSample guess(Image image, int64_t label, int64_t predicted, int64_t classes, double sure) {
  ReportSample sample{std::move(image), label, predicted, {{predicted, sure}}};
  const int64_t second = label == predicted ? (predicted + 3) % classes : label;
  sample.top.push_back({second, 0.8 * (1 - sure)});
  if (classes > 2)
    sample.top.push_back({(std::max(second, predicted) + 1) % classes, 0.15 * (1 - sure)});
  return sample;
}

}  // namespace

Report bare_report() { return {.title = "A run without parts"}; }

Report typical_report() {
  Random random(7);
  Report report{.title = "resnet20 on digits",
                .subtitle = "40 epochs of 1,257 images, seed 0, finished in 41 s"};
  report.summary = {{"Test accuracy", "98.6 %"}, {"Test loss", 0.0612}, {"Best epoch", 36},
                    {"Parameters", 269034},      {"Images/s", 5231.4},  {"Duration", "41 s"}};
  report.configuration = {
      {"seed", 0},
      {"epochs", 40},
      {"model", {{"name", "resnet20"}, {"shortcut", "A"}}},
      {"data", {{"name", "digits"}, {"batch", 128}, {"transforms", {"pad_crop", "normalise"}}}},
      {"optim", {{"name", "sgd"}, {"lr", 0.1}, {"momentum", 0.9}, {"weight_decay", 1e-4}}}};
  report.environment = {
      {"residua", "0.1.0"},
      {"compiler", "g++ 12.2, release"},
      {"cpu", {{"model", "2 cores of a virtual machine"}, {"features", "avx2 fma f16c"}}},
      {"threads", 2},
      {"libtorch", "1.13.0"}};
  report.classes = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
  add_epoch_series(report, 40, random);
  add_step_series(report, 3000, random);
  report.confusion.assign(10, std::vector<int64_t>(10));
  for (int64_t i = 0; i < 10; ++i) report.confusion[i][i] = random.integer(31, 37);
  for (const auto& [i, j, n] :
       {std::array{8, 1, 3}, {9, 3, 2}, {3, 8, 1}, {1, 8, 2}, {4, 7, 1}, {5, 9, 1}})
    report.confusion[i][j] = n;
  for (int64_t i = 0; i < 12; ++i) {
    const int64_t label = i % 10, said = i == 8 ? 1 : label;
    report.samples.push_back(
        guess(digit(label, random), label, said, 10, random.uniform(0.6, 1.0)));
  }
  for (const auto& [label, said] : {std::pair{8, 1}, {9, 3}, {3, 8}, {1, 8}, {4, 7}, {5, 9}})
    report.most_confused.push_back(
        guess(digit(label, random), label, said, 10, random.uniform(0.5, 0.95)));
  report.texts = {{"Prompt", "ROMEO:\n"}, {"The model", "But soft! what light\nthrough yonder\n"}};
  return report;
}

Report hostile_report() {
  Random random(9);
  const std::string attack =
      "</script><img src=x onerror=\"console.error('escaped')\"><!-- {{data}} {{title}}";
  Report report{.title = attack, .subtitle = attack};
  report.classes = {attack, "line\u2028and\u2029paragraph & \"quotes\" \xff not UTF-8"};
  report.summary = {{attack, attack}};
  report.configuration = {{"name", attack}};
  report.environment = {{attack, attack}};
  report.series.push_back({attack + "/loss", attack, {1, 2, 3}, {3, 2, 1}});
  report.series.push_back({"val/accuracy", "epoch", {1}, {0.5}});
  report.series.push_back({"empty", "epoch", {}, {}});
  report.confusion = {{0, 2}, {0, 0}};
  report.samples.push_back(guess(digit(1, random), 0, 1, 2, 0.75));
  report.samples.push_back(guess(digit(0, random), -1, 7, 2, 0.5));
  report.texts = {{attack, attack + std::string(400, 'w')}};
  return report;
}

Report huge_report() {
  Random random(11);
  Report report{.title = "resnet50 on a thousand classes", .subtitle = "90 epochs, seed 0"};
  for (int64_t i = 0; i < 1000; ++i)
    report.classes.push_back("species number " + std::to_string(i));
  add_epoch_series(report, 90, random);
  add_step_series(report, 1'000'000, random);
  report.confusion.assign(1000, std::vector<int64_t>(1000));
  for (int64_t i = 0; i < 1000; ++i) {
    for (int64_t j = 0; j < 1000; ++j)
      report.confusion[i][j] = random.integer(1, 4) + (i / 40 == j / 40 ? 20 : 0);
    report.confusion[i][i] += 2000;
  }
  for (int64_t i = 0; i < 200; ++i) {
    report.samples.push_back(guess(stripes(224, i), i, i, 1000, 0.8));
    report.most_confused.push_back(guess(stripes(224, i + 3), i, i + 1, 1000, 0.6));
  }
  return report;
}

}  // namespace residua
