#include <fmt/format.h>

#include <optional>

#include "residua/connections/connection.h"
#include "residua/core/error.h"
#include "residua/recipes/experiment.h"
#include "residua/recipes/gallery.h"

namespace residua {

namespace {

// Made up: a connection's description does not depend on how large its network is.
Carrier small_carrier(CarrierKind kind) {
  Carrier carrier{.kind = kind};
  for (int64_t i = 0; i < 8; ++i) {
    const bool tokens = kind == CarrierKind::vit || kind == CarrierKind::gpt;
    Site site{.branch = i, .block = tokens ? i / 2 : i, .sublayer = tokens ? i % 2 : 0};
    site.kind = kind == CarrierKind::cnn       ? SiteKind::conv
                : tokens && site.sublayer == 0 ? SiteKind::attention
                                               : SiteKind::mlp;
    site.c_in = site.c_out = 16;
    carrier.sites.push_back(site);
  }
  carrier.sites = numbered(std::move(carrier.sites));
  return carrier;
}

// Of the first kind of network that the connection rides.
std::optional<StreamDiagram> diagram_of(const Component& connection) {
  for (const CarrierKind kind :
       {CarrierKind::mlp, CarrierKind::cnn, CarrierKind::vit, CarrierKind::gpt}) {
    try {
      return connections().create(connection, small_carrier(kind), Random(0))->describe();
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::internal) throw;
    }
  }
  return std::nullopt;
}

std::string title_of(const Component& connection) {
  const Json given = connection.options_or_empty();
  std::string options;
  for (const auto& [key, value] : given.items())
    options += fmt::format("{}{} = {}", options.empty() ? "" : ", ", key, json_text(value));
  return options.empty() ? connection.name : fmt::format("{} ({})", connection.name, options);
}

// As the job names it, without the options that it leaves alone.
std::optional<Component> connection_of(const RecipeJob& job) {
  const Json settings = job.settings(job.runs_at(Scale::small) ? Scale::small : job.scales.front());
  if (job.kind != JobKind::train || !settings.contains("model") ||
      !settings.at("model").is_object() || !settings.at("model").contains("connection"))
    return std::nullopt;
  struct {
    Component connection;
    void fields(Fields& f) { f.add("connection", connection, ""); }
  } part;
  assign(part, {{"connection", settings.at("model").at("connection")}});
  return part.connection;
}

}  // namespace

Json connection_diagrams(const Recipe& recipe) {
  std::vector<Component> connections;
  for (const RecipeJob& job : recipe.jobs)
    if (std::optional<Component> one = connection_of(job)) connections.push_back(std::move(*one));
  for (const std::string& component : recipe.components)
    if (component.starts_with("connection/")) connections.emplace_back(component.substr(11));
  Json list = Json::array();
  const auto drawn = [&](const Json& diagram) {
    for (Json other : list) {
      other["title"] = diagram.at("title");
      if (other == diagram) return true;
    }
    return false;
  };
  for (const Component& connection : connections) {
    const std::optional<StreamDiagram> d = diagram_of(connection);
    if (!d) continue;
    Json json{{"title", title_of(connection)},
              {"streams", d->streams},
              {"begin", d->begin},
              {"read", d->read},
              {"merge", d->merge},
              {"finish", d->finish}};
    if (!drawn(json)) list.push_back(std::move(json));
  }
  return list;
}

}  // namespace residua
