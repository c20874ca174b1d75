#include "residua/io/pth_state.h"

#include <array>
#include <charconv>

#include "residua/core/error.h"

namespace residua {

namespace {

using Kind = PickleValue::Kind;

constexpr std::array<std::string_view, 11> kStateKeys = {
    "state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema", "params_ema",
    "params",     "net",   "network",          "module",         "weights"};

constexpr int kMaxNesting = 100;
constexpr size_t kMaxTensors = 1'000'000;

bool is_container(Kind kind) {
  return kind == Kind::list || kind == Kind::tuple || kind == Kind::dict || kind == Kind::set;
}

// Each value is looked at once, so that shared values and cycles cost nothing.
bool holds_tensor(const Pickle& pickle, PickleId root) {
  std::vector<bool> seen(pickle.values.size(), false);
  std::vector<PickleId> open{root};
  while (!open.empty()) {
    const PickleId id = open.back();
    open.pop_back();
    if (seen[id]) continue;
    seen[id] = true;
    if (pickle[id].kind == Kind::tensor) return true;
    if (!is_container(pickle[id].kind)) continue;
    for (const PickleId item : pickle[id].items)
      if (!seen[item]) open.push_back(item);
  }
  return false;
}

template <class Number>
std::string shortest(Number value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

// The text of a number, string or truth value; empty for everything else.
std::string scalar_text(const PickleValue& value) {
  switch (value.kind) {
    case Kind::boolean: return value.integer != 0 ? "true" : "false";
    case Kind::integer: return shortest(value.integer);
    case Kind::real: return shortest(value.real);
    case Kind::text: return std::string(value.text);
    default: return {};
  }
}

class Flattener {
 public:
  Flattener(const Pickle& pickle, const std::string& where) : pickle_(pickle), where_(where) {}

  std::vector<NamedPickleTensor> flatten(PickleId root) {
    if (pickle_[root].kind == Kind::tensor) {
      add("tensor", pickle_[root]);
    } else {
      visit(root, "", 0);
    }
    return std::move(tensors_);
  }

 private:
  void visit(PickleId id, const std::string& name, int depth) {
    const PickleValue& value = pickle_[id];
    // A value lies in one place, or a few when shared; lists of lists shared at each level would
    // make 2^n places.
    if (++visits_ > 4 * pickle_.values.size() + 1000)
      limit("the pickle shares its lists or dicts so that they nest into too many places");
    if (value.kind == Kind::tensor) return add(name, value);
    if (!is_container(value.kind)) return;
    if (depth == kMaxNesting) limit("the pickle nests more than 100 levels deep");
    const std::string prefix = name.empty() ? "" : name + ".";
    check_tensor_name(prefix, where_);
    if (value.kind == Kind::dict) {
      for (size_t i = 0; i < value.items.size(); i += 2)
        visit_member(value.items[i + 1], prefix, pickle_[value.items[i]], depth);
    } else {
      for (size_t i = 0; i < value.items.size(); ++i)
        visit(value.items[i], prefix + std::to_string(i), depth + 1);
    }
  }

  void visit_member(PickleId id, const std::string& prefix, const PickleValue& key, int depth) {
    const Kind kind = pickle_[id].kind;
    if (kind != Kind::tensor && !is_container(kind)) return;
    if (key.kind == Kind::text) check_tensor_name(key.text, where_);
    visit(id, prefix + scalar_text(key), depth + 1);
  }

  void add(const std::string& name, const PickleValue& value) {
    name_bytes_ += name.size();
    if (tensors_.size() == kMaxTensors) limit("has more than 1,000,000 tensors");
    if (name_bytes_ > kMaxHeaderBytes) limit("the tensor names exceed 100 MB");
    tensors_.push_back({name, static_cast<size_t>(value.integer)});
  }

  [[noreturn]] void limit(const char* rule) const {
    throw Error(ErrorKind::limit, {.where = where_, .rule = rule});
  }

  const Pickle& pickle_;
  const std::string& where_;
  std::vector<NamedPickleTensor> tensors_;
  size_t visits_ = 0, name_bytes_ = 0;
};

const PickleId* find_member(const Pickle& pickle, const PickleValue& dict, std::string_view key) {
  for (size_t i = 0; i < dict.items.size(); i += 2)
    if (pickle[dict.items[i]].kind == Kind::text && pickle[dict.items[i]].text == key)
      return &dict.items[i + 1];
  return nullptr;
}

}  // namespace

PthState select_pth_state(const Pickle& pickle, const std::string& where) {
  PthState state;
  PickleId chosen = pickle.root;
  const PickleValue& root = pickle[pickle.root];
  if (root.kind == Kind::dict) {
    for (size_t i = 0; i < root.items.size(); i += 2) {
      const PickleValue& key = pickle[root.items[i]];
      std::string text = scalar_text(pickle[root.items[i + 1]]);
      if (key.kind == Kind::text && !text.empty())
        state.metadata.insert_or_assign(std::string(key.text), std::move(text));
    }
    for (const std::string_view key : kStateKeys) {
      const PickleId* member = find_member(pickle, root, key);
      if (member == nullptr || pickle[*member].kind != Kind::dict || !holds_tensor(pickle, *member))
        continue;
      chosen = *member;
      state.metadata.insert_or_assign("pth.root", std::string(key));
      break;
    }
  }
  if (!holds_tensor(pickle, chosen))
    throw Error(ErrorKind::unsupported, {.where = where, .rule = "holds no tensor"});
  state.tensors = Flattener(pickle, where).flatten(chosen);
  return state;
}

}  // namespace residua
