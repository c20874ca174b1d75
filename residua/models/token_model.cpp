#include "residua/models/token_model.h"

#include <torch/torch.h>

#include <algorithm>

#include "residua/core/error.h"

namespace residua {

namespace {

// One token of a row of logits.
int64_t draw_token(const at::Tensor& logits, const GenerateOptions& o, Random& random) {
  if (o.temperature == 0) return logits.argmax().item<int64_t>();
  at::Tensor scaled = logits.to(at::kCPU, at::kDouble) / o.temperature;
  if (o.top_k > 0 && o.top_k < scaled.numel()) {
    const auto [values, places] = scaled.topk(o.top_k);
    scaled =
        at::full_like(scaled, -std::numeric_limits<double>::infinity()).scatter(0, places, values);
  }
  const at::Tensor p = at::softmax(scaled, 0).contiguous();
  const double* const values = p.data_ptr<double>();
  double left = random.uniform();
  int64_t last = 0;  // the last possible one takes what rounding leaves
  for (int64_t i = 0; i < p.numel(); ++i) {
    if (values[i] == 0) continue;
    last = i;
    left -= values[i];
    if (left < 0) return i;
  }
  return last;
}

// Logits [N, vocabulary] after the last of `text`.
at::Tensor next_logits(Model& model, const at::Tensor& text, DecodeCache& cache) {
  const int64_t length = text.size(1), context = model.info().context;
  TokenModel& tokens = token_model(model);
  if (length > context || !tokens.decodes()) {
    const int64_t used = std::min(length, context);
    return model.forward(text.narrow(1, length - used, used)).select(1, used - 1);
  }
  const at::Tensor fresh = text.narrow(1, cache.length, length - cache.length);
  return tokens.decode(fresh, cache).select(1, fresh.size(1) - 1);
}

}  // namespace

at::Tensor TokenModel::decode(const at::Tensor& ids, DecodeCache& cache) {
  at::Tensor logits = unembed(run_embeddings(embed(ids, cache.length), &cache));
  cache.length += ids.size(1);
  return logits;
}

TokenModel& token_model(Model& model) {
  auto* const tokens = dynamic_cast<TokenModel*>(&model);
  if (tokens == nullptr)
    throw Error(ErrorKind::unsupported,
                {.where = "model", .rule = "does not read tokens", .expected = "a language model"});
  return *tokens;
}

at::Tensor generate(Model& model, const at::Tensor& prompt, const GenerateOptions& options,
                    Random random) {
  token_model(model);
  if (prompt.dim() != 2 || prompt.size(1) == 0)
    throw Error(ErrorKind::invalid_argument,
                {.where = "prompt", .rule = "must hold at least one token"});
  const torch::NoGradGuard no_grad;
  const bool was_training = model.is_training();
  model.eval();
  at::Tensor text = prompt;
  DecodeCache cache;
  for (int64_t i = 0; i < options.tokens; ++i) {
    const at::Tensor logits = next_logits(model, text, cache);
    at::Tensor next = at::empty({text.size(0), 1}, text.options());
    for (int64_t row = 0; row < text.size(0); ++row)
      next[row].fill_(draw_token(logits[row], options, random));
    text = at::cat({text, next}, 1);
  }
  model.train(was_training);
  return text;
}

}  // namespace residua
