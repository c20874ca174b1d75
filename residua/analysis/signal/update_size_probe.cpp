// Probe update-size.

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "residua/analysis/signal/probe_input.h"
#include "residua/analysis/signal/signal_probes.h"
#include "residua/analysis/signal/update_size.h"
#include "residua/core/error.h"

namespace residua {

namespace {

struct UpdateSizeOptions {
  Component model = "resnet_cifar";
  std::string option = "n";
  std::vector<int64_t> values = {3, 9, 18, 33};
  double lr = 0.1;
  int64_t warm = 0;
  int64_t batch = 8;
  int64_t size = 8;
  void fields(Fields& f) {
    f.add("model", model, "of which fresh networks are made");
    f.add("option", option, "of the model that is varied");
    f.add("values", values, "of that option");
    f.add("lr", lr, "learning rate of the step", {.min = 0, .open_min = true});
    f.add("warm", warm, "steps taken before the one that is measured", {.min = 0});
    f.add("batch", batch, "images, of normal numbers", {.min = 1});
    f.add("size", size, "height and width of the images; 0: what the model is made for",
          {.min = 0});
  }
};

class UpdateSizeProbe final : public Probe {
 public:
  explicit UpdateSizeProbe(const UpdateSizeOptions& options) : o_(options) {
    if (o_.values.empty())
      throw Error(ErrorKind::invalid_argument,
                  {.where = "update-size.values", .rule = "must have a value"});
  }

  ProbeResult run(const ProbeContext& context) override {
    Series change{.name = "change", .x_label = o_.option, .y_label = "change of the logits"};
    Series gradient{.name = "gradient", .x_label = o_.option, .y_label = "norm of the gradient"};
    ProbeResult result;
    for (const int64_t value : o_.values) {
      const UpdateSize size = measured(value, context.random);
      for (Series* s : {&change, &gradient}) {
        s->log_y = true;
        s->x.push_back(static_cast<double>(value));
      }
      change.measured.push_back(size.change);
      gradient.measured.push_back(size.gradient);
      result.metrics.push_back({fmt::format("change_{}", value), size.change});
    }
    const auto [least, most] = std::ranges::minmax(change.measured);
    result.metrics.push_back({"spread", most / least});
    result.metrics.push_back({"growth", change.measured.back() / change.measured.front()});
    result.series = {std::move(change), std::move(gradient)};
    return result;
  }

 private:
  // In double precision, since networks without normalisation leave the range of float.
  UpdateSize measured(int64_t value, const Random& random) const {
    Json options = o_.model.options_or_empty();
    options[o_.option] = value;
    const auto model = models().create({o_.model.name, options}, random.split("model"));
    model->to(at::kDouble);
    const at::Tensor x = normal_images(*model, o_.batch, o_.size, random.split("x"));
    std::vector<int64_t> labels;
    Random draw = random.split("labels");
    for (int64_t i = 0; i < o_.batch; ++i)
      labels.push_back(draw.integer(0, model->info().num_classes));
    return update_size(*model, x.to(at::kDouble), at::tensor(labels), o_.lr, o_.warm);
  }

  UpdateSizeOptions o_;
};

}  // namespace

void add_update_size_probe(Registry<Probe>& probes) {
  probes.add<UpdateSizeOptions>(
      {"update-size", "how far one step of gradient descent moves the logits, by depth", "fixup"},
      {}, [](const UpdateSizeOptions& o) { return std::make_shared<UpdateSizeProbe>(o); });
}

}  // namespace residua
