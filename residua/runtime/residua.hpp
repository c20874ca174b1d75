#pragma once
// The C interface (residua.h) for C++: handles that free themselves, failures as exceptions. Only a
// header, so it may be compiled by another compiler than the library.
//
//   residua::runtime::Model model("resnet50.plan", "threads=2");
//   residua::runtime::Session session(model);
//   session.run({image.data()}, {scores.data()});

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "residua/runtime/residua.h"

namespace residua::runtime {

class Failure : public std::runtime_error {
 public:
  explicit Failure(residua_status status)
      : std::runtime_error(residua_last_error()), status_(status) {}
  residua_status status() const { return status_; }

 private:
  residua_status status_;
};

inline void check(residua_status status) {
  if (status != RESIDUA_OK) throw Failure(status);
}

struct TensorInfo {
  std::string name;
  std::string type;  // as in safetensors, "F32"
  std::vector<int64_t> sizes;
};

template <class Handle, class Describe>
std::vector<TensorInfo> describe_all(const Handle* handle, size_t count, Describe describe) {
  std::vector<TensorInfo> all;
  for (size_t i = 0; i < count; ++i) {
    const char *name = nullptr, *type = nullptr;
    const int64_t* sizes = nullptr;
    size_t axes = 0;
    check(describe(handle, i, &name, &type, &sizes, &axes));
    all.push_back({name, type, {sizes, sizes + axes}});
  }
  return all;
}

class Model {
 public:
  explicit Model(const std::string& path, const std::string& options = {})
      : handle_(open(path, options), residua_model_free) {}

  std::vector<TensorInfo> inputs() const {
    return describe_all(handle(), residua_model_inputs(handle()), residua_model_input);
  }
  std::vector<TensorInfo> outputs() const {
    return describe_all(handle(), residua_model_outputs(handle()), residua_model_output);
  }
  const residua_model* handle() const { return handle_.get(); }

 private:
  static residua_model* open(const std::string& path, const std::string& options) {
    residua_model* model = nullptr;
    check(residua_model_open(path.c_str(), options.c_str(), &model));
    return model;
  }
  std::unique_ptr<residua_model, void (*)(residua_model*)> handle_;
};

class Session {
 public:
  explicit Session(const Model& model)
      : outputs_(residua_model_outputs(model.handle())),
        handle_(make(model), residua_session_free) {}
  // For other sizes that the model serves, one list for each input.
  Session(const Model& model, const std::vector<std::vector<int64_t>>& input_sizes)
      : outputs_(residua_model_outputs(model.handle())),
        handle_(make(model, input_sizes), residua_session_free) {}

  std::vector<TensorInfo> outputs() const {
    return describe_all(handle_.get(), outputs_, residua_session_output);
  }

  void run(const std::vector<const void*>& inputs, const std::vector<void*>& outputs) {
    check(residua_session_run(handle_.get(), inputs.data(), inputs.size(), outputs.data(),
                              outputs.size()));
  }

 private:
  static residua_session* make(const Model& model) {
    residua_session* session = nullptr;
    check(residua_session_new(model.handle(), &session));
    return session;
  }
  static residua_session* make(const Model& model,
                               const std::vector<std::vector<int64_t>>& input_sizes) {
    std::vector<const int64_t*> sizes;
    std::vector<size_t> axes;
    for (const auto& list : input_sizes) {
      sizes.push_back(list.data());
      axes.push_back(list.size());
    }
    residua_session* session = nullptr;
    check(residua_session_new_sized(model.handle(), sizes.data(), axes.data(), sizes.size(),
                                    &session));
    return session;
  }

  size_t outputs_;
  std::unique_ptr<residua_session, void (*)(residua_session*)> handle_;
};

}  // namespace residua::runtime
