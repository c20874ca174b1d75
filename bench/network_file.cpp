// network_file NETWORK FILE [key=value...]: writes a network of networks.h as an ONNX model (.onnx)
// or a graph file (any other name). batch=N; optimised=true, as a program would keep it that has to
// start fast; integers=true quantizes it.
#include <fmt/format.h>

#include "bench/networks.h"
#include "residua/graph/graph_file.h"
#include "residua/graph/onnx/onnx.h"
#include "residua/graph/passes/passes.h"

namespace {

struct Settings {
  int64_t batch = 1;
  bool optimised = false, integers = false;
  void fields(residua::Fields& f) {
    f.add("batch", batch, "images at a time", {.min = 1});
    f.add("optimised", optimised, "after the passes");
    f.add("integers", integers, "in eight bits, calibrated on random images");
  }
};

void write(int argc, char** argv) {
  residua::Json values = residua::Json::object();
  for (int i = 3; i < argc; ++i) residua::merge_key_value(values, argv[i]);
  Settings settings;
  residua::assign(settings, values, "settings");
  residua::Graph graph = residua::bench::load_network(argv[1], settings.batch);
  if (settings.optimised || settings.integers) residua::optimise(graph);
  if (settings.integers) graph = residua::bench::integer_network(graph);
  const std::string path = argv[2];
  if (path.ends_with(".onnx"))
    residua::write_onnx(graph, path);
  else
    residua::write_graph(path, graph);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc > 2) return write(argc, argv), 0;
    fmt::print(stderr, "network_file NETWORK FILE [key=value...]\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "network_file: {}\n", error.what());
  }
  return 2;
}
