// residua list: the names of what can be created by name.
#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <optional>

#include "app/commands.h"
#include "residua/analysis/probe.h"
#include "residua/connections/connection.h"
#include "residua/connections/memory_plan.h"
#include "residua/core/error.h"
#include "residua/core/json.h"
#include "residua/data/dataset.h"
#include "residua/models/model.h"
#include "residua/nn/init.h"
#include "residua/optim/optimizer.h"
#include "residua/optim/schedule.h"

namespace residua::app {

namespace {

struct ListRow {
  RegistryInfo info;
  std::optional<int64_t> parameters = {};
};

template <class Registry>
std::vector<ListRow> registry_rows(const Registry& registry, const std::string& pattern) {
  std::vector<ListRow> rows;
  for (const std::string& name : registry.list(pattern)) rows.push_back({registry.find(name).info});
  return rows;
}

std::vector<ListRow> model_rows(const std::string& pattern) {
  const SkipInitialization only_shapes;
  std::vector<ListRow> rows = registry_rows(models(), pattern);
  for (ListRow& row : rows) {
    row.parameters = 0;
    for (const at::Tensor& p : models().create(row.info.name, Random(0))->parameters())
      *row.parameters += p.numel();
  }
  return rows;
}

std::vector<ListRow> rows_of_kind(const std::string& kind, const std::string& pattern) {
  if (kind == "models") return model_rows(pattern);
  if (kind == "connections") return registry_rows(connections(), pattern);
  if (kind == "datasets") return registry_rows(datasets(), pattern);
  if (kind == "memory") return registry_rows(memory_planners(), pattern);
  if (kind == "optimizers") return registry_rows(optimizers(), pattern);
  if (kind == "probes") return registry_rows(probes(), pattern);
  if (kind == "schedules") return registry_rows(schedules(), pattern);
  throw Error(ErrorKind::internal,
              {.where = "list", .rule = "knows no such kind", .received = kind});
}

Json row_to_json(const ListRow& row) {
  Json json{{"name", row.info.name}, {"help", row.info.help}};
  if (!row.info.paper.empty()) json["paper"] = row.info.paper;
  if (row.parameters) json["parameters"] = *row.parameters;
  return json;
}

void print_list_table(const std::vector<ListRow>& rows) {
  size_t width = 0;
  for (const ListRow& row : rows) width = std::max(width, row.info.name.size());
  for (const ListRow& row : rows) {
    const std::string size =
        row.parameters ? fmt::format("{:>7.2f} M  ", *row.parameters / 1e6) : "";
    fmt::print("{:<{}}  {}{}\n", row.info.name, width, size, row.info.help);
  }
}

}  // namespace

int list(const ListArguments& arguments) {
  const std::vector<ListRow> rows = rows_of_kind(arguments.kind, arguments.pattern);
  if (arguments.json) {
    Json json = Json::array();
    for (const ListRow& row : rows) json.push_back(row_to_json(row));
    fmt::print("{}\n", json.dump(2));
    return 0;
  }
  if (rows.empty())
    throw Error(ErrorKind::not_found,
                {.where = arguments.pattern, .rule = "matches none of the " + arguments.kind});
  print_list_table(rows);
  return 0;
}

}  // namespace residua::app
