#pragma once
// Everything that one network can take, trained on the same budget.
//
//   std::optional<Json> table = compare_connections({.carrier = "resnet20", .data = "digits"});

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "residua/core/json.h"
#include "residua/recipes/reproduce.h"

namespace residua {

// A network with data and a way to train it that does well with identity shortcuts.
struct CompareCarrier {
  std::string name, help;
  Json settings;  // as `residua train` takes them
};
const std::vector<CompareCarrier>& compare_carriers();

struct CompareOptions {
  std::string carrier;
  std::string data = {};               // empty: the carrier's own
  int64_t epochs = 0;                  // 0: the carrier's own
  std::vector<std::string> only = {};  // empty: every connection
  Json changes = Json::object();       // settings merged over the carrier's
  JobRunOptions run = {};
  std::string results = "results";  // folder
  Json environment = Json::object();
  std::function<void(const ReproduceEvent&)> tell = {};
};

// Writes and returns {engine, what, carrier, data, epochs, environment, quality, rows}: a row has
// name and help, and either `refused` (why the carrier cannot take it), `failed`, or metrics,
// peak_bytes, gradient_ratio (first over last site) and series. `quality` names the metrics that
// rows are compared by, best first. Nothing when it was stopped; finished runs are kept. Throws
// ErrorKind::not_found with the nearest names for an unknown carrier or connection.
std::optional<Json> compare_connections(const CompareOptions& options);

// The connections that it will try, in this order.
std::vector<std::string> connections_to_compare(const CompareOptions& options);

bool is_comparison_file(const std::string& path);
Json read_comparison(const std::string& file);  // throws as read_results does

}  // namespace residua
