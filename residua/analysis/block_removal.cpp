#include "residua/analysis/block_removal.h"

#include <algorithm>
#include <numeric>

#include "residua/analysis/probed_model.h"
#include "residua/core/error.h"

namespace residua {

void BlockRemovalOptions::fields(Fields& f) {
  f.add("removed", removed, "how many random branches are removed", {.min = 1});
  f.add("draws", draws, "random choices for each number", {.min = 1});
  f.add("images", images, "of the test split; 0: all", {.min = 0});
}

namespace {

class BlockRemoval final : public Probe {
 public:
  explicit BlockRemoval(const BlockRemovalOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "block-removal");
    StreamModel& model = probed.stream("block-removal");
    const auto batches = probed.test_batches(options_.images);
    const double whole = top1_of(model, batches);
    ProbeResult result{.metrics = {{"top1", whole}}};
    Series series{.name = "removed", .x_label = "removed blocks", .y_label = "top1"};
    series.x = {0};
    series.measured = series.low = series.high = {whole};
    for (const int64_t k : options_.removed) {
      const std::vector<double> top1 = without(model, batches, k, context.random);
      const double mean =
          std::accumulate(top1.begin(), top1.end(), 0.0) / static_cast<double>(top1.size());
      result.metrics.push_back({"removed" + std::to_string(k), mean});
      result.metrics.push_back({"lost" + std::to_string(k), whole - mean});
      series.x.push_back(static_cast<double>(k));
      series.measured.push_back(mean);
      series.low.push_back(*std::ranges::min_element(top1));
      series.high.push_back(*std::ranges::max_element(top1));
    }
    result.series.push_back(std::move(series));
    return result;
  }

 private:
  std::vector<double> without(StreamModel& model, const std::vector<Batch>& batches, int64_t k,
                              const Random& random) const {
    std::vector<int64_t> branches(model.carrier().sites.size());
    if (k > static_cast<int64_t>(branches.size()))
      throw Error(ErrorKind::invalid_argument,
                  {.where = "probe.removed",
                   .rule = "the network has fewer branches",
                   .expected = "at most " + std::to_string(branches.size()),
                   .received = std::to_string(k)});
    std::vector<double> top1;
    for (int64_t draw = 0; draw < options_.draws; ++draw) {
      std::iota(branches.begin(), branches.end(), 0);
      Random order = random.split("block-removal")
                         .split(static_cast<uint64_t>(k))
                         .split(static_cast<uint64_t>(draw));
      order.shuffle(branches);
      model.silence({branches.begin(), branches.begin() + k});
      top1.push_back(top1_of(model, batches));
    }
    model.silence({});
    return top1;
  }

  BlockRemovalOptions options_;
};

}  // namespace

void add_block_removal_probe(Registry<Probe>& probes) {
  probes.add<BlockRemovalOptions>(
      {"block-removal", "accuracy after random blocks are removed", "stochastic-depth"}, {},
      [](const BlockRemovalOptions& o) { return std::make_shared<BlockRemoval>(o); });
}

}  // namespace residua
