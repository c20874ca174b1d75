// The commands that need no libtorch: run and bench.

#include <fmt/format.h>

#include "app/command_parts.h"

namespace residua::app {

namespace {

void add_threads(CLI::App* command, int64_t& threads) {
  in_range(
      command->add_option("--threads", threads, "that compute; 0: as many as this process may use"),
      0, 4096)
      ->type_name("N")
      ->capture_default_str();
}

void add_run(CLI::App& app, RunArguments& a, std::vector<std::string>& words, int64_t& threads) {
  auto* c = add_command(app, "run", "run a plan, a graph or an ONNX model on images or tensors",
                        "residua run resnet50.plan cat.jpg dog.png\n"
                        "residua run model.onnx input.npz --out outputs.npz --time");
  c->add_option("MODEL", a.model, "a plan, a graph or an ONNX file")->type_name("FILE")->required();
  c->add_option("INPUT", words,
                "JPEG or PNG images; or .npy, .npz or .safetensors files, each with the inputs of "
                "one run; and settings that override the file's")
      ->type_name("INPUT... [key=value]...");
  in_range(c->add_option("--batch", a.batch,
                         "images at once; 0: as many as the model takes, or up to 8"),
           0, 65536)
      ->type_name("N")
      ->capture_default_str();
  add_threads(c, threads);
  in_range(c->add_option("--top-k", a.top_k, "how many classes to print for each image"), 1,
           1000000)
      ->type_name("N")
      ->capture_default_str();
  c->add_option("--out", a.out, "write the outputs, those of all inputs one behind the other")
      ->type_name("FILE.npz");
  c->add_flag("--time", a.time, "print how long opening, compiling and running took");
  add_json(c, a.json);
}

void add_bench(CLI::App& app, BenchArguments& a) {
  auto* c = add_command(app, "bench",
                        "measure how long models take, layer by layer, against what the processor "
                        "can do",
                        "residua bench resnet18 resnet50 --layers\n"
                        "residua bench resnet50.plan --dtype fp32,bf16 --batch 1,8\n"
                        "residua bench a.onnx b.onnx --threads 2 --report bench.html");
  c->add_option("NETWORK", a.models,
                "plan, graph or ONNX files, checkpoints, or names of models; measured in turns")
      ->type_name("NETWORK...")
      ->required();
  c->add_option("--dtype", a.dtypes, "types of real numbers, each a variant; the file's own")
      ->type_name("fp32|bf16")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>{"fp32", "bf16"}).description(""));
  c->add_option("--batch", a.batches, "items at once, each a variant; the model's own")
      ->type_name("N,...")
      ->delimiter(',')
      ->check(CLI::Range(1, 65536).description(""));
  add_threads(c, a.threads);
  in_range(c->add_option("--warmup", a.warmup, "runs that are not counted"), 0, 1000000)
      ->type_name("N")
      ->capture_default_str();
  in_range(c->add_option("--repeat", a.repeat, "runs of each variant"), 1, 1000000)
      ->type_name("N")
      ->capture_default_str();
  one_of(c->add_option("--kernels", a.kernels,
                       "how kernels are chosen: by a fixed rule, or by measured time"),
         {"fixed", "measured"});
  c->add_flag("--winograd", a.winograd, "allow Winograd's convolutions, which are less exact");
  c->add_flag("--fused-blocks", a.fused_blocks, "run inverted-residual blocks by one kernel");
  c->add_flag("--layers", a.layers, "print all layers, not only those that take the most time");
  c->add_option("--report", a.report, "write a page with the waterline of the layers")
      ->type_name("FILE.html");
  add_json(c, a.json);
}

}  // namespace

void add_runtime_commands(CLI::App& app, Invocation& asked, std::vector<std::string>& words) {
  add_run(app, asked.run, words, asked.run_threads);
  add_bench(app, asked.bench);
}

}  // namespace residua::app
