// gallery_pages <folder>: writes galleries of made-up results, for the checkers to open.

#include <cmath>
#include <filesystem>

#include "residua/recipes/gallery.h"
#include "residua/recipes/job_result.h"

namespace {

using residua::Json;

// `seeds` runs of a falling loss, of an accuracy with gaps, and of a probe on logarithmic axes.
Json made_up_run(int job, int seed) {
  std::vector<residua::Series> series(3);
  series[0] = {.name = "train/loss", .x_label = "step", .y_label = "loss"};
  series[1] = {.name = "test/top1", .x_label = "step", .y_label = "top1"};
  series[2] = {.name = "variance",
               .x_label = "depth",
               .y_label = "mean square",
               .log_x = true,
               .log_y = true};
  for (int i = 1; i <= 100; ++i) {
    series[0].x.push_back(10 * i);
    series[0].measured.push_back((2.3 + 0.2 * job) / std::sqrt(i) +
                                 0.05 * std::sin(3.0 * i + 40 * seed) + 0.1 * seed);
  }
  for (int i = 1; i <= 10; ++i) {
    series[1].x.push_back(100 * i);
    series[1].measured.push_back(i == 4 && job == 1 ? std::nan("") : 0.9 - 0.5 / i - 0.02 * seed);
    series[2].x.push_back(i * i);
    series[2].measured.push_back(std::pow(1.5, i) * (1 + 0.1 * seed));
    series[2].predicted.push_back(std::pow(1.5, i));
    series[2].low.push_back(0.8 * std::pow(1.5, i));
    series[2].high.push_back(1.3 * std::pow(1.5, i));
  }
  residua::JobResult result{.metrics = {{"test.top1", 0.85 - 0.02 * seed + 0.01 * job},
                                        {"test.loss", job == 2 ? INFINITY : 0.4},
                                        {"parameters", 271690.0 + job},
                                        {"step_seconds", 0.0123 * (job + 1)}}};
  result.series = std::move(series);
  Json run = residua::job_result_to_json(result);
  run["seed"] = seed;
  run.erase("configuration");
  return run;
}

Json made_up_results(const std::string& scale, int seeds) {
  Json jobs = Json::array();
  for (int job = 0; job < 3; ++job) {
    Json runs = Json::array();
    for (int seed = 0; seed < seeds; ++seed) runs.push_back(made_up_run(job, seed));
    if (job == 2 && seeds > 1)
      runs[1] = {{"seed", 1}, {"failed", "[step 7] the loss is not finite."}};
    const std::string name = job == 0 ? "identity" : job == 1 ? "half of the blocks" : "plain";
    jobs.push_back({{"name", name}, {"label", name}, {"kind", "train"}, {"runs", runs}});
  }
  const Json claim{{"name", "saves"},
                   {"text", "dropping half of the blocks saves 15 % of a step"},
                   {"paper", "about 25 % (section 4)"},
                   {"value", "1 - stochastic.seconds / constant.seconds"},
                   {"at_least", 0.15},
                   {"verdict", "held"},
                   {"values", {0.27, 0.28}},
                   {"mean", 0.275},
                   {"error", 0.005},
                   {"says", "0.275 ± 0.005 over 2 seeds, at least 0.15"}};
  Json other = claim;
  other.update({{"name", "close"}, {"verdict", "not held"}, {"paper", ""}});
  return {{"scale", scale},
          {"seeds", seeds},
          {"finished", "2024-05-01T12:00:00Z"},
          {"seconds", 12},
          {"verdict", scale == "smoke" ? "none" : "not held"},
          {"of_this_recipe", true},
          {"environment", {{"processor", "a processor"}, {"threads", 2}}},
          {"claims", scale == "smoke" ? Json::array() : Json{claim, other}},
          {"jobs", jobs}};
}

Json made_up_paper(const std::string& slug, const std::string& title, bool with_results) {
  const Json diagrams{{{"title", "identity"},
                       {"streams", {"x"}},
                       {"begin", "x = x0"},
                       {"read", "x"},
                       {"merge", "x + f(x)"},
                       {"finish", "x"}},
                      {{"title", "hyper (streams = 4)"},
                       {"streams", {"h1", "h2", "h3", "h4"}},
                       {"begin", "hi = x0"},
                       {"read", "sum_i a_i h_i"},
                       {"merge", "h_j = sum_i A_ij h_i + b_j f"},
                       {"finish", "sum_i h_i"}}};
  return {{"slug", slug},
          {"title", title},
          {"year", 2016},
          {"authors", "Somebody, Somebody Else"},
          {"arxiv", "1603.09382"},
          {"reference", "somebody/something"},
          {"family", with_results ? "connections" : "backbones"},
          {"kind", with_results ? "training" : "architecture"},
          {"summary", "What it is, in two sentences. This is the second."},
          {"implemented", "What is here."},
          {"checked", "By hand-written loops."},
          {"components", {"connection/identity", "model/resnet_cifar"}},
          {"verdict", with_results ? "not held" : "none"},
          {"scale", with_results ? "small" : ""},
          {"diagrams", with_results ? diagrams : Json::array()},
          {"results", with_results ? Json{{"smoke", made_up_results("smoke", 1)},
                                          {"small", made_up_results("small", 3)}}
                                   : Json::object()}};
}

Json made_up_comparison() {
  Json rows = Json::array();
  for (int i = 0; i < 3; ++i) {
    Json row = made_up_run(i, 0);
    row.erase("seed");
    residua::Series profile{.name = "gradient norm by site", .x_label = "site", .log_y = true};
    for (int site = 1; site <= 9; ++site) {
      profile.x.push_back(site);
      profile.measured.push_back(std::pow(1.2 + 0.1 * i, -site));
    }
    residua::JobResult with_profile{.series = {profile}};
    row["series"].push_back(residua::job_result_to_json(with_profile)["series"][0]);
    row.update({{"name", i == 0   ? "identity"
                         : i == 1 ? "scaled"
                                  : "none"},
                {"help", ""},
                {"peak_bytes", 12345678 * (i + 1)},
                {"gradient_ratio", 3.5 + i}});
    rows.push_back(row);
  }
  rows.push_back({{"name", "value-residual"},
                  {"help", ""},
                  {"refused", "value-residual does not ride a cnn: it needs attention"}});
  return {{"what", "connections"},
          {"carrier", "resnet20"},
          {"data", "digits"},
          {"epochs", 2},
          {"environment", {{"processor", "a processor"}}},
          {"quality", {"test.top1", "test.loss"}},
          {"rows", rows}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  const Json papers{made_up_paper("one", "Deep networks with something", true),
                    made_up_paper("two", "Another without results", false)};
  residua::write_gallery(folder / "gallery.html", {{"title", "Papers"},
                                                   {"papers", papers},
                                                   {"comparisons", {made_up_comparison()}},
                                                   {"refused", Json::array()}});
  const std::string bad = "</script><script>null.x</script><!-- {{data}} \u2028 \"'&";
  Json hostile = made_up_paper("one", bad, true);
  for (const char* key : {"authors", "summary", "implemented", "checked", "family", "kind"})
    hostile[key] = bad;
  hostile["diagrams"][0]["merge"] = bad;
  hostile["results"]["small"]["claims"][0]["says"] = bad;
  residua::write_gallery(
      folder / "hostile_gallery.html",
      {{"title", bad}, {"papers", {hostile}}, {"comparisons", Json::array()}, {"refused", {bad}}});
  residua::write_gallery(folder / "empty_gallery.html", {{"title", "Papers"},
                                                         {"papers", Json::array()},
                                                         {"comparisons", Json::array()},
                                                         {"refused", Json::array()}});
}
