#include "residua/recipes/text_parts.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "residua/core/error.h"
#include "residua/data/text/utf8.h"
#include "residua/data/text/windows.h"
#include "residua/models/token_model.h"
#include "residua/nn/init.h"
#include "residua/recipes/image_parts.h"
#include "residua/train/tasks/language_modelling.h"

namespace residua {

namespace {

constexpr int64_t kPromptTokens = 32, kWrittenTokens = 256;
constexpr double kTemperature = 0.8;

// Keeps what the model writes after each evaluation.
class WritingReview final : public EvaluationReview {
 public:
  WritingReview(std::shared_ptr<Model> model, std::shared_ptr<const TextCorpus> corpus)
      : model_(std::move(model)), corpus_(std::move(corpus)) {
    const int64_t most = std::min(kPromptTokens, (model_->info().context + 1) / 2);
    const size_t length = std::min(static_cast<size_t>(most), corpus_->test.size());
    prompt_.assign(corpus_->test.begin(),
                   corpus_->test.begin() + static_cast<std::ptrdiff_t>(length));
  }
  void begin() override {}
  void add(const Batch&, const StepResult&) override {}
  void end() override {
    const at::Tensor ids = torch::tensor(prompt_, at::kLong).unsqueeze(0);
    const at::Tensor text =
        generate(*model_, ids.to(model_->parameters().front().device()),
                 {.tokens = kWrittenTokens, .temperature = kTemperature}, Random(0))
            .to(at::kCPU);
    const std::span<const int64_t> all(text.data_ptr<int64_t>(), static_cast<size_t>(text.numel()));
    written_ = corpus_->tokenizer->decode(all.subspan(prompt_.size()));
  }
  void describe(Report& report) const {
    if (written_.empty()) return;
    const std::string prompt = corpus_->tokenizer->decode(prompt_);
    report.texts.push_back({"Prompt, from the validation text", repaired_utf8(prompt)});
    report.texts.push_back(
        {fmt::format("The model, at temperature {}", kTemperature), repaired_utf8(written_)});
  }

 private:
  std::shared_ptr<Model> model_;
  std::shared_ptr<const TextCorpus> corpus_;
  std::vector<int64_t> prompt_;
  std::string written_;
};

void refuse_image_settings(const TrainOptions& options) {
  if (options_to_json(options.augment) != options_to_json(AugmentOptions{}))
    throw Error(ErrorKind::invalid_argument,
                {.where = "augment", .rule = "is of images, and the data are text"});
  if (skips_corrupt(options.data))
    throw Error(ErrorKind::invalid_argument,
                {.where = "data.skip_corrupt", .rule = "is of images, and the data are text"});
}

// The model's complete options, and what it can read.
std::pair<Component, ModelInfo> fit_to_text(const Component& model, const TextCorpus& corpus) {
  Json options = model.options_or_empty();
  const Json all = models().find(model.name).resolve(options, "model");
  fit_option(options, all, "vocab_size", corpus.tokenizer->vocabulary(), "vocabulary");
  const Component fitted = models().resolve({model.name, std::move(options)});
  const SkipInitialization only_shapes;
  const ModelInfo info = models().create(fitted, Random(0))->info();
  if (!info.takes_tokens())
    throw Error(ErrorKind::invalid_argument, {.where = "model",
                                              .rule = "reads images, and the data are text",
                                              .expected = "a language model, such as gpt",
                                              .received = model.name});
  return {fitted, info};
}

}  // namespace

std::shared_ptr<BatchSource> make_test_windows(const TrainOptions& options,
                                               std::shared_ptr<const TextCorpus> corpus,
                                               int64_t context) {
  return std::make_shared<WindowsInOrder>(std::move(corpus),
                                          WindowOptions{options.batch_size, context});
}

DataParts text_parts(const TrainOptions& options, std::shared_ptr<const TextCorpus> corpus) {
  refuse_image_settings(options);
  auto [model, info] = fit_to_text(options.model, *corpus);
  const Random random = Random(static_cast<uint64_t>(options.loop.seed)).split("train");
  return {.model = std::move(model),
          .task = std::make_shared<LanguageModellingTask>(
              LanguageModellingOptions{options.label_smoothing}),
          .train = std::make_shared<RandomWindows>(
              corpus, WindowOptions{options.batch_size, info.context}, random),
          .test = make_test_windows(options, corpus, info.context),
          .info = {{"name", corpus->name}, {"tokenizer", corpus->tokenizer->to_json()}},
          .one_input = {1, info.context}};
}

ReviewParts text_review(std::shared_ptr<Model> model, std::shared_ptr<const TextCorpus> corpus) {
  const auto review = std::make_shared<WritingReview>(std::move(model), std::move(corpus));
  return {review, [review](Report& report) { review->describe(report); }};
}

std::shared_ptr<const Tokenizer> stored_tokenizer(const Json& data_info) {
  if (!data_info.contains("tokenizer"))
    throw Error(ErrorKind::unsupported,
                {.where = "weights",
                 .rule = "are of no language model",
                 .hint = "`residua predict` shows what models see in images"});
  return tokenizer_from_json(data_info.at("tokenizer"));
}

}  // namespace residua
