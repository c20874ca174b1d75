#pragma once
// Where attention goes, and what it carries there: how much it is concentrated on few tokens, on
// the first one (attention sink), how small that one's values are (value drain), and how alike the
// tokens become. Measures of "Value Residual Learning" (arXiv:2410.17897, sections 2 and 4).

#include <ATen/core/Tensor.h>

#include <vector>

#include "residua/analysis/probe.h"
#include "residua/models/language/gpt.h"

namespace residua {

// Of attention weights [N, heads, T, S], averaged over sequences.
// Entropy, in nats, of the tokens' importance: the mean weight that a token receives from all heads
// and queries. At most log S.
double importance_entropy(const at::Tensor& weights);
// Mean weight on the first token, of all queries but the first.
double sink_mass(const at::Tensor& weights);

// Norm of the first token's values over the mean norm of the others', of values [N, heads, S, d].
double value_drain(const at::Tensor& values);
// Mean cosine of two different tokens of a stream [N, T, dim].
double token_similarity(const at::Tensor& stream);

struct AttentionLayer {
  double entropy = 0, sink = 0, drain = 0;
  double similarity = 0;  // of the stream after the block
};

// One for each attention that runs, in order; of ids [N, T].
std::vector<AttentionLayer> look_at_attention(Gpt& model, const at::Tensor& ids);

// attention-concentration: of a trained GPT on validation text. Metrics entropy, sink, drain and
// similarity (means over the layers) and NAME.last; series of each by layer.
void add_attention_probes(Registry<Probe>& probes);

}  // namespace residua
