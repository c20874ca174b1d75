// How the commands that compile and export are described.

#include <fmt/format.h>

#include "app/command_parts.h"
#include "app/commands_networks.h"

namespace residua::app {

namespace {

void add_network(CLI::App* c, NetworkArguments& a) {
  c->add_option("NETWORK", a.what,
                "the name of a model, a run or checkpoint folder, or a file: plan, graph or ONNX")
      ->type_name("NETWORK")
      ->required();
  c->add_option("SETTINGS", a.overrides,
                "options of the model, and data=NAME, which says how its images are prepared")
      ->type_name("[key=value]...");
  c->add_option("--weights", a.weights,
                "of a named model: a run, a checkpoint or a file (.safetensors, .pth, .th)")
      ->type_name("PATH");
  in_range(c->add_option("--batch", a.batch, "images or sequences at once; others are served too"),
           1, 65536)
      ->type_name("N")
      ->capture_default_str();
  in_range(c->add_option("--input", a.input,
                         "height and width of the images, or length of the sequences"),
           1, 65536)
      ->type_name("H W|T")
      ->expected(1, 2);
  c->add_flag("--fixed-batch", a.fixed_batch,
              "serve this batch only, as networks need that compute otherwise for another one");
  c->add_flag("--dynamic-size", a.dynamic_size,
              "serve every height and width, or every number of tokens");
}

void add_samples(CLI::App* c, CompileArguments& a) {
  c->add_option("--images", a.samples.images,
                "images, or folders of them, to calibrate and compare on; without it the training "
                "data of the checkpoint")
      ->type_name("PATH");
  in_range(c->add_option("--samples", a.samples.count, "how many of them"), 1, 1000000)
      ->type_name("N")
      ->capture_default_str();
  one_of(c->add_option("--calibration", a.calibration,
                       "how the range of eight bits is found: the largest number, a percentile, "
                       "or the least loss of information"),
         {"min_max", "percentile", "entropy"})
      ->capture_default_str();
  c->add_option("--percentile", a.quantize.percentile, "for --calibration percentile")
      ->type_name("X")
      ->check(CLI::Range(50.0, 100.0).description(""))
      ->capture_default_str();
  c->add_flag("--no-bias-correction", a.no_bias_correction,
              "keep what rounding the weights adds on average");
  c->add_option("--keep", a.quantize.keep, "names of layers that stay in real numbers")
      ->type_name("LAYER");
  c->add_flag("--force", a.force, "write int8 also where it is slower or decides otherwise");
}

void add_plan(CLI::App* c, CompileArguments& a) {
  c->add_option("-o,--out", a.out, "the file to write; without it the network's name, .plan")
      ->type_name("FILE");
  c->add_flag("--winograd", a.winograd,
              "allow Winograd's convolutions, which are faster and round more");
  c->add_flag("--fused-blocks", a.fused_blocks, "run inverted-residual blocks by one kernel each");
  c->add_flag("--fixed-kernels", a.fixed_kernels,
              "choose kernels by rule, not by measuring them when the plan is opened");
  in_range(c->add_option("--threads", a.threads, "for measuring; 0: all processors"), 0, 1024)
      ->type_name("N")
      ->capture_default_str();
  add_json(c, a.json);
}

}  // namespace

void add_network_commands(CLI::App& app, CompileArguments& compile, CompileArguments& quantize,
                          ExportArguments& exports) {
  auto* c = add_command(app, "compile",
                        "make a plan of a network, which runs on this processor without libtorch",
                        "residua compile resnet18 --weights resnet18.pth -o resnet18.plan\n"
                        "residua compile runs/digits --dtype auto\n"
                        "residua compile model.onnx --dtype int8 --images photos");
  add_network(c, compile.network);
  one_of(c->add_option("--dtype", compile.dtype,
                       "type of the numbers; auto: the fastest that keeps the decisions"),
         {"fp32", "bf16", "int8", "auto"})
      ->capture_default_str();
  add_samples(c, compile);
  add_plan(c, compile);
  quantize.dtype = "int8";
  auto* q = add_command(app, "quantize",
                        "make a plan in eight-bit integers, and say what that costs and gains",
                        "residua quantize runs/digits\n"
                        "residua quantize resnet50.onnx --images photos --calibration entropy");
  add_network(q, quantize.network);
  add_samples(q, quantize);
  add_plan(q, quantize);
  auto* e = add_command(app, "export", "write a network for other programs",
                        "residua export resnet50 --weights resnet50.pth --onnx resnet50.onnx\n"
                        "residua export runs/digits --torchscript digits.pt");
  add_network(e, exports.network);
  e->add_option("--onnx", exports.onnx, "ONNX file to write")->type_name("FILE");
  e->add_option("--torchscript", exports.torchscript, "TorchScript file to write")
      ->type_name("FILE");
  e->add_option("--graph", exports.graph, "graph file of residua to write")->type_name("FILE");
  add_json(e, exports.json);
}

}  // namespace residua::app
