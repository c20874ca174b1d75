#pragma once
// Decoder-only transformers with normalisation first: GPT-2 (Radford et al. 2019) under the names
// of nanoGPT (transformer.{wte, wpe, h.{i}.{ln_1, attn.c_attn, attn.c_proj, ln_2, mlp.c_fc,
// mlp.c_proj}, ln_f}, lm_head), and by options what Llama (Touvron et al. 2023, arXiv:2302.13971)
// changed: root mean square normalisation, rotary positions, gated MLPs (mlp.c_gate), fewer heads
// of keys and values, an output layer of its own.
//
// With tied weights the output layer has no parameter of its own: files that repeat the embedding
// as lm_head.weight load with that name ignored.

#include <array>
#include <memory>
#include <vector>

#include "residua/models/stream_model.h"
#include "residua/models/token_model.h"
#include "residua/models/transformer_block.h"
#include "residua/nn/embedding.h"

namespace residua {

enum class GptPositions { learned, rotary };
template <>
struct EnumNames<GptPositions> {
  static constexpr std::array names{"learned", "rotary"};
};

enum class GptMlp {
  gelu,    // W2 gelu(W1 x)
  swiglu,  // W2 (silu(Wg x) * W1 x)
};
template <>
struct EnumNames<GptMlp> {
  static constexpr std::array names{"gelu", "swiglu"};
};

struct GptOptions {
  int64_t dim = 96;
  int64_t depth = 4;
  int64_t heads = 4;
  int64_t kv_heads = 0;
  int64_t hidden = 0;
  int64_t ctx = 64;
  int64_t vocab_size = 65;
  VectorNormKind norm = VectorNormKind::layer;
  GptPositions positions = GptPositions::learned;
  GptMlp mlp = GptMlp::gelu;
  bool bias = true;
  double dropout = 0;
  bool tied = true;
  Component connection = "identity";

  void fields(Fields& f);
};

// An output layer whose weights are the embedding's.
class TiedLinear final : public torch::nn::Module, public CountsMacs {
 public:
  explicit TiedLinear(std::shared_ptr<const Embedding> embedding);
  at::Tensor forward(const at::Tensor& x) const;  // [..., dim] -> [..., vocabulary]
  int64_t macs(const at::Tensor& input, const at::Tensor& output) const override;

 private:
  std::shared_ptr<const Embedding> embedding_;
};

class Gpt final : public StreamModel, public TokenModel {
 public:
  // Throws ErrorKind::invalid_argument when heads do not divide the width.
  Gpt(const GptOptions& options, const Random& random);

  at::Tensor forward(at::Tensor ids) override;
  // The stream [N, T, dim] after each block.
  std::vector<at::Tensor> features(at::Tensor ids) override;
  void reset_classifier(int64_t num_classes, Random random) override;

  at::Tensor embed(const at::Tensor& ids, int64_t offset = 0) override;
  at::Tensor run_embeddings(const at::Tensor& x, DecodeCache* cache = nullptr) override;
  at::Tensor unembed(const at::Tensor& stream) override;
  bool decodes() const override { return connection().decodes(); }

  // The blocks from `first` to before `last` alone, going on from a state; a cache is read and
  // written, its length stays.
  State run_blocks(State state, int64_t first, int64_t last, DecodeCache* cache);
  // Gives the attentions from block `first` on the keys and values of tokens that left the network
  // before, as if x [N, T, dim] were the stream at each of them.
  void fill_cache(const at::Tensor& x, int64_t first, DecodeCache& cache);
  static constexpr double kRotaryBase = 10000;

  const GptOptions& options() const { return options_; }
  const std::vector<std::shared_ptr<TransformerBlock>>& blocks() const { return blocks_; }

  // Told what every attention computes, until it is set to nothing.
  using VisitAttention = std::function<void(const Site&, const AttentionView&)>;
  void visit_attention(VisitAttention visit) { visit_attention_ = std::move(visit); }

 private:
  StreamParts stream_parts(DecodeCache* cache);
  void add_blocks(torch::nn::Module& transformer, const Random& random);

  GptOptions options_;
  std::shared_ptr<Embedding> wte_, wpe_;  // wpe is null with rotary positions
  std::unique_ptr<Rotary> rotary_;
  std::vector<std::shared_ptr<TransformerBlock>> blocks_;
  std::shared_ptr<VectorNorm> ln_f_;  // null where the connection wants no normalisation
  at::Tensor bias2_;                  // before the output, where the connection asks for scalars
  std::shared_ptr<Linear> head_;      // null while tied
  std::shared_ptr<TiedLinear> tied_;  // null when not
  VisitAttention visit_attention_;
};

void add_gpts(Registry<Model, Random>& models);

}  // namespace residua
