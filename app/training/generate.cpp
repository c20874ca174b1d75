// `residua generate`

#include <fmt/format.h>
#include <torch/torch.h>

#include "app/commands.h"
#include "app/training/settings_values.h"
#include "residua/core/error.h"
#include "residua/models/token_model.h"
#include "residua/recipes/trained_model.h"

namespace residua::app {

int generate(const GenerateArguments& a) {
  const TrainedModel trained = load_trained({.weights = a.weights}, read_settings("", a.overrides));
  use_threads(trained.options.threads);
  if (!trained.tokenizer)
    throw Error(ErrorKind::unsupported, {.where = a.weights,
                                         .rule = "is no language model with a tokenizer",
                                         .hint = "a checkpoint of a run on text carries both"});
  const std::vector<int32_t> prompt = trained.tokenizer->encode(a.prompt);
  const at::Device device = trained.model->parameters().front().device();
  const at::Tensor ids = torch::tensor(prompt, at::kInt).to(device, at::kLong).unsqueeze(0);
  const at::Tensor all =
      residua::generate(*trained.model, ids,
                        {.tokens = a.tokens, .temperature = a.temperature, .top_k = a.top_k},
                        Random(static_cast<uint64_t>(a.seed)))
          .to(at::kCPU);
  const std::span<const int64_t> tokens(all.data_ptr<int64_t>(), static_cast<size_t>(all.numel()));
  const std::string text = trained.tokenizer->decode(tokens.subspan(prompt.size()));
  if (a.json)
    fmt::print("{}\n", Json{{"prompt", a.prompt}, {"text", text}}.dump(
                           1, ' ', false, Json::error_handler_t::replace));
  else
    fmt::print("{}{}\n", a.prompt, text);
  return 0;
}

}  // namespace residua::app
