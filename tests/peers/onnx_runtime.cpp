#include "tests/peers/onnx_runtime.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace residua::peers {

namespace {

// The C interface is a table of functions that only grows at its end, so that the places of the few
// that are used here hold for every version from 1.8 on.
enum Entry : size_t {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetGraphOptimizationLevel = 23,
  kSetIntraOpNumThreads = 24,
  kSessionGetInputCount = 30,
  kSessionGetOutputCount = 31,
  kSessionGetInputTypeInfo = 33,
  kSessionGetInputName = 36,
  kSessionGetOutputName = 37,
  kCreateTensorWithData = 49,
  kGetTensorMutableData = 51,
  kCastTypeInfoToTensorInfo = 55,
  kGetTensorElementType = 60,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetSymbolicDimensions = 63,
  kGetTensorTypeAndShape = 65,
  kCreateCpuMemoryInfo = 69,
  kGetDefaultAllocator = 78,
  kReleaseEnv = 92,
  kReleaseStatus = 93,
  kReleaseMemoryInfo = 94,
  kReleaseSession = 95,
  kReleaseValue = 96,
  kReleaseTypeInfo = 98,
  kReleaseTensorInfo = 99,
  kReleaseSessionOptions = 100
};

constexpr uint32_t kInterfaceVersion = 8;
constexpr int kWarnings = 2, kAllOptimisations = 99, kNoOptimisation = 0;
constexpr int kDeviceAllocator = 0, kDefaultMemory = 0;

using Handle = void*;

struct InterfaceBase {
  const Handle* (*get_table)(uint32_t version);
  const char* (*get_version)();
};

const InterfaceBase& base() {
  static const InterfaceBase* const found = [] {
    const auto path = OnnxRuntime::library();
    if (!path) throw std::runtime_error("ONNX Runtime is not installed");
    void* library = ::dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(::dlerror());
    const auto get =
        reinterpret_cast<const InterfaceBase* (*)()>(::dlsym(library, "OrtGetApiBase"));
    if (get == nullptr) throw std::runtime_error(*path + " is not ONNX Runtime");
    return get();
  }();
  return *found;
}

const Handle* table() {
  static const Handle* const found = base().get_table(kInterfaceVersion);
  if (found == nullptr) throw std::runtime_error("ONNX Runtime lacks the interface of version 1.8");
  return found;
}

template <class Result, class... Arguments>
Result call(Entry entry, Arguments... arguments) {
  return reinterpret_cast<Result (*)(Arguments...)>(table()[entry])(arguments...);
}

// An entry that gives null or a status.
template <class... Arguments>
void check(Entry entry, Arguments... arguments) {
  const Handle status = call<Handle>(entry, arguments...);
  if (status == nullptr) return;
  const std::string message = call<const char*>(kGetErrorMessage, static_cast<const void*>(status));
  call<void>(kReleaseStatus, status);
  throw std::runtime_error(message);
}

constexpr std::pair<DType, int> kTypes[] = {
    {DType::f32, 1},  {DType::u8, 2},   {DType::i8, 3},      {DType::u16, 4},  {DType::i16, 5},
    {DType::i32, 6},  {DType::i64, 7},  {DType::boolean, 9}, {DType::f16, 10}, {DType::f64, 11},
    {DType::u32, 12}, {DType::u64, 13}, {DType::bf16, 16}};

int type_number(DType dtype) {
  for (const auto& [ours, number] : kTypes)
    if (ours == dtype) return number;
  throw std::runtime_error("an element type that ONNX Runtime does not have");
}

DType type_of_number(int number) {
  for (const auto& [ours, known] : kTypes)
    if (known == number) return ours;
  throw std::runtime_error("ONNX Runtime gives an unknown element type");
}

std::pair<DType, Shape> read_type(const Handle info) {
  int type = 0;
  size_t rank = 0;
  check(kGetTensorElementType, static_cast<const void*>(info), &type);
  check(kGetDimensionsCount, static_cast<const void*>(info), &rank);
  Shape shape(rank);
  check(kGetDimensions, static_cast<const void*>(info), shape.data(), rank);
  return {type_of_number(type), shape};
}

}  // namespace

struct OnnxRuntime::Handles {
  Handle env = nullptr, options = nullptr, session = nullptr, memory = nullptr;
  ~Handles() {
    if (session != nullptr) call<void>(kReleaseSession, session);
    if (options != nullptr) call<void>(kReleaseSessionOptions, options);
    if (memory != nullptr) call<void>(kReleaseMemoryInfo, memory);
    if (env != nullptr) call<void>(kReleaseEnv, env);
  }
};

std::optional<std::string> OnnxRuntime::library() {
  const char* given = std::getenv("RESIDUA_ONNXRUNTIME");
  const std::string path = given != nullptr ? given
                                            : RESIDUA_SOURCE_DIR
                               "/tests/peers/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/"
                               "libonnxruntime.so.1";
  return std::filesystem::exists(path) ? std::optional(path) : std::nullopt;
}

std::string OnnxRuntime::version() { return base().get_version(); }

OnnxRuntime::OnnxRuntime(const std::string& model, const OnnxRuntimeOptions& options)
    : handles_(std::make_unique<Handles>()) {
  Handles& h = *handles_;
  check(kCreateEnv, kWarnings, "residua", &h.env);
  check(kCreateSessionOptions, &h.options);
  check(kSetIntraOpNumThreads, h.options, options.threads);
  check(kSetGraphOptimizationLevel, h.options,
        options.optimise ? kAllOptimisations : kNoOptimisation);
  check(kCreateSession, static_cast<const void*>(h.env), model.c_str(),
        static_cast<const void*>(h.options), &h.session);
  check(kCreateCpuMemoryInfo, kDeviceAllocator, kDefaultMemory, &h.memory);
  Handle allocator = nullptr;
  check(kGetDefaultAllocator, &allocator);
  size_t count = 0;
  char* name = nullptr;  // stays allocated: a few bytes for each model
  check(kSessionGetInputCount, static_cast<const void*>(h.session), &count);
  for (size_t i = 0; i < count; ++i) {
    check(kSessionGetInputName, static_cast<const void*>(h.session), i, allocator, &name);
    Handle type = nullptr;
    const void* tensor = nullptr;
    check(kSessionGetInputTypeInfo, static_cast<const void*>(h.session), i, &type);
    check(kCastTypeInfoToTensorInfo, static_cast<const void*>(type), &tensor);
    auto [dtype, shape] = read_type(const_cast<Handle>(tensor));
    std::vector<const char*> symbols(shape.size());
    check(kGetSymbolicDimensions, tensor, symbols.data(), symbols.size());
    inputs_.push_back({name, dtype, shape, {symbols.begin(), symbols.end()}});
    call<void>(kReleaseTypeInfo, type);
  }
  check(kSessionGetOutputCount, static_cast<const void*>(h.session), &count);
  for (size_t i = 0; i < count; ++i) {
    check(kSessionGetOutputName, static_cast<const void*>(h.session), i, allocator, &name);
    outputs_.emplace_back(name);
  }
}

OnnxRuntime::~OnnxRuntime() = default;

namespace {

// Values that are released at the end.
struct Values {
  std::vector<Handle> list;
  ~Values() {
    for (const Handle value : list)
      if (value != nullptr) call<void>(kReleaseValue, value);
  }
};

template <class Names>
std::vector<const char*> pointers(const Names& names) {
  std::vector<const char*> result;
  for (const auto& name : names) result.push_back(name.c_str());
  return result;
}

void run_session(Handle session, Handle memory, const std::vector<std::string>& input_names,
                 const std::vector<PeerTensor>& tensors, const std::vector<std::string>& outputs,
                 Values& results) {
  Values values;
  for (const PeerTensor& tensor : tensors) {
    Handle value = nullptr;
    check(kCreateTensorWithData, static_cast<const void*>(memory),
          static_cast<void*>(const_cast<std::byte*>(tensor.bytes.data())), tensor.bytes.size(),
          tensor.shape.data(), tensor.shape.size(), type_number(tensor.dtype), &value);
    values.list.push_back(value);
  }
  const auto in = pointers(input_names), out = pointers(outputs);
  results.list.assign(outputs.size(), nullptr);
  check(kRun, session, static_cast<const void*>(nullptr), in.data(),
        static_cast<const Handle*>(values.list.data()), values.list.size(), out.data(), out.size(),
        results.list.data());
}

std::vector<std::string> names_of(const std::vector<PeerInput>& inputs) {
  std::vector<std::string> names;
  for (const PeerInput& input : inputs) names.push_back(input.name);
  return names;
}

}  // namespace

std::vector<PeerTensor> OnnxRuntime::run(const std::vector<PeerTensor>& inputs) {
  Values results;
  run_session(handles_->session, handles_->memory, names_of(inputs_), inputs, outputs_, results);
  std::vector<PeerTensor> tensors;
  for (const Handle value : results.list) {
    Handle info = nullptr;
    void* data = nullptr;
    check(kGetTensorTypeAndShape, static_cast<const void*>(value), &info);
    const auto [dtype, shape] = read_type(info);
    call<void>(kReleaseTensorInfo, info);
    check(kGetTensorMutableData, value, &data);
    PeerTensor tensor{dtype, shape, {}};
    tensor.bytes.resize(static_cast<size_t>(checked_bytes(shape, dtype, "output")));
    std::memcpy(tensor.bytes.data(), data, tensor.bytes.size());
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void OnnxRuntime::run_only(const std::vector<PeerTensor>& inputs) {
  Values results;
  run_session(handles_->session, handles_->memory, names_of(inputs_), inputs, outputs_, results);
}

}  // namespace residua::peers
