// What a session promises besides right numbers: memory, threads, places.
#include "residua/runtime/session.h"

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include "residua/core/error.h"
#include "residua/graph/passes/passes.h"
#include "residua/runtime/compiled_model.h"
#include "tests/runtime/plan_check.h"

namespace {
std::atomic<int64_t> allocations{0}, large_allocations{0};

void* counted(size_t size) {
  ++allocations;
  if (size >= 4096) ++large_allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

// Every allocation by C++ in this program, oneDNN's included, is counted.
void* operator new(size_t size) { return counted(size); }
void* operator new[](size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace residua {
namespace {

// A residual block with a pool, whose channels do not fill whole blocks.
Graph residual_network(int64_t channels = 18) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 3, 12, 10}, {{"batch"}, {}, {}, {}});
  const op::Conv wide{.padding = {1, 1, 1, 1}, .activation = {UnaryKind::relu}};
  const ValueId stem = b.add(wide, {x, random_constant(b, {channels, 3, 3, 3}, 1)});
  ValueId y = b.add(op::Pool{}, {stem});
  for (uint64_t i = 0; i < 3; ++i) {
    const ValueId inner = b.add(wide, {y, random_constant(b, {channels, channels, 3, 3}, 10 + i)});
    y = b.add(wide, {inner, random_constant(b, {channels, channels, 3, 3}, 20 + i),
                     random_constant(b, {channels}, 30 + i), y});
  }
  const ValueId pooled = b.add(op::AdaptivePool{}, {y});
  const ValueId flat = b.add(op::Reshape{.sizes = {1, channels}}, {pooled});
  b.graph().nodes.back().rules.push_back({"sizes", 0, {"batch"}});
  b.output("scores", b.add(op::Linear{}, {flat, random_constant(b, {7, channels}, 40)}));
  return b.finish();
}

// Each block reads all that came before it, as in DenseNet.
Graph dense_network(int64_t batch) {
  GraphBuilder b;
  std::vector<ValueId> parts{b.input("x", DType::f32, {batch, 16, 6, 5})};
  parts[0] = b.add(op::Conv{}, {parts[0], random_constant(b, {16, 16, 1, 1}, 1)});
  for (uint64_t i = 0; i < 3; ++i) {
    const ValueId all = parts.size() == 1 ? parts[0] : b.add(op::Concat{.axis = 1}, parts);
    const ValueId active = b.add(op::Unary{{UnaryKind::cos}}, {all});  // applied twice it shows
    parts.push_back(
        b.add(op::Conv{.padding = {1, 1, 1, 1}},
              {active, random_constant(b, {16, b.graph().shape(all)[1], 3, 3}, 2 + i)}));
  }
  b.output("y", b.add(op::Unary{{UnaryKind::cos}}, {b.add(op::Concat{.axis = 1}, parts)}));
  return b.finish();
}

TEST(Session, ResidualNetwork) {
  for (const int64_t channels : {16, 18}) {
    const Graph graph = residual_network(channels);
    EXPECT_LE(plan_error(graph), kFp32) << kernels_of(graph);
    EXPECT_LE(plan_error(graph, {.dtype = PlanDType::bf16}), 0.03);
    EXPECT_EQ(kernels_of(graph).find("memcpy"), std::string::npos) << kernels_of(graph);
  }
}

TEST(Session, DenseNetwork) {
  for (const int64_t batch : {1, 2}) {
    const Graph graph = dense_network(batch);
    EXPECT_LE(plan_error(graph), kFp32) << kernels_of(graph);
    EXPECT_LE(plan_error(graph, {.dtype = PlanDType::bf16}), 0.03);
  }
}

// What is added is what is multiplied: it must not be written over while it is read.
TEST(Session, SummandThatIsTheInput) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 16, 7, 5});
  const ValueId w = random_constant(b, {16, 16, 1, 1}, 1);
  ValueId y = b.add(op::Conv{}, {x, w});
  y = b.add(op::Conv{}, {y, w, kNoValue, y});
  ValueId rows = b.add(op::Reshape{.sizes = {35, 16}}, {y});
  rows = b.add(op::Unary{{UnaryKind::tanh}}, {rows});
  b.output("y", b.add(op::Linear{}, {rows, random_constant(b, {16, 16}, 2), kNoValue, rows}));
  const Graph graph = b.finish();
  EXPECT_LE(plan_error(graph), kFp32) << kernels_of(graph);
}

// As it is traced: norms, functions and sums by themselves.
TEST(Session, OptimisedGraph) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 3, 10, 9});
  uint64_t seed = 1;
  const auto conv_norm = [&](ValueId v, int64_t out) {
    const Shape weight{out, b.graph().shape(v)[1], 3, 3};
    const ValueId y =
        b.add(op::Conv{.padding = {1, 1, 1, 1}}, {v, random_constant(b, weight, seed++)});
    const ValueId variance =
        b.constant("variance", {out}, std::vector<float>(static_cast<size_t>(out), 0.5f));
    return b.add(op::BatchNorm{}, {y, random_constant(b, {out}, seed++), variance,
                                   random_constant(b, {out}, seed++)});
  };
  const auto relu = [&](ValueId v) { return b.add(op::Unary{{UnaryKind::relu}}, {v}); };
  const ValueId stem = relu(conv_norm(x, 18));
  const ValueId inner = conv_norm(relu(conv_norm(stem, 18)), 18);
  b.output("y", relu(b.add(op::Binary{}, {inner, stem})));
  Graph graph = b.finish();
  const auto inputs = random_inputs(graph, 3);
  const auto expected = interpret(graph, inputs);
  optimise(graph);
  Session session(std::make_shared<const Plan>(graph));
  EXPECT_LE(relative_error(expected[0], run_plan(session, inputs)[0]), kFp32);
  EXPECT_EQ(kernels_of(graph).find("batch_norm"), std::string::npos) << kernels_of(graph);
  EXPECT_EQ(kernels_of(graph).find("binary"), std::string::npos) << kernels_of(graph);
}

// An output that is an input, a constant, another output, or written over by nothing later.
TEST(Session, OutputsOfEveryKind) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {2, 3});
  const ValueId c = random_constant(b, {4}, 1);
  const ValueId y = b.add(op::Unary{{UnaryKind::exp}}, {x});
  const ValueId z = b.add(op::Unary{{UnaryKind::relu}}, {y});
  b.output("same", x);
  b.output("constant", c);
  b.output("y", y);
  b.output("z", z);
  b.output("view", b.add(op::Reshape{.sizes = {3, 2}}, {z}));
  EXPECT_LE(plan_error(b.finish()), kFp32);
}

// oneDNN keeps its lists of arguments in small maps that live for one call; nothing grows, and
// nothing as large as a value is allocated. Our own kernels allocate nothing.
TEST(Session, AllocatesNothingAfterTheFirstRun) {
  const auto count = [](const Graph& graph, int64_t& large) {
    Session session(std::make_shared<const Plan>(graph, PlanOptions{.threads = 1}));
    const auto inputs = random_inputs(graph, 1);
    std::vector<ConstantData> bytes;
    std::vector<const void*> in;
    for (const Numbers& n : inputs) {
      bytes.push_back(write_numbers(n));
      in.push_back(bytes.back().bytes.data());
    }
    std::vector<float> out(static_cast<size_t>(count_of(graph.shape(graph.outputs[0]))));
    std::vector<void*> to{out.data()};
    session.run(in, to);
    const int64_t before = allocations, large_before = large_allocations;
    session.run(in, to);
    large = large_allocations - large_before;
    return allocations - before;
  };
  int64_t large = 0;
  GraphBuilder b;
  ValueId x = b.input("x", DType::f32, {4, 6, 40});
  x = b.add(op::LayerNorm{}, {x, random_constant(b, {40}, 1)});
  x = b.add(op::Softmax{}, {b.add(op::Transpose{.order = {0, 2, 1}}, {x})});
  const ValueId heads = b.add(op::Reshape{.sizes = {4, 2, 20, 6}}, {x});
  x = b.add(op::Attention{}, {heads, heads, heads});
  b.output("y", b.add(op::Binary{}, {b.add(op::Unary{{UnaryKind::gelu}}, {x}), heads}));
  EXPECT_EQ(count(b.finish(), large), 0);
  const Graph network = residual_network();
  const int64_t layers = static_cast<int64_t>(Plan(network).layers().size());
  EXPECT_LE(count(network, large), 16 * layers);
  EXPECT_EQ(large, 0);
}

TEST(Session, ValuesShareMemory) {
  const Plan plan(residual_network(64));
  // Twelve values of 12 x 10 or 6 x 5 places; never more than the stem and its pool live at once.
  EXPECT_LT(plan.memory_bytes(), 64 * (12 * 10 + 2 * 6 * 5) * 4 + (1 << 20));
}

// The plan has the weights in the kernels' order; the graph's own go with the graph.
TEST(Session, PlansKeepNoSecondCopyOfWeights) {
  std::weak_ptr<const void> weights;
  std::shared_ptr<const Plan> plan;
  {
    GraphBuilder b;
    const ValueId x = b.input("x", DType::f32, {1, 16, 6, 6});
    const ValueId w = random_constant(b, {32, 16, 3, 3}, 1);
    b.output("y", b.add(op::Conv{.padding = {1, 1, 1, 1}}, {x, w}));
    const Graph graph = b.finish();
    weights = graph.value(w).constant->owner;
    plan = std::make_shared<const Plan>(graph);
  }
  EXPECT_TRUE(weights.expired());
  Session session(plan);
  const std::vector<float> image(16 * 36, 1.0f);
  std::vector<float> result(32 * 36, -1.0f);
  const void* const in[] = {image.data()};
  void* const out[] = {result.data()};
  session.run(in, out);
  EXPECT_NE(result[0], -1.0f);
}

TEST(Session, ManyAtOnce) {
  const Graph graph = residual_network();
  const auto plan = std::make_shared<const Plan>(graph, PlanOptions{.threads = 1});
  std::vector<double> errors(4, 1);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < errors.size(); ++t)
    threads.emplace_back([&, t] {
      Session session(plan);
      double error = 0;
      for (uint64_t i = 0; i < 5; ++i) {
        const auto inputs = random_inputs(graph, 10 * t + i);
        error = std::max(error,
                         relative_error(interpret(graph, inputs)[0], run_plan(session, inputs)[0]));
      }
      errors[t] = error;
    });
  for (auto& thread : threads) thread.join();
  for (const double error : errors) EXPECT_LE(error, kFp32);
}

TEST(Session, RefusesOtherPointers) {
  const Graph graph = residual_network();
  Session session(std::make_shared<const Plan>(graph));
  float x[360] = {}, y[7] = {};
  const void *in[] = {x}, *none[] = {nullptr};
  void *out[] = {y}, *nowhere[] = {nullptr};
  EXPECT_THROW(session.run({}, out), Error);
  EXPECT_THROW(session.run(in, {}), Error);
  EXPECT_THROW(session.run(none, out), Error);
  EXPECT_THROW(session.run(in, nowhere), Error);
  session.run(in, out);
}

TEST(Session, SeveralThreadsGiveTheSame) {
  const Graph graph = residual_network();
  EXPECT_LE(plan_error(graph, {.threads = 3}), kFp32);
}

TEST(CompiledModel, MakesAPlanForEachSize) {
  CompiledModel model(residual_network(), {}, 2);
  for (const int64_t batch : {1, 3, 2, 3}) {
    const Graph graph = with_sizes(model.graph(), {{"batch", batch}});
    const auto inputs = random_inputs(graph, 5);
    const ConstantData bytes = write_numbers(inputs[0]);
    const auto outputs = model.run(std::vector<TensorData>{
        {{"x", DType::f32, inputs[0].type.shape}, bytes.owner, bytes.bytes}});
    ASSERT_EQ(outputs.size(), 1u);
    EXPECT_EQ(outputs[0].info.shape, (Shape{batch, 7}));
    EXPECT_LE(relative_error(
                  interpret(graph, inputs)[0],
                  read_numbers({DType::f32, outputs[0].info.shape}, {nullptr, outputs[0].bytes})),
              kFp32);
    EXPECT_LE(model.plans(), 2u);
  }
  EXPECT_THROW(model.plan_for(std::vector<Shape>{{1, 3, 12, 11}}), Error);
  EXPECT_THROW(model.plan_for(std::vector<Shape>{{1, 3, 12}}), Error);
}

}  // namespace
}  // namespace residua
