#include "llama_cards.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>

namespace residua {

namespace {

// Fills consecutive rows of `target`, each part by the card's rule for its own name.
void fill_parts(const at::Tensor& target, const std::vector<std::string>& names,
                const GoldenCard& card, std::vector<std::string>& used) {
  int64_t row = 0;
  for (const std::string& name : names)
    for (const auto& [known, shape] : card.parameters)
      if (known == name) {
        const at::Tensor part = at::empty(shape);
        golden_fill(name, part, card.fill);
        target.detach().narrow(0, row, shape[0]).copy_(part);
        row += shape[0];
        used.push_back(name);
      }
  EXPECT_EQ(row, target.size(0)) << names.front();
}

std::vector<std::string> fill_as_llama(Gpt& model, const GoldenCard& card) {
  const auto p = model.named_parameters();
  std::vector<std::string> used;
  fill_parts(p["transformer.wte.weight"], {"model.embed_tokens.weight"}, card, used);
  fill_parts(p["transformer.ln_f.weight"], {"model.norm.weight"}, card, used);
  fill_parts(p["lm_head.weight"], {"lm_head.weight"}, card, used);
  for (int64_t i = 0; i < model.options().depth; ++i) {
    const std::string ours = fmt::format("transformer.h.{}.", i);
    const std::string theirs = fmt::format("model.layers.{}.", i);
    const auto fill = [&](const std::string& to, std::vector<std::string> from) {
      for (std::string& name : from) name = theirs + name + ".weight";
      fill_parts(p[ours + to + ".weight"], from, card, used);
    };
    fill("ln_1", {"input_layernorm"});
    fill("attn.c_attn", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"});
    fill("attn.c_proj", {"self_attn.o_proj"});
    fill("ln_2", {"post_attention_layernorm"});
    fill("mlp.c_gate", {"mlp.gate_proj"});
    fill("mlp.c_fc", {"mlp.up_proj"});
    fill("mlp.c_proj", {"mlp.down_proj"});
  }
  return used;
}

}  // namespace

CardResult check_llama_card(const std::string& name, const Component& connection) {
  GoldenCard card = read_card(std::filesystem::path(RESIDUA_SOURCE_DIR) / "tests/golden/llama" /
                              (name + ".json"));
  const Json& o = card.options;
  Gpt model({.dim = o.at("hidden_size"),
             .depth = o.at("num_hidden_layers"),
             .heads = o.at("num_attention_heads"),
             .kv_heads = o.at("num_key_value_heads"),
             .hidden = o.at("intermediate_size"),
             .ctx = card.inputs.front().shape.back(),
             .vocab_size = o.at("vocab_size"),
             .norm = VectorNormKind::rms,
             .positions = GptPositions::rotary,
             .mlp = GptMlp::swiglu,
             .bias = false,
             .tied = false,
             .connection = connection},
            Random(1));
  const std::vector<std::string> used = fill_as_llama(model, card);
  EXPECT_EQ(used.size(), card.parameters.size()) << "a tensor of the reference is not in the model";
  card.parameters.clear();  // they are filled
  torch::nn::Module no_parameters("filled");
  model.eval();
  return check_card(card, no_parameters, [&](const std::vector<at::Tensor>& inputs) {
    return NamedOutputs{{"y", model.forward(inputs.front())}};
  });
}

TEST(LlamaCards, ThePlainModelPasses) {
  const CardResult result = check_llama_card("yi-llama", "identity");
  EXPECT_TRUE(result.passed()) << result.text();
  EXPECT_GT(result.samples, 0);
}

TEST(LlamaCards, AnotherConnectionFails) {
  EXPECT_FALSE(check_llama_card("yi-llama", "none").passed());
}

}  // namespace residua
