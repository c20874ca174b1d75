#include "residua/recipes/time_left.h"

namespace residua {

void TimeLeft::add(const ReproduceEvent& event) {
  const std::string key = event.slug + "/" + event.job;
  if (event.kind == ReproduceEvent::progress) return;
  if (event.kind == ReproduceEvent::started) {
    current_ = key;
    --left_[key];
    return;
  }
  current_.clear();
  if (event.kind != ReproduceEvent::finished) return;
  for (Taken* taken : {&taken_[key], &all_}) {
    taken->sum += event.seconds;
    ++taken->count;
  }
}

double TimeLeft::seconds(double elapsed, double fraction) const {
  Taken all = all_;
  double left = 0;
  if (!current_.empty() && fraction > 0) {
    left = elapsed * (1 - fraction) / fraction;
    if (all.count == 0) all = {elapsed / fraction, 1};
  } else if (const auto known = taken_.find(current_); known != taken_.end()) {
    left = std::max(0.0, known->second.mean() - elapsed);
  } else if (!current_.empty() && all.count > 0) {
    left = std::max(0.0, all.mean() - elapsed);
  }
  for (const auto& [key, count] : left_) {
    if (count == 0) continue;
    const auto known = taken_.find(key);
    if (known == taken_.end() && all.count == 0) return -1;
    left +=
        static_cast<double>(count) * (known != taken_.end() ? known->second.mean() : all.mean());
  }
  return all.count == 0 ? -1 : left;
}

std::map<std::string, int64_t> runs_to_come(const std::vector<Recipe>& recipes,
                                            const ReproduceOptions& options) {
  std::map<std::string, int64_t> runs;
  for (const Recipe& recipe : recipes)
    for (const RecipeJob* job : recipe.jobs_at(options.scale))
      runs[recipe.slug + "/" + job->name] += options.seeds.value_or(recipe.seeds_at(options.scale));
  return runs;
}

}  // namespace residua
