#include "residua/analysis/stream_reads.h"

#include <torch/torch.h>

#include "residua/analysis/probed_model.h"
#include "residua/connections/hyper.h"
#include "residua/core/error.h"

namespace residua {

namespace {

// Vectors [.., d] of a stream, maps with their channels last.
at::Tensor read_vectors(const at::Tensor& x) { return x.dim() == 4 ? x.permute({0, 2, 3, 1}) : x; }

void add_to(std::vector<double>& sum, const std::vector<double>& values) {
  if (sum.empty()) sum.resize(values.size());
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
}

Series reads_series(const std::string& name, const std::string& label,
                    const std::vector<double>& values, double first, bool log = false) {
  Series series{.name = name, .x_label = "branch", .y_label = label, .log_y = log};
  for (size_t i = 0; i < values.size(); ++i) {
    series.x.push_back(first + static_cast<double>(i));
    series.measured.push_back(values[i]);
  }
  return series;
}

// Means over all tokens of the coefficients of a pass, by branch.
std::vector<HyperCoefficients> mean_coefficients(HyperConnection& hyper, Model& model,
                                                 const at::Tensor& input) {
  const at::NoGradGuard no_grad;
  std::vector<HyperCoefficients> means;
  hyper.observe_coefficients([&](const Site&, const HyperCoefficients& c) {
    const int64_t n = c.beta.size(-1);
    means.push_back({c.alpha.reshape({-1, n, n + 1}).mean(0), c.beta.reshape({-1, n}).mean(0)});
  });
  model.forward(input);
  hyper.observe_coefficients({});
  return means;
}

std::vector<double> row_values(const at::Tensor& row) {
  const at::Tensor values = row.contiguous();
  return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

class StreamReadsProbe final : public Probe {
 public:
  explicit StreamReadsProbe(const StreamReadsOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "stream-reads");
    StreamModel& model = probed.stream("stream-reads");
    const std::vector<Batch> batches =
        probed.test_batches(options_.batches * probed.options.batch_size);
    StreamReads sum;
    for (const Batch& batch : batches) {
      const StreamReads reads = measure_reads(model, batch.input, batch.label);
      add_to(sum.cosine, reads.cosine);
      add_to(sum.gradient, reads.gradient);
      add_to(sum.size, reads.size);
    }
    const double count = static_cast<double>(batches.size());
    for (auto* values : {&sum.cosine, &sum.gradient, &sum.size})
      for (double& value : *values) value /= count;
    double cosine = 0;
    for (const double value : sum.cosine) cosine += value / static_cast<double>(sum.cosine.size());
    ProbeResult result{
        .metrics = {{"cosine", cosine},
                    {"gradient_ratio", sum.gradient.front() / sum.gradient.back()}},
        .series = {reads_series("cosine", "cosine with the read before", sum.cosine, 1),
                   reads_series("gradient", "norm of the gradient", sum.gradient, 0, true),
                   reads_series("size", "norm of the read", sum.size, 0, true)}};
    if (auto* hyper = dynamic_cast<HyperConnection*>(&model.connection())) {
      const at::Tensor dense =
          unroll_hyper(mean_coefficients(*hyper, model, batches.front().input));
      result.series.push_back(
          reads_series("last read", "part of each output", row_values(dense[-2]), -1));
      result.series.push_back(
          reads_series("output", "part of each output", row_values(dense[-1]), -1));
    }
    return result;
  }

 private:
  StreamReadsOptions options_;
};

}  // namespace

void StreamReadsOptions::fields(Fields& f) {
  f.add("batches", batches, "of test samples", {.min = 1});
}

StreamReads measure_reads(StreamModel& model, const at::Tensor& input, const at::Tensor& target) {
  std::vector<at::Tensor> reads;
  model.watch_branches([&](const Site&, const Read& read, const at::Tensor&) {
    if (read.run && !read.rows.defined()) reads.push_back(read.input);
  });
  const at::Tensor logits = model.forward(input);
  model.watch_branches({});
  if (reads.size() < 2)
    throw Error(
        ErrorKind::unsupported,
        {.where = "probe stream-reads", .rule = "needs at least two branches that are always run"});
  const at::Tensor loss = at::cross_entropy_loss(logits.reshape({-1, logits.size(-1)}),
                                                 target.reshape({-1}), {}, at::Reduction::Sum);
  const std::vector<at::Tensor> gradients =
      torch::autograd::grad({loss}, reads, {}, {}, false, /*allow_unused=*/true);
  const at::NoGradGuard no_grad;
  StreamReads result;
  for (size_t i = 0; i < reads.size(); ++i) {
    const at::Tensor now = read_vectors(reads[i]);
    result.size.push_back(now.norm(2, -1).mean().item<double>());
    result.gradient.push_back(gradients[i].defined() ? gradients[i].norm().item<double>() : 0);
    if (i == 0) continue;
    const at::Tensor before = read_vectors(reads[i - 1]);
    if (before.sizes() == now.sizes())
      result.cosine.push_back(at::cosine_similarity(before, now, -1).mean().item<double>());
  }
  return result;
}

void add_stream_reads_probe(Registry<Probe>& probes) {
  probes.add<StreamReadsOptions>(
      {"stream-reads", "what branches read from the stream, and the gradient there",
       "hyper-connections"},
      {}, [](const StreamReadsOptions& o) { return std::make_shared<StreamReadsProbe>(o); });
}

}  // namespace residua
