#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/models/language/gpt.h"
#include "residua/models/tabular/mlp.h"

namespace residua {
namespace {

Component loop(Json options) { return {"loop", std::move(options)}; }

std::shared_ptr<Gpt> looped_gpt(int64_t depth, const Component& connection,
                                at::ScalarType type = at::kDouble) {
  auto model = std::make_shared<Gpt>(GptOptions{.dim = 12,
                                                .depth = depth,
                                                .heads = 3,
                                                .ctx = 8,
                                                .vocab_size = 7,
                                                .connection = connection},
                                     Random(3));
  for (const auto& p : model->named_parameters())
    if (!p.key().starts_with("connection")) p.value().detach().mul_(4);
  model->to(type);
  return model;
}

at::Tensor loop_ids() {
  torch::manual_seed(2);
  return torch::randint(0, 7, {2, 8}, at::kLong);
}

// Copies the blocks of `from`, again and again, into those of `to`, and all else by name.
void repeat_blocks(const Gpt& from, Gpt& to) {
  const auto source = from.named_parameters();
  const int64_t depth = from.options().depth;
  for (auto& p : to.named_parameters()) {
    std::string name = p.key();
    if (const std::string h = "transformer.h."; name.starts_with(h)) {
      const size_t dot = name.find('.', h.size());
      const int64_t block = std::stoll(name.substr(h.size(), dot - h.size())) % depth;
      name = h + std::to_string(block) + name.substr(dot);
    }
    p.value().detach().copy_(source[name]);
  }
}

TEST(Loop, OnceOfDeltaIsThePlainNetworkToTheBit) {
  const auto plain = looped_gpt(2, "identity");
  const auto looped = looped_gpt(2, loop({{"loops", 1}, {"output", "delta"}}));
  repeat_blocks(*plain, *looped);
  EXPECT_TRUE(looped->forward(loop_ids()).equal(plain->forward(loop_ids())));
}

TEST(Loop, OfDeltaIsTheDeeperNetworkOfCopies) {
  for (const int64_t loops : {2, 3}) {
    const auto looped = looped_gpt(2, loop({{"loops", loops}, {"output", "delta"}}));
    const auto deep = looped_gpt(2 * loops, "identity");
    repeat_blocks(*looped, *deep);
    const at::Tensor a = looped->forward(loop_ids()), b = deep->forward(loop_ids());
    EXPECT_TRUE(a.allclose(b, 1e-10, 1e-10));
    a.square().sum().backward();
    b.square().sum().backward();
    const auto shared = looped->named_parameters(), copies = deep->named_parameters();
    for (const auto& p : shared) {
      const std::string h = "transformer.h.";
      at::Tensor sum = at::zeros_like(p.value());
      if (!p.key().starts_with(h)) {
        sum = copies[p.key()].grad();
      } else {
        const size_t dot = p.key().find('.', h.size());
        const int64_t block = std::stoll(p.key().substr(h.size(), dot - h.size()));
        for (int64_t n = 0; n < loops; ++n)
          sum += copies[h + std::to_string(block + 2 * n) + p.key().substr(dot)].grad();
      }
      EXPECT_TRUE(p.value().grad().allclose(sum, 1e-10, 1e-10)) << p.key();
    }
  }
}

// x^(n) = x^(n-1) + f(x^(n-1)), where f contains the blocks' own residuals.
TEST(Loop, OfStackAddsTheBlocksOutput) {
  for (const std::string scale : {"none", "learned", "mean"}) {
    const auto model = looped_gpt(2, loop({{"loops", 3},
                                           {"first", 1},
                                           {"scale", scale},
                                           {"loop_embedding", true},
                                           {"input_injection", true},
                                           {"post_loop_norm", "on"}}));
    const auto p = model->named_parameters();
    if (scale == "learned") p["connection.scale"].detach().copy_(torch::tensor({0.5, 2.0, -1.0}));
    p["connection.embedding"].detach().normal_();
    const auto run_block = [&](size_t i, const at::Tensor& x) {
      const auto& b = *model->blocks()[i];
      const auto [q, k, v] = b.attention->attention->project(b.attention->norm->forward(x));
      const at::Tensor y =
          x + b.attention->attention->output(b.attention->attention->mix(q, k, v, true));
      return y + b.mlp->forward(y);
    };
    const at::Tensor start = model->embed(loop_ids());
    const at::Tensor before = run_block(0, start);
    at::Tensor x = before;
    const std::vector<double> learned{0.5, 2.0, -1.0};
    for (int64_t n = 0; n < 3; ++n) {
      const at::Tensor input = n == 0 ? x : x + before;
      const at::Tensor f = run_block(1, input + p["connection.embedding"][n]);
      const double s = scale == "none"   ? 1
                       : scale == "mean" ? 1.0 / 3
                                         : learned[static_cast<size_t>(n)];
      x = x + s * f;
      x = x / (x.square().mean(-1, true) + 1e-5).sqrt();
    }
    EXPECT_TRUE(model->run_embeddings(start).allclose(x, 1e-9, 1e-9)) << scale;
  }
}

TEST(Loop, NormalisesByDefaultAboveTwoStackedLoops) {
  const auto rms = [](const Component& connection) {
    const auto model = looped_gpt(1, connection);
    const at::Tensor y = model->run_embeddings(model->embed(loop_ids()));
    return y.square().mean(-1).sub(1).abs().max().item<double>();
  };
  EXPECT_LT(rms(loop({{"loops", 3}})), 1e-3);
  EXPECT_GT(rms(loop({{"loops", 2}})), 1e-3);
  EXPECT_GT(rms(loop({{"loops", 3}, {"output", "delta"}})), 1e-3);
  EXPECT_GT(rms(loop({{"loops", 3}, {"post_loop_norm", "off"}})), 1e-3);
}

TEST(Loop, HasParametersIndependentOfTheLoops) {
  const auto count = [](const Component& connection) {
    int64_t sum = 0;
    for (const at::Tensor& p : looped_gpt(2, connection)->parameters()) sum += p.numel();
    return sum;
  };
  const int64_t plain = count("identity");
  EXPECT_EQ(count(loop({{"loops", 2}})), plain);
  EXPECT_EQ(count(loop({{"loops", 7}})), plain);
  EXPECT_EQ(count(loop({{"loops", 7}, {"scale", "learned"}})), plain + 7);
}

TEST(Loop, EvaluatesWithOtherLoops) {
  const auto train = looped_gpt(1, loop({{"loops", 3}}));
  const auto fewer = looped_gpt(1, loop({{"loops", 3}, {"eval_loops", 2}}));
  const auto more = looped_gpt(1, loop({{"loops", 3}, {"eval_loops", 5}}));
  const auto same = looped_gpt(1, loop({{"loops", 3}, {"eval_loops", 3}}));
  const auto five = looped_gpt(1, loop({{"loops", 5}}));
  for (const auto& model : {fewer, more, same, five}) repeat_blocks(*train, *model);
  const at::Tensor expected = train->forward(loop_ids());
  for (const auto& model : {fewer, more, same})
    EXPECT_TRUE(model->forward(loop_ids()).equal(expected));
  for (const auto& model : {fewer, more, same}) model->eval();
  EXPECT_TRUE(same->forward(loop_ids()).equal(expected));
  EXPECT_FALSE(fewer->forward(loop_ids()).allclose(expected, 1e-3));
  EXPECT_TRUE(more->forward(loop_ids()).equal(five->forward(loop_ids())));
}

TEST(Loop, CutsBackpropagation) {
  const auto whole = looped_gpt(1, loop({{"loops", 3}, {"output", "delta"}}));
  const auto last = looped_gpt(1, loop({{"loops", 3}, {"output", "delta"}, {"backprop_loops", 1}}));
  repeat_blocks(*whole, *last);
  const at::Tensor y = last->forward(loop_ids());
  EXPECT_TRUE(y.equal(whole->forward(loop_ids())));
  // Copies: only the last one's gradient is left.
  const auto deep = looped_gpt(3, "identity");
  repeat_blocks(*whole, *deep);
  y.square().sum().backward();
  deep->forward(loop_ids()).square().sum().backward();
  EXPECT_TRUE(last->named_parameters()["transformer.h.0.mlp.c_fc.weight"].grad().allclose(
      deep->named_parameters()["transformer.h.2.mlp.c_fc.weight"].grad(), 1e-10, 1e-10));
}

TEST(Loop, ReadsOutEarlierLoops) {
  const auto model =
      looped_gpt(1, loop({{"loops", 3}, {"output", "delta"}, {"supervision", 0.25}}));
  model->forward(loop_ids());
  const std::vector<Exit> exits = model->exits();
  ASSERT_EQ(exits.size(), 2u);
  for (int64_t n = 1; n <= 2; ++n) {
    const auto shallow = looped_gpt(n, "identity");
    repeat_blocks(*model, *shallow);
    EXPECT_TRUE(exits[static_cast<size_t>(n - 1)].output.allclose(shallow->forward(loop_ids()),
                                                                  1e-10, 1e-10));
    EXPECT_EQ(exits[static_cast<size_t>(n - 1)].weight, 0.25);
  }
}

TEST(Loop, DecodesAsItComputesWholeSequences) {
  const auto model =
      looped_gpt(2, loop({{"loops", 2}, {"eval_loops", 4}, {"first", 1}}), at::kFloat);
  model->eval();
  const at::NoGradGuard no_grad;
  const at::Tensor ids = loop_ids(), expected = model->forward(ids);
  DecodeCache cache;
  std::vector<at::Tensor> logits{model->decode(ids.narrow(1, 0, 3), cache)};
  for (int64_t i = 3; i < 8; ++i) logits.push_back(model->decode(ids.narrow(1, i, 1), cache));
  EXPECT_LE((at::cat(logits, 1) - expected).abs().max().item<double>(),
            1e-5 * expected.abs().max().item<double>());
}

// A branch -x/2 + small: x + f is a contraction with factor about 1/2.
std::shared_ptr<Mlp> contraction(const Component& connection, double bias) {
  auto model = std::make_shared<Mlp>(MlpOptions{.depth = 1,
                                                .width = 6,
                                                .hidden_ratio = 2,
                                                .norm = false,
                                                .image_size = 2,
                                                .connection = connection},
                                     Random(1));
  auto p = model->named_parameters();
  const at::Tensor one = torch::eye(6);
  p["blocks.0.fc1.weight"].detach().copy_(at::cat({one, -one}, 0));
  p["blocks.0.fc1.bias"].detach().zero_();
  p["blocks.0.fc2.weight"].detach().copy_(0.5 * at::cat({-one, one}, 1));
  p["blocks.0.fc2.bias"].detach().fill_(bias);
  model->to(at::kDouble);
  return model;
}

TEST(Loop, OfAContractionConvergesGeometrically) {
  const at::Tensor x = torch::randn({3, 6}, at::kDouble);
  const at::Tensor fixed = at::full({3, 6}, 2 * 0.3, at::kDouble);  // x = x/2 + 0.3
  double before = 0;
  for (const int64_t loops : {1, 2, 3, 4, 5}) {
    const auto model = contraction(loop({{"loops", loops}, {"output", "delta"}}), 0.3);
    const double distance = (model->run_blocks(x) - fixed).norm().item<double>();
    if (loops > 1) {
      EXPECT_NEAR(distance / before, 0.5, 1e-6);
    }
    before = distance;
  }
}

TEST(Loop, StopsWhereNothingMovesAnyMore) {
  const auto model =
      contraction(loop({{"loops", 20}, {"output", "delta"}, {"tolerance", 1e-2}}), 0.0);
  // Row 0 is at the fixed point 0.3 from the first; it halts after one loop. Row 1 starts far away.
  const auto shifted =
      contraction(loop({{"loops", 60}, {"output", "delta"}, {"tolerance", 1e-2}}), 0.15);
  at::Tensor x = at::full({2, 6}, 0.3, at::kDouble);
  x[1].fill_(100);
  shifted->eval();
  const at::NoGradGuard no_grad;
  const at::Tensor y = shifted->run_blocks(x);
  EXPECT_TRUE(y[0].allclose(x[0], 1e-12, 1e-12));
  // Each loop halves the distance d to 0.3; the change is d/2, and loops end when (d/2)/(0.3+d) <
  // 1e-2.
  double d = 99.7;
  int64_t loops = 1;
  while (d / 2 / (0.3 + d) >= 1e-2) {
    d /= 2;
    ++loops;
  }
  EXPECT_NEAR(y[1][0].item<double>(), 0.3 + d / 2, 1e-9);
  const Extras extras = shifted->extras(at::zeros({2}));
  ASSERT_EQ(extras.values.size(), 1u);
  EXPECT_EQ(extras.values.front().first, "loops");
  EXPECT_EQ(extras.values.front().second, (1 + static_cast<double>(loops)) / 2);
  model->train();
  model->run_blocks(x);
  EXPECT_TRUE(model->extras(at::zeros({2})).values.empty());  // in training all loops run
}

TEST(Loop, HaltingModelsDecodeWholeSequencesOnly) {
  const auto model = looped_gpt(1, loop({{"loops", 4}, {"tolerance", 0.1}}), at::kFloat);
  EXPECT_FALSE(model->decodes());
  DecodeCache cache;
  EXPECT_THROW(model->decode(loop_ids(), cache), Error);
  EXPECT_EQ(generate(*model, loop_ids().narrow(1, 0, 2), {.tokens = 3}, Random(1)).size(1), 5);
}

TEST(Loop, RidesConvolutionalStagesOfOneShape) {
  // All blocks: the second stage changes the shape.
  EXPECT_THROW(models().create({"resnet_cifar", {{"connection", "loop"}}}, Random(1)), Error);
  Json connection{
      {"name", "loop"},        {"loops", 3}, {"first", 1}, {"last", 2}, {"loop_embedding", true},
      {"post_loop_norm", "on"}};
  const auto model = models().create(
      {"resnet_cifar", {{"n", 2}, {"width", 4}, {"order", "pre"}, {"connection", connection}}},
      Random(1));
  const at::Tensor y = model->forward(torch::randn({2, 3, 16, 16}));
  EXPECT_TRUE(y.isfinite().all().item<bool>());
}

TEST(Loop, RefusesRangesThatDoNotExist) {
  EXPECT_THROW(looped_gpt(2, loop({{"first", 2}})), Error);
  EXPECT_THROW(looped_gpt(2, loop({{"last", 3}})), Error);
  EXPECT_THROW(looped_gpt(2, loop({{"last", 1}, {"supervision", 0.5}})), Error);
}

TEST(Loop, LearnsARepeatingString) {
  const auto model = looped_gpt(1, loop({{"loops", 3}}), at::kFloat);
  const at::Tensor text = torch::tensor({1, 4, 2, 6, 3, 0, 5, 1, 4}, at::kLong).unsqueeze(0);
  torch::optim::Adam adam(model->parameters(), 3e-3);
  double first = 0, last = 0;
  for (int64_t step = 0; step < 30; ++step) {
    adam.zero_grad();
    const at::Tensor loss = at::cross_entropy_loss(
        model->forward(text.narrow(1, 0, 8)).flatten(0, 1), text.narrow(1, 1, 8).flatten());
    loss.backward();
    adam.step();
    (step == 0 ? first : last) = loss.item<double>();
  }
  EXPECT_LT(last, 0.7 * first);
}

}  // namespace
}  // namespace residua
