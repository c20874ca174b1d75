#pragma once
// Probe stream-reads: what the branches of a trained network read from its stream, and how much
// gradient comes back there.

#include <vector>

#include "residua/analysis/probe.h"
#include "residua/models/stream_model.h"

namespace residua {

struct StreamReadsOptions {
  int64_t batches = 4;
  void fields(Fields& f);
};

// Of one batch, by branch in order of execution.
struct StreamReads {
  std::vector<double> cosine;    // mean over vectors of the cosine with the branch's before
  std::vector<double> gradient;  // norm of the loss's gradient at what it read
  std::vector<double> size;      // mean norm of the vectors
};

// The loss is the sum of `model`'s cross entropy with `target`. Maps count as vectors of channels.
StreamReads measure_reads(StreamModel& model, const at::Tensor& input, const at::Tensor& target);

// Metrics: cosine, the mean over adjacent branches; gradient.first over gradient.last, as
// gradient_ratio. Series: cosine, gradient and size by branch; of hyper connections also what the
// last branch's read and the output hold of the network's input and of every branch's output.
void add_stream_reads_probe(Registry<Probe>& probes);

}  // namespace residua
