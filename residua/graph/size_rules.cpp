#include "residua/graph/size_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "residua/core/error.h"

namespace residua {

namespace {

// Builds, and says whether the sizes can be built.
std::optional<Graph> build_if_possible(const GraphAtSizes& build, const Sizes& sizes) {
  try {
    return build(sizes);
  } catch (const Error&) {
    return std::nullopt;
  }
}

struct Place {
  std::string field;
  int64_t index;
  auto operator<=>(const Place&) const = default;
};

// How one integer setting that varies follows the symbols; no rule: in another way.
using Following = std::map<std::string, std::optional<SymbolRule>>;

std::vector<Place> integer_settings(Operation& operation) {
  std::vector<Place> places;
  const Fields fields = describe(operation);
  for (const Field& field : fields.list()) {
    if (std::holds_alternative<int64_t*>(field.target)) places.push_back({field.name, 0});
    if (const auto* list = std::get_if<std::vector<int64_t>*>(&field.target))
      for (size_t i = 0; i < (*list)->size(); ++i)
        places.push_back({field.name, static_cast<int64_t>(i)});
  }
  return places;
}

bool same_constant(const Value& a, const Value& b) {
  if (!a.constant || !b.constant) return a.constant.has_value() == b.constant.has_value();
  const auto &x = a.constant->bytes, &y = b.constant->bytes;
  if (x.size() != y.size()) return false;
  return x.data() == y.data() || x.empty() || std::memcmp(x.data(), y.data(), x.size()) == 0;
}

// Where two graphs differ in anything but integer settings and shapes; empty when nowhere.
std::string difference(const Graph& a, const Graph& b) {
  if (a.nodes.size() != b.nodes.size() || a.values.size() != b.values.size())
    return "the number of nodes";
  for (size_t i = 0; i < a.values.size(); ++i)
    if (!same_constant(a.values[i], b.values[i])) return "the constant " + a.values[i].name;
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    const Node &x = a.nodes[i], &y = b.nodes[i];
    if (x.operation.index() != y.operation.index() || x.inputs != y.inputs ||
        x.outputs != y.outputs)
      return label(a, x);
    Operation mine = x.operation, other = y.operation;
    const std::vector<Place> places = integer_settings(mine);
    for (const Place& place : places) {
      int64_t* to = find_integer(other, place.field, place.index);
      if (to == nullptr) return label(a, x);
      *to = *find_integer(mine, place.field, place.index);
    }
    if (integer_settings(other).size() != places.size() ||
        json_text(to_json(describe(mine))) != json_text(to_json(describe(other))))
      return label(a, x);
  }
  return {};
}

// The operations that do more than move numbers.
std::vector<std::string> computing(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) {
    const bool moves = std::visit(
        [](const auto& o) {
          using Op = std::decay_t<decltype(o)>;
          return std::is_same_v<Op, op::Reshape> || std::is_same_v<Op, op::Expand> ||
                 std::is_same_v<Op, op::Slice> || std::is_same_v<Op, op::Transpose> ||
                 std::is_same_v<Op, op::Concat> || std::is_same_v<Op, op::Cast>;
        },
        node.operation);
    const auto* unary = std::get_if<op::Unary>(&node.operation);
    if (unary != nullptr)
      names.emplace_back(EnumNames<UnaryKind>::names[static_cast<size_t>(unary->function.kind)]);
    else if (!moves)
      names.emplace_back(name_of(node.operation));
  }
  return names;
}

class RuleFinder {
 public:
  RuleFinder(Sizes sizes, const GraphAtSizes& build) : build_(build), sizes_(std::move(sizes)) {
    base_ = build_(sizes_);
    reference_ = sizes_;
    for (const auto& [name, symbol] : base_.symbols) {
      int64_t& size = reference_.try_emplace(name, symbol.size).first->second;
      const int64_t wanted = size;
      if (size >= 3) continue;
      size = 3;
      if (!build_if_possible(build_, reference_)) size = wanted;
    }
    graph_ = build_(reference_);
  }

  SizedGraph run() {
    const std::map<std::string, Symbol> symbols = graph_.symbols;
    for (const auto& [name, symbol] : symbols) vary(name);
    fix_what_is_special_when_small();
    for (const auto& [at, following] : varying_) settle(at.first, at.second, following);
    for (const auto& [name, why] : result_.fixed) reference_[name] = base_.symbols.at(name).size;
    if (!result_.fixed.empty()) graph_ = refixed();
    Sizes wanted;
    for (const auto& [name, symbol] : graph_.symbols) wanted[name] = base_.symbols.at(name).size;
    result_.graph = with_sizes(graph_, wanted);
    return std::move(result_);
  }

 private:
  // Sizes below 3 were replaced for the search: there the network must compute the same, but for
  // what only moves numbers.
  void fix_what_is_special_when_small() {
    const std::vector<std::string> wanted = computing(base_), found = computing(graph_);
    const auto [a, b] = std::mismatch(wanted.begin(), wanted.end(), found.begin(), found.end());
    if (a == wanted.end() && b == found.end()) return;
    for (const auto& [name, size] : reference_)
      if (size != base_.symbols.at(name).size)
        result_.fixed.emplace(
            name, fmt::format("the graph, which has {} for {} when it is {},",
                              a == wanted.end() ? "nothing" : *a, b == found.end() ? "nothing" : *b,
                              base_.symbols.at(name).size));
  }

  // Compares the graphs of several sizes of one symbol.
  void vary(const std::string& name) {
    std::string reason = "the graph, which can be built at no other size";
    for (const int64_t step : {1, -1, 2, -2, 4, 8, -8, 16, 32, -32, 64, 128}) {
      const int64_t first = reference_.at(name);
      std::vector<std::pair<int64_t, Graph>> others;
      // Downwards there are few sizes, so that each is tried.
      for (int64_t steps = 1; steps <= 17; steps = step > 0 && steps == 2 ? 5 : steps + 1) {
        if (step > 0 && steps > 5) break;
        Sizes sizes = reference_;
        sizes[name] = first + steps * step;
        auto graph = build_if_possible(build_, sizes);
        if (!graph) break;
        others.emplace_back(sizes[name], *std::move(graph));
      }
      if (others.size() < 2) continue;
      reason.clear();
      for (const auto& [size, graph] : others)
        if (reason.empty()) reason = difference(graph_, graph);
      if (!reason.empty()) continue;
      if (compare(name, first, others)) return;
    }
    if (!reason.empty()) result_.fixed[name] = reason;
  }

  // Notes what varies; false when something does not follow the symbol by a rule.
  bool compare(const std::string& name, int64_t first,
               const std::vector<std::pair<int64_t, Graph>>& others) {
    bool all_follow = true;
    for (auto& [at, following] : varying_) following.erase(name);
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      Operation mine = graph_.nodes[n].operation;
      for (const Place& place : integer_settings(mine)) {
        const int64_t here = *find_integer(mine, place.field, place.index);
        std::vector<NumberAt> points{{first, here}};
        bool varies = false;
        for (const auto& [size, graph] : others) {
          Operation other = graph.nodes[n].operation;
          points.push_back({size, *find_integer(other, place.field, place.index)});
          varies |= points.back().number != here;
        }
        if (!varies) continue;
        const auto rule = rule_through(name, points);
        all_follow &= rule.has_value();
        varying_[{n, place}][name] = rule;
      }
    }
    return all_follow;
  }

  // Makes a rule, or -1, of one setting, or gives its symbols up.
  void settle(size_t at, const Place& place, const Following& following) {
    Node& node = graph_.nodes[at];
    if (following.empty()) return;
    const auto& [symbol, rule] = *following.begin();
    if (following.size() == 1 && rule) {
      node.rules.push_back({place.field, place.index, *rule});
      return;
    }
    auto* reshape = std::get_if<op::Reshape>(&node.operation);
    if (reshape != nullptr && std::count(reshape->sizes.begin(), reshape->sizes.end(), -1) == 0) {
      reshape->sizes[static_cast<size_t>(place.index)] = -1;
      rest_.insert({at, place.index});
      return;
    }
    const std::string where =
        fmt::format("{}.{}[{}]", label(graph_, node), place.field, place.index);
    for (const auto& [name, unused] : following) result_.fixed.emplace(name, where);
  }

  // The graph at the sizes that stay, with the rules of the symbols that remain.
  Graph refixed() {
    Graph graph = build_(reference_);
    for (size_t n = 0; n < graph.nodes.size() && n < graph_.nodes.size(); ++n) {
      for (const NodeRule& rule : graph_.nodes[n].rules)
        if (!result_.fixed.contains(rule.rule.symbol)) graph.nodes[n].rules.push_back(rule);
    }
    for (const auto& [node, index] : rest_)
      std::get<op::Reshape>(graph.nodes[node].operation).sizes[static_cast<size_t>(index)] = -1;
    std::erase_if(graph.axes,
                  [&](const AxisRule& axis) { return result_.fixed.contains(axis.rule.symbol); });
    for (const auto& [name, why] : result_.fixed) graph.symbols.erase(name);
    return graph;
  }

  const GraphAtSizes& build_;
  Sizes sizes_, reference_;
  Graph base_, graph_;
  std::map<std::pair<size_t, Place>, Following> varying_;
  std::set<std::pair<size_t, int64_t>> rest_;  // node and size of a Reshape that became -1
  SizedGraph result_;
};

}  // namespace

std::optional<SymbolRule> rule_through(const std::string& symbol,
                                       std::span<const NumberAt> points) {
  SymbolRule rule{symbol, 0, points.front().number};
  if (points.size() > 1) {
    const int64_t apart = points[1].size - points[0].size;
    int64_t growth = 0, share = 0;
    if (__builtin_sub_overflow(points[1].number, points[0].number, &growth)) return std::nullopt;
    if (apart == 0 || growth % apart != 0) return std::nullopt;
    rule.factor = growth / apart;
    if (__builtin_mul_overflow(rule.factor, points[0].size, &share) ||
        __builtin_sub_overflow(points[0].number, share, &rule.offset))
      return std::nullopt;
  }
  for (const NumberAt& point : points) {
    int64_t number = 0;
    if (__builtin_mul_overflow(rule.factor, point.size, &number) ||
        __builtin_add_overflow(number, rule.offset, &number) || number != point.number)
      return std::nullopt;
  }
  return rule;
}

SizedGraph find_size_rules(const Sizes& sizes, const GraphAtSizes& build) {
  return RuleFinder(sizes, build).run();
}

}  // namespace residua
