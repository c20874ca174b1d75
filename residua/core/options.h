#pragma once
// Options are plain structs with defaulted public members and one function that names them:
//
//   struct SgdOptions {
//     double lr = 0.1;
//     bool nesterov = false;
//     Decay decay = Decay::cosine;
//     void fields(Fields& f) {
//       f.add("lr", lr, "peak learning rate", {.min = 0, .open_min = true});
//       f.add("nesterov", nesterov, "use Nesterov's form of momentum");
//       f.add("decay", decay, "shape of the decay");          // enum: see EnumNames
//     }
//   };
//
// From that description come the TOML and `key=value` parser, `--help`, the docs tables and the
// form stored in checkpoints. The struct stays an aggregate, so call sites write `SgdOptions{.lr =
// 0.05}`.
//
// An enum becomes a field by naming its values once, beside its declaration:
//
//   template <> struct EnumNames<Decay> { static constexpr std::array names{"constant", "cosine"};
//   };

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "residua/core/json.h"

namespace residua {

class Fields;

// Specialise with `static constexpr std::array names{...}`, one name per enumerator from 0 up.
template <class Enum>
struct EnumNames;

template <class T>
concept HasFields = requires(T t, Fields& f) {
  t.fields(f);
};

// Bounds of a number (or of every element of a list).
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool open_min = false;  // min itself is not allowed
  bool open_max = false;

  bool contains(double value) const;
  std::string text() const;  // "> 0", "in [0, 1)"; empty when unbounded
};

// A named component and its own options, `{name = "hyper", streams = 4}`; a bare string gives the
// name alone. The options are checked by the registry that the component is created from.
struct Component {
  std::string name;
  std::shared_ptr<Json> options;  // a JSON object of what was set; null when nothing was

  Component() = default;
  Component(std::string name_) : name(std::move(name_)) {}
  Component(const char* name_) : name(name_) {}
  Component(std::string name_, Json options_);

  Json options_or_empty() const;
};

// One named member of an options struct.
struct Field {
  struct EnumRef {
    std::vector<std::string> names;
    std::function<int()> get;
    std::function<void(int)> set;
  };
  using Target =
      std::variant<bool*, int64_t*, double*, std::string*, std::vector<int64_t>*,
                   std::vector<double>*, std::vector<std::string>*, std::optional<int64_t>*,
                   std::optional<double>*, Component*, EnumRef, std::shared_ptr<Fields>>;
  std::string name;
  std::string help;
  Range range;
  Target target;

  bool is_group() const { return std::holds_alternative<std::shared_ptr<Fields>>(target); }
  std::string type_text() const;  // "number > 0", "one of constant, cosine", ...
};

// The description of one options object: pointers into it, so it must not outlive the object.
class Fields {
 public:
  template <class T>
  void add(std::string name, T& member, std::string help, Range range = {});

  const std::vector<Field>& list() const { return list_; }

 private:
  std::vector<Field> list_;
};

template <HasFields Options>
Fields describe(Options& options) {
  Fields f;
  options.fields(f);
  return f;
}

// Sets members from a JSON object; members that it does not name keep their values. `where` is the
// path that errors begin with. Throws ErrorKind::invalid_argument for an unknown key (with the
// nearest names), a value of another type, or one out of range; then nothing has been set of the
// offending member.
void assign(const Fields& fields, const Json& values, std::string_view where = {});

// Every member with its present value, nested groups as objects: `assign` of it restores the
// options.
Json to_json(const Fields& fields);
Json to_json(const Field& field);

template <HasFields Options>
void assign(Options& options, const Json& values, std::string_view where = {}) {
  assign(describe(options), values, where);
}

template <HasFields Options>
Json options_to_json(const Options& options) {
  Options copy = options;
  return to_json(describe(copy));
}

// --- forms
// -----------------------------------------------------------------------------------------------

// TOML text or file to the value tree; errors name the file, line and column.
Json parse_toml(std::string_view text, std::string_view where);
Json read_toml(const std::string& path);
std::string to_toml(const Json& values);

// Merges `key=value` into the tree. The key may be dotted (`optim.lr`); the value is read as TOML
// where it parses (0.1, true, [1, 2], {name = "hyper"}) and as a plain string otherwise. Setting
// `model.width` after `model=resnet20` keeps the name: a string already there becomes `{name =
// string}`.
void merge_key_value(Json& values, std::string_view key_value);

// Deep merge: objects recursively, everything else replaced by `over`; a string in `over` against
// an object with another `name` replaces the name and drops the other component's options.
void merge(Json& values, const Json& over);

// One line per member with its default and allowed values, for `--help`.
std::string help_text(const Fields& fields, std::string_view prefix = {});
// The same as a Markdown table.
std::string markdown_table(const Fields& fields, std::string_view prefix = {});
// All dotted keys, in order; for shell completion and nearest names.
std::vector<std::string> dotted_keys(const Fields& fields, std::string_view prefix = {});

// --- implementation
// --------------------------------------------------------------------------------------

template <class T>
void Fields::add(std::string name, T& member, std::string help, Range range) {
  Field field{std::move(name), std::move(help), range, {}};
  if constexpr (std::is_enum_v<T>) {
    const auto& names = EnumNames<T>::names;
    field.target = Field::EnumRef{{names.begin(), names.end()},
                                  [&member] { return static_cast<int>(member); },
                                  [&member](int i) { member = static_cast<T>(i); }};
  } else if constexpr (HasFields<T>) {
    auto nested = std::make_shared<Fields>();
    member.fields(*nested);
    field.target = std::move(nested);
  } else {
    field.target = &member;
  }
  list_.push_back(std::move(field));
}

}  // namespace residua
