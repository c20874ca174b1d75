// `residua help NAME`: the options of what is created by name.

#include <fmt/format.h>

#include "app/commands.h"
#include "residua/analysis/probe.h"
#include "residua/connections/connection.h"
#include "residua/connections/memory_plan.h"
#include "residua/core/error.h"
#include "residua/data/dataset.h"
#include "residua/models/model.h"
#include "residua/optim/optimizer.h"
#include "residua/optim/schedule.h"

namespace residua::app {

namespace {

// Prints when the registry has the topic; otherwise adds its names to `names`.
template <class Registry>
bool explain_from(const Registry& registry, std::string_view setting, const std::string& topic,
                  std::vector<std::string>& names) {
  for (const std::string& name : registry.list()) names.push_back(name);
  if (!registry.contains(topic)) return false;
  const auto& entry = registry.find(topic);
  fmt::print("{} ({}): {}\n", topic, registry.kind(), entry.info.help);
  const std::string options = entry.help(setting);
  if (options.empty())
    fmt::print("\nIt takes no options.\n");
  else
    fmt::print("\nOptions, beside {}={}\n{}", setting, topic, options);
  return true;
}

}  // namespace

int explain(const HelpArguments& arguments) {
  const std::string& topic = arguments.topic;
  std::vector<std::string> names{"train",  "eval",    "predict", "generate",  "list",
                                 "info",   "data",    "verify",  "reproduce", "papers",
                                 "report", "compare", "doctor"};
  bool found = explain_from(models(), "model", topic, names);
  found = explain_from(connections(), "model.connection", topic, names) || found;
  found = explain_from(memory_planners(), "memory", topic, names) || found;
  found = explain_from(datasets(), "data", topic, names) || found;
  found = explain_from(optimizers(), "optim", topic, names) || found;
  found = explain_from(schedules(), "schedule", topic, names) || found;
  found = explain_from(probes(), "probe", topic, names) || found;
  if (!found)
    throw Error(ErrorKind::not_found, {.where = topic,
                                       .rule = "is no command, model, connection, memory plan, "
                                               "data set, optimizer, schedule or probe",
                                       .hint = nearest_names_hint(topic, names)});
  return 0;
}

}  // namespace residua::app
