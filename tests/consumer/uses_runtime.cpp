#include <residua/core/error.h>
#include <residua/core/options.h>
#include <residua/core/random.h>

#include <iostream>

struct Settings {
  double lr = 0.1;
  void fields(residua::Fields& f) {
    f.add("lr", lr, "learning rate", {.min = 0, .open_min = true});
  }
};

int main() {
  Settings settings;
  residua::assign(settings, residua::parse_toml("lr = 0.5", "here"));
  try {
    residua::assign(settings, residua::parse_toml("rl = 0.5", "here"));
  } catch (const residua::Error& error) {
    std::cout << error.what() << '\n';
  }
  return settings.lr == 0.5 && residua::Random(1).uniform() < 1 ? 0 : 1;
}
