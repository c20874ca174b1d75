// residua verify: golden cards against our models.
#include <fmt/format.h>

#include "app/commands.h"
#include "residua/core/error.h"
#include "residua/core/json.h"
#include "residua/models/golden.h"

namespace residua::app {

namespace {

Json result_to_json(const CardResult& result) {
  return {{"card", result.path},
          {"model", result.model},
          {"reference", result.reference},
          {"passed", result.passed()},
          {"parameters", result.parameters},
          {"samples", result.samples},
          {"largest_error", result.largest_error},
          {"tolerance", result.tolerance},
          {"failures", result.failures}};
}

}  // namespace

int verify(const VerifyArguments& arguments) {
  if (arguments.cards.empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = "verify", .rule = "needs at least one card"});
  bool all_passed = true;
  Json results = Json::array();
  for (const std::string& path : arguments.cards) {
    const CardResult result = verify_card(read_card(path));
    all_passed = all_passed && result.passed();
    if (arguments.json)
      results.push_back(result_to_json(result));
    else
      fmt::print("{}\n", result.text());
  }
  if (arguments.json) fmt::print("{}\n", results.dump(2));
  return all_passed ? 0 : 2;
}

}  // namespace residua::app
