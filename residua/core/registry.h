#pragma once
// A registry is a table from name to component: what it is, its options, how it is made.
//
//   void add_cifar_resnets(Registry<Model>& models) {
//     models.add<ResNetCifarOptions>({.name = "resnet20", .help = "ResNet-20 for 32x32 images",
//     .paper = "resnet"},
//                                    {.n = 3}, [](const ResNetCifarOptions& o) { return
//                                    make_resnet_cifar(o); });
//   }
//
// Nothing registers itself from static initialisers: each room has one function that calls its
// families' tables.

#include <fnmatch.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "residua/core/error.h"
#include "residua/core/options.h"

namespace residua {

struct RegistryInfo {
  std::string name;
  std::string help = {};   // one line
  std::string paper = {};  // slug of papers/<slug>.toml; empty when the component is everybody's
};

// A made component may need more than its options (a parameter list, say): those are `Args`.
template <class Product, class... Args>
class Registry {
 public:
  struct Entry {
    RegistryInfo info;
    std::function<std::shared_ptr<Product>(const Json& options, const std::string& where, Args...)>
        make;
    std::function<Json(const Json& options, const std::string& where)>
        resolve;                                               // all options, defaults filled in
    std::function<std::string(std::string_view prefix)> help;  // help_text of the options
    std::function<std::vector<std::string>(std::string_view prefix)> keys;
  };

  explicit Registry(std::string kind) : kind_(std::move(kind)) {}

  // `make` takes (const Options&, Args...) and returns a std::shared_ptr to a Product.
  template <class Options, class Make>
  void add(RegistryInfo info, Options defaults, Make make) {
    const std::string name = info.name;
    Entry entry;
    entry.make = [defaults, make](const Json& options, const std::string& where, Args... args) {
      Options o = defaults;
      assign(o, options, where);
      return std::shared_ptr<Product>(make(o, std::forward<Args>(args)...));
    };
    entry.resolve = [defaults](const Json& options, const std::string& where) {
      Options o = defaults;
      assign(o, options, where);
      return options_to_json(o);
    };
    entry.help = [defaults](std::string_view prefix) {
      Options o = defaults;
      return help_text(describe(o), prefix);
    };
    entry.keys = [defaults](std::string_view prefix) {
      Options o = defaults;
      return dotted_keys(describe(o), prefix);
    };
    entry.info = std::move(info);
    if (!entries_.emplace(name, std::move(entry)).second)
      throw Error(ErrorKind::internal,
                  {.where = kind_ + " " + name, .rule = "is registered twice"});
  }

  // Throws ErrorKind::not_found with the nearest names.
  const Entry& find(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found != entries_.end()) return found->second;
    std::string hint = nearest_names_hint(name, list("*"));
    if (hint.empty()) hint = "`residua list " + kind_ + "s` shows what there is";
    throw Error(ErrorKind::not_found,
                {.where = name, .rule = "is not the name of a " + kind_, .hint = hint});
  }

  bool contains(const std::string& name) const { return entries_.count(name) > 0; }

  // Errors of options begin with `where` (default: the registry's kind), e.g. "model.width".
  std::shared_ptr<Product> create(const Component& component, Args... args) const {
    return find(component.name)
        .make(component.options_or_empty(), kind_, std::forward<Args>(args)...);
  }

  // The component with every option spelled out, as stored in checkpoints and shown by --dry-run.
  Component resolve(const Component& component) const {
    return {component.name, find(component.name).resolve(component.options_or_empty(), kind_)};
  }

  // Names that match a shell pattern such as "resnet*", sorted.
  std::vector<std::string> list(const std::string& pattern = "*") const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_)
      if (fnmatch(pattern.c_str(), name.c_str(), 0) == 0) names.push_back(name);
    return names;
  }

  const std::string& kind() const { return kind_; }

 private:
  std::string kind_;
  std::map<std::string, Entry> entries_;
};

}  // namespace residua
