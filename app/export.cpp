// `residua export`: a network for other programs.

#include <fmt/format.h>

#include "app/commands_library.h"
#include "app/commands_networks.h"
#include "residua/core/error.h"
#include "residua/graph/graph_file.h"
#include "residua/graph/onnx/onnx.h"
#include "residua/graph/passes/passes.h"

namespace residua::app {

int export_network(const ExportArguments& a) {
  if (a.onnx.empty() && a.torchscript.empty() && a.graph.empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = "export",
                 .rule = "needs a file to write",
                 .expected = "--onnx FILE, --torchscript FILE or --graph FILE"});
  ModelFile file = open_network(a.network).file;
  remove_identities(file.graph);
  fold_constants(file.graph);
  remove_dead(file.graph);
  Json written = Json::array();
  const auto report = [&](const char* form, const std::string& path) {
    written.push_back({{"form", form}, {"file", path}});
    if (!a.json) fmt::print("{}: {}\n", path, form);
  };
  if (!a.onnx.empty()) {
    write_onnx(file.graph, a.onnx);
    report(fmt::format("ONNX, opset {}", kOnnxOpset).c_str(), a.onnx);
  }
  if (!a.torchscript.empty()) {
    commands_library().torchscript(file.graph, a.torchscript);
    report("TorchScript", a.torchscript);
  }
  if (!a.graph.empty()) {
    write_graph(a.graph, file.graph);
    report("graph", a.graph);
  }
  if (a.json) fmt::print("{}\n", written.dump(1));
  return 0;
}

}  // namespace residua::app
