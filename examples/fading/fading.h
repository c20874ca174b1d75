#pragma once
// A toy connection: later branches count for less, x <- x + rate^t f(x).

#include <cmath>

#include "residua/connections/connection.h"

struct FadingOptions {
  double rate = 0.9;
  void fields(residua::Fields& f) {
    f.add("rate", rate, "factor from one site to the next", {.min = 0, .max = 1});
  }
};

class FadingConnection final : public residua::Connection {
 public:
  explicit FadingConnection(const FadingOptions& options) : options_(options) {}

  void merge(residua::State& state, const residua::Site& site, const at::Tensor& y,
             const residua::Read&) override {
    state.x() = state.x() + y * std::pow(options_.rate, static_cast<double>(site.step));
  }
  residua::StreamDiagram describe() const override { return {.merge = "x + rate^t f(x)"}; }

 private:
  FadingOptions options_;
};

inline void add_fading_connection(
    residua::Registry<residua::Connection, residua::Carrier, residua::Random>& connections) {
  connections.add<FadingOptions>(
      {"fading", "x + rate^t f(x): later branches count for less", "fading"}, {},
      [](const FadingOptions& o, const residua::Carrier&, const residua::Random&) {
        return std::make_shared<FadingConnection>(o);
      });
}
