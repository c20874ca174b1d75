#include "residua/recipes/reproduce.h"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "residua/core/error.h"
#include "residua/data/dataset.h"
#include "residua/recipes/results.h"
#include "residua/recipes/step_timer.h"
#include "residua/recipes/time_left.h"

namespace residua {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

const std::string kFixture =
    std::string(RESIDUA_SOURCE_DIR) + "/tests/recipes/fixtures/shortcuts.toml";

struct CountOptions {
  double value = 1;
  bool fails = false;
  void fields(Fields& f) {
    f.add("value", value, "that it returns");
    f.add("fails", fails, "instead");
  }
};

int looks = 0;

// Returns its option, and whether it got weights.
class CountingProbe final : public Probe {
 public:
  explicit CountingProbe(const CountOptions& options) : options_(options) {}
  ProbeResult run(const ProbeContext& context) override {
    ++looks;
    if (options_.fails) throw Error(ErrorKind::unsupported, {.rule = "cannot look"});
    Random random = context.random;
    return {
        .metrics = {{"value", options_.value},
                    {"random", random.uniform()},
                    {"weights", fs::exists(fs::path(context.weights).parent_path() / "config.toml")
                                    ? 1.0
                                    : 0.0},
                    {"depth", context.configuration.empty()
                                  ? -1.0
                                  : context.configuration.at("model").at("depth").get<double>()}},
        .series = {{.name = "line", .x = {1, 2}, .measured = {3, std::nan("")}}}};
  }

 private:
  CountOptions options_;
};

class ReproduceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!probes().contains("counting"))
      probes().add<CountOptions>({"counting", "for tests"}, {}, [](const CountOptions& o) {
        return std::make_shared<CountingProbe>(o);
      });
  }
  void SetUp() override {
    folder_ = testing::TempDir() + "reproduce-" + std::to_string(getpid());
    fs::remove_all(folder_);
    options_.scale = Scale::smoke;
    options_.results = folder_ + "/results";
    options_.run.cache = folder_ + "/cache";
    options_.tell = [this](const ReproduceEvent& e) { events_.push_back(e); };
  }
  void TearDown() override { fs::remove_all(folder_); }

  Recipe with_probe(JobKind kind, bool fails = false) {
    Recipe recipe = read_recipe(kFixture);
    RecipeJob job{.name = "look", .label = "look", .kind = kind};
    job.of = "plain";
    job.config = {{"probe", {{"name", "counting"}, {"value", 5}, {"fails", fails}}}};
    recipe.jobs.push_back(job);
    recipe.claims.push_back({.name = "looked",
                             .value = "look.value - look.weights * look.depth",
                             .at_least = 3,
                             .at_most = 3,
                             .scales = {Scale::smoke}});
    return recipe;
  }
  int count(ReproduceEvent::Kind kind) const {
    return static_cast<int>(std::count_if(events_.begin(), events_.end(),
                                          [&](const auto& e) { return e.kind == kind; }));
  }
  static Json run_of(const Json& results, size_t job, size_t seed = 0) {
    return results.at("jobs").at(job).at("runs").at(seed);
  }

  std::string folder_;
  ReproduceOptions options_;
  std::vector<ReproduceEvent> events_;
};

TEST_F(ReproduceTest, trains_checks_claims_and_writes_results) {
  const Recipe recipe = read_recipe(kFixture);
  const Reproduction all = reproduce({recipe}, options_);
  EXPECT_TRUE(all.failures.empty()) << all.failures[0];
  const Json results = read_results(results_file(options_.results, "shortcuts", Scale::smoke));
  EXPECT_EQ(results.at("verdict"), "held");
  EXPECT_EQ(results.at("claims").size(), 2u);
  EXPECT_EQ(results.at("recipe"), recipe_form(recipe, Scale::smoke));
  const Json run = run_of(results, 0);
  const Json& metrics = run.at("metrics");
  for (const char* name : {"train.loss", "train.top1", "test.loss", "test.top1", "best", "seconds",
                           "step_seconds", "steps", "parameters", "macs", "diverged"})
    EXPECT_TRUE(metrics.contains(name)) << name;
  const int64_t images = datasets().create("digits")->train->size();
  EXPECT_EQ(metrics.at("steps"), 2 * (images / 32));  // two epochs of full batches
  EXPECT_GT(metrics.at("seconds").get<double>(), 0);
  EXPECT_GE(metrics.at("seconds").get<double>(), 40 * metrics.at("step_seconds").get<double>());
  EXPECT_EQ(metrics.at("parameters"), 2 * (2 * 32 * 64 + 64 + 32 + 64) + 64 * 32 + 32 + 64 + 330);
  EXPECT_FALSE(run.at("series").empty());
}

TEST_F(ReproduceTest, finished_jobs_are_not_run_again) {
  const std::vector<Recipe> twice{with_probe(JobKind::probe), with_probe(JobKind::probe)};
  looks = 0;
  const Reproduction all = reproduce(twice, options_);
  EXPECT_EQ(looks, 1);
  EXPECT_EQ(count(ReproduceEvent::cached), 4);
  EXPECT_EQ(run_of(all.results[0], 1).at("metrics"), run_of(all.results[1], 1).at("metrics"));
  EXPECT_EQ(all.results[0].at("verdict"), "held");
  EXPECT_EQ(events_.back().number, 8);
  EXPECT_EQ(events_.back().total, 8);
  options_.run.fresh_since = fs::file_time_type::clock::now() + std::chrono::seconds(5);
  reproduce({twice[0]}, options_);
  EXPECT_EQ(looks, 2);
}

TEST_F(ReproduceTest, a_bench_is_never_kept) {
  looks = 0;
  reproduce({with_probe(JobKind::bench)}, options_);
  const Reproduction again = reproduce({with_probe(JobKind::bench)}, options_);
  EXPECT_EQ(looks, 2);
  EXPECT_EQ(again.results[0].at("verdict"), "held");
}

TEST_F(ReproduceTest, seeds_differ_and_pair) {
  options_.seeds = 2;
  const Reproduction all = reproduce({with_probe(JobKind::probe)}, options_);
  const Json& results = all.results[0];
  EXPECT_EQ(results.at("seeds"), 2);
  EXPECT_NE(run_of(results, 0, 0).at("metrics").at("test.loss"),
            run_of(results, 0, 1).at("metrics").at("test.loss"));
  EXPECT_NE(run_of(results, 3, 0).at("metrics").at("random"),
            run_of(results, 3, 1).at("metrics").at("random"));
  EXPECT_EQ(results.at("claims")[0].at("values").size(), 2u);
}

TEST_F(ReproduceTest, a_failed_probe_fails_the_claims_over_it_alone) {
  const Reproduction all = reproduce({with_probe(JobKind::probe, true)}, options_);
  const Json& claims = all.results[0].at("claims");
  EXPECT_EQ(claims[0].at("verdict"), "held");
  EXPECT_EQ(claims[2].at("verdict"), "failed");
  EXPECT_THAT(claims[2].at("says").get<std::string>(), HasSubstr("cannot look"));
  EXPECT_EQ(all.results[0].at("verdict"), "failed");
  ASSERT_EQ(all.failures.size(), 2u);
  EXPECT_THAT(all.failures[0], HasSubstr("shortcuts, job look, seed 0"));
}

TEST_F(ReproduceTest, an_unknown_metric_fails_its_claim_with_the_nearest_name) {
  Recipe recipe = with_probe(JobKind::probe);
  recipe.claims.back().value = "look.valeu";
  const Reproduction all = reproduce({recipe}, options_);
  EXPECT_THAT(all.failures.at(0), HasSubstr("did you mean 'value'"));
}

TEST_F(ReproduceTest, divergence_is_a_result_only_where_the_recipe_says_so) {
  Recipe recipe = read_recipe(kFixture);
  recipe.jobs.resize(1);
  recipe.jobs[0].config["optim"]["lr"] = 1e30;
  recipe.claims = {{.name = "bad",
                    .value = "identity.test.loss + identity.diverged",
                    .at_least = 9,
                    .scales = {Scale::smoke}}};
  EXPECT_THAT(reproduce({recipe}, options_).failures.at(0), HasSubstr("not finite"));
  recipe.jobs[0].may_diverge = true;
  const Reproduction all = reproduce({recipe}, options_);
  EXPECT_TRUE(all.failures.empty()) << all.failures[0];
  EXPECT_EQ(all.results[0].at("verdict"), "held");
  const Json metrics = run_of(all.results[0], 0).at("metrics");
  EXPECT_EQ(metrics.at("diverged"), 1);
  EXPECT_EQ(metrics.at("test.loss"), "inf");
  EXPECT_EQ(metrics.at("test.top1"), 0);
}

// Stopped in the middle of a training and continued: the numbers are those of a run in one piece.
TEST_F(ReproduceTest, goes_on_where_it_was_stopped) {
  Recipe recipe = read_recipe(kFixture);
  recipe.jobs.resize(1);
  recipe.claims.resize(1);
  const Json whole = reproduce({recipe}, options_).results[0];
  options_.run.cache = folder_ + "/other-cache";
  options_.results = folder_ + "/other-results";
  int asked = 0;
  options_.run.stop = [&] { return ++asked > 60; };
  const Reproduction stopped = reproduce({recipe}, options_);
  EXPECT_TRUE(stopped.stopped);
  EXPECT_TRUE(stopped.results.empty());
  EXPECT_FALSE(fs::exists(results_file(options_.results, "shortcuts", Scale::smoke)));
  options_.run.stop = {};
  events_.clear();
  const Json rest = reproduce({recipe}, options_).results[0];
  double first = 0;
  for (const ReproduceEvent& e : events_)
    if (e.kind == ReproduceEvent::progress && first == 0) first = e.fraction;
  EXPECT_GT(first, 0.5);
  for (const char* name : {"train.loss", "test.loss", "test.top1", "steps"})
    EXPECT_EQ(run_of(rest, 0).at("metrics").at(name), run_of(whole, 0).at("metrics").at(name))
        << name;
  EXPECT_EQ(run_of(rest, 0).at("series"), run_of(whole, 0).at("series"));
}

TEST_F(ReproduceTest, begins_with_the_weights_of_another_job) {
  Recipe recipe = read_recipe(kFixture);
  recipe.claims.clear();
  recipe.jobs.erase(recipe.jobs.begin() + 1);
  recipe.jobs[1].config["optim"] = {{"name", "sgd"}, {"lr", 1e-12}};
  recipe.jobs[1].config["model"]["connection"] = {{"name", "scaled"}, {"scale", 1}};
  const Json results = reproduce({recipe}, options_).results[0];
  EXPECT_NEAR(run_of(results, 1).at("metrics").at("test.loss").get<double>(),
              run_of(results, 0).at("metrics").at("test.loss").get<double>(), 1e-5);
  recipe.jobs[1].config["model"]["width"] = 16;
  EXPECT_THAT(reproduce({recipe}, options_).failures.at(0), HasSubstr("does not fit the model"));
}

TEST_F(ReproduceTest, damaged_or_foreign_files_are_told) {
  Recipe recipe = read_recipe(kFixture);
  recipe.jobs.resize(1);
  recipe.claims.resize(1);
  reproduce({recipe}, options_);
  for (const auto& slot : fs::directory_iterator(options_.run.cache))
    std::ofstream(slot.path() / "result.json") << "{";
  EXPECT_EQ(reproduce({recipe}, options_).results[0].at("verdict"), "held");
  const std::string file = results_file(options_.results, "shortcuts", Scale::smoke);
  std::ofstream(file) << R"({"engine": 999, "slug": "shortcuts", "scale": "smoke"})";
  try {
    read_results(file);
    ADD_FAILURE() << "not refused";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("another version"));
    EXPECT_THAT(e.what(), HasSubstr("residua reproduce shortcuts --scale smoke"));
  }
  std::vector<std::string> refused;
  EXPECT_TRUE(read_all_results(options_.results, "shortcuts", refused).empty());
  EXPECT_EQ(refused.size(), 1u);
}

TEST(ThinSeries, keeps_ends_and_means) {
  Series s{.name = "s"};
  for (int i = 0; i <= 1000; ++i) {
    s.x.push_back(i);
    s.measured.push_back(2 * i);
  }
  const Series thin = thin_series(s, 102);
  ASSERT_EQ(thin.x.size(), 102u);
  EXPECT_EQ(thin.x.front(), 0);
  EXPECT_EQ(thin.measured.back(), 2000);
  EXPECT_NEAR(thin.measured[50], 2 * thin.x[50], 20);
  EXPECT_TRUE(thin.predicted.empty());
  EXPECT_EQ(thin_series(s, 2000).x.size(), 1001u);
}

TEST(StepTimer, counts_steps_alone_and_goes_on) {
  double now = 0;
  StepTimer timer([&] { return now; });
  const auto at = [&](double time, const RunEvent& event) {
    now = time;
    timer.record(event);
  };
  at(10, RunStarted{});
  at(11, StepDone{});
  at(13, StepDone{});
  at(50, Measured{});  // an evaluation
  at(53, StepDone{});
  EXPECT_DOUBLE_EQ(timer.seconds(), 6);
  EXPECT_DOUBLE_EQ(timer.median(), 2);
  StepTimer other([&] { return now; });
  other.rewind(timer.position());
  now = 100;
  other.record(RunStarted{});
  now = 109;
  other.record(StepDone{});
  EXPECT_DOUBLE_EQ(other.seconds(), 15);
  EXPECT_DOUBLE_EQ(other.median(), 2.5);
  for (int i = 0; i < 5000; ++i) at(now + 4, StepDone{});
  EXPECT_DOUBLE_EQ(timer.median(), 4);
  EXPECT_LT(timer.position().at("times").size(), 1024u);
}

TEST(TimeLeft, expects_what_jobs_took_before) {
  TimeLeft left({{"p/a", 2}, {"p/b", 2}});
  const auto event = [](ReproduceEvent::Kind kind, const std::string& job, double seconds = 0) {
    return ReproduceEvent{.kind = kind, .slug = "p", .job = job, .seconds = seconds};
  };
  left.add(event(ReproduceEvent::started, "a"));
  EXPECT_LT(left.seconds(5, 0), 0);
  EXPECT_DOUBLE_EQ(left.seconds(5, 0.5), 5 + 10 * 3);
  left.add(event(ReproduceEvent::finished, "a", 10));
  left.add(event(ReproduceEvent::started, "b"));
  left.add(event(ReproduceEvent::finished, "b", 30));
  EXPECT_DOUBLE_EQ(left.seconds(0, 0), 10 + 30);
  left.add(event(ReproduceEvent::started, "a"));
  left.add(event(ReproduceEvent::cached, "a"));
  EXPECT_DOUBLE_EQ(left.seconds(0, 0), 30);
}

}  // namespace
}  // namespace residua
