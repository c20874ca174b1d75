// Writes a graph, then compiles and runs it through the C interface.
#include <residua/graph/graph_file.h>
#include <residua/runtime/residua.hpp>

#include <cstdio>
#include <iostream>

int main() {
  const char* path = "uses_plan.residua";
  residua::GraphBuilder b;
  const auto x = b.input("x", residua::DType::f32, {1, 2});
  const auto w = b.constant("w", {3, 2}, {1, 2, 3, 4, 5, 6});
  b.output("y", b.add(residua::op::Linear{{residua::UnaryKind::relu}}, {x, w}));
  residua::write_graph(path, b.finish());

  if (residua_c_version() != RESIDUA_C_VERSION) return 1;
  const residua::runtime::Model model(path, "threads=1");
  residua::runtime::Session session(model);
  const float in[] = {3, -1};
  float out[3] = {};
  session.run({in}, {out});
  std::remove(path);
  std::cout << model.inputs()[0].name << " -> " << out[0] << ' ' << out[1] << ' ' << out[2] << '\n';
  try {
    residua::runtime::Model missing("missing.residua");
    return 1;
  } catch (const residua::runtime::Failure& failure) {
    if (failure.status() != RESIDUA_NOT_FOUND) return 1;
    std::cout << failure.what() << '\n';
  }
  return out[0] == 1 && out[1] == 5 && out[2] == 9 ? 0 : 1;
}
