#include <algorithm>
#include <memory>
#include <new>
#include <sstream>
#include <string>

#include "residua/core/error.h"
#include "residua/runtime/compiled_model.h"
#include "residua/runtime/residua.h"
#include "residua/runtime/session.h"

struct residua_model {
  std::shared_ptr<residua::CompiledModel> compiled;
  std::shared_ptr<const residua::Plan> plan;  // at the file's own sizes
};

struct residua_session {
  residua::Session session;
};

namespace {

std::string& last_error_text() {
  static thread_local std::string text;
  return text;
}

residua_status status_of(residua::ErrorKind kind) {
  switch (kind) {
    case residua::ErrorKind::invalid_argument: return RESIDUA_INVALID_ARGUMENT;
    case residua::ErrorKind::shape: return RESIDUA_SHAPE;
    case residua::ErrorKind::not_found: return RESIDUA_NOT_FOUND;
    case residua::ErrorKind::corrupt_file: return RESIDUA_CORRUPT_FILE;
    case residua::ErrorKind::limit: return RESIDUA_LIMIT;
    case residua::ErrorKind::unsupported: return RESIDUA_UNSUPPORTED;
    case residua::ErrorKind::io: return RESIDUA_IO;
    case residua::ErrorKind::internal: return RESIDUA_INTERNAL;
  }
  return RESIDUA_INTERNAL;
}

residua_status fail(residua_status status, const char* text) noexcept {
  try {
    last_error_text() = text;
  } catch (...) {
    last_error_text().clear();
  }
  return status;
}

// No exception leaves the library.
template <class Body>
residua_status guarded(const Body& body) noexcept {
  try {
    body();
    return RESIDUA_OK;
  } catch (const residua::Error& error) {
    return fail(status_of(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(RESIDUA_OUT_OF_MEMORY, "there is not enough memory");
  } catch (const std::exception& error) {
    return fail(RESIDUA_INTERNAL, error.what());
  } catch (...) {
    return fail(RESIDUA_INTERNAL, "an unknown failure");
  }
}

void need(const void* pointer, const char* what) {
  if (pointer == nullptr)
    throw residua::Error(residua::ErrorKind::invalid_argument,
                         {.where = what, .rule = "the pointer is null"});
}

residua::Json parse_options(const char* text) {
  residua::Json values = residua::Json::object();
  std::istringstream words(text == nullptr ? "" : text);
  for (std::string word; words >> word;) residua::merge_key_value(values, word);
  return values;
}

residua_status describe_end(const std::vector<std::string>& names,
                            const std::vector<residua::TensorType>& types, size_t index,
                            const char** name, const char** type, const int64_t** sizes,
                            size_t* axes) {
  return guarded([&] {
    if (index >= names.size())
      throw residua::Error(residua::ErrorKind::invalid_argument,
                           {.where = "index",
                            .rule = "there are fewer inputs or outputs",
                            .expected = "less than " + std::to_string(names.size()),
                            .received = std::to_string(index)});
    if (name) *name = names[index].c_str();
    if (type) *type = residua::to_string(types[index].dtype).data();
    if (sizes) *sizes = types[index].shape.data();
    if (axes) *axes = types[index].shape.size();
  });
}

}  // namespace

int residua_c_version(void) { return RESIDUA_C_VERSION; }

const char* residua_last_error(void) { return last_error_text().c_str(); }

residua_status residua_model_open(const char* path, const char* options, residua_model** model) {
  return guarded([&] {
    need(path, "path");
    need(model, "model");
    const auto set = parse_options(options);
    residua::ModelFile file = residua::read_model(path);
    const residua::PlanOptions chosen = residua::plan_options(file, set);
    std::vector<residua::Shape> own;
    for (const residua::ValueId input : file.graph.inputs) own.push_back(file.graph.shape(input));
    auto compiled = std::make_shared<residua::CompiledModel>(std::move(file), chosen);
    auto plan = compiled->plan_for(own);
    *model = new residua_model{std::move(compiled), std::move(plan)};
  });
}

void residua_model_free(residua_model* model) { delete model; }

size_t residua_model_inputs(const residua_model* model) {
  return model == nullptr ? 0 : model->plan->input_names().size();
}

size_t residua_model_outputs(const residua_model* model) {
  return model == nullptr ? 0 : model->plan->output_names().size();
}

residua_status residua_model_input(const residua_model* model, size_t index, const char** name,
                                   const char** type, const int64_t** sizes, size_t* axes) {
  if (model == nullptr) return fail(RESIDUA_INVALID_ARGUMENT, "[model] the pointer is null.");
  return describe_end(model->plan->input_names(), model->plan->input_types(), index, name, type,
                      sizes, axes);
}

residua_status residua_model_output(const residua_model* model, size_t index, const char** name,
                                    const char** type, const int64_t** sizes, size_t* axes) {
  if (model == nullptr) return fail(RESIDUA_INVALID_ARGUMENT, "[model] the pointer is null.");
  return describe_end(model->plan->output_names(), model->plan->output_types(), index, name, type,
                      sizes, axes);
}

residua_status residua_session_new(const residua_model* model, residua_session** session) {
  return guarded([&] {
    need(model, "model");
    need(session, "session");
    *session = new residua_session{residua::Session(model->plan)};
  });
}

residua_status residua_session_new_sized(const residua_model* model,
                                         const int64_t* const* input_sizes,
                                         const size_t* input_axes, size_t input_count,
                                         residua_session** session) {
  return guarded([&] {
    need(model, "model");
    need(session, "session");
    if (input_count > 0) need(input_sizes, "input_sizes");
    if (input_count > 0) need(input_axes, "input_axes");
    const auto& types = model->plan->input_types();
    if (input_count != types.size())
      throw residua::Error(residua::ErrorKind::invalid_argument,
                           {.where = "input_sizes",
                            .rule = "is of another number of inputs",
                            .expected = std::to_string(types.size()),
                            .received = std::to_string(input_count)});
    std::vector<residua::Shape> shapes;
    for (size_t i = 0; i < input_count; ++i) {
      need(input_sizes[i], "input_sizes");
      shapes.emplace_back(input_sizes[i], input_sizes[i] + input_axes[i]);
    }
    *session = new residua_session{residua::Session(model->compiled->plan_for(shapes))};
  });
}

residua_status residua_session_output(const residua_session* session, size_t index,
                                      const char** name, const char** type, const int64_t** sizes,
                                      size_t* axes) {
  if (session == nullptr) return fail(RESIDUA_INVALID_ARGUMENT, "[session] the pointer is null.");
  const residua::Plan& plan = session->session.plan();
  return describe_end(plan.output_names(), plan.output_types(), index, name, type, sizes, axes);
}

void residua_session_free(residua_session* session) { delete session; }

residua_status residua_session_run(residua_session* session, const void* const* inputs,
                                   size_t input_count, void* const* outputs, size_t output_count) {
  return guarded([&] {
    need(session, "session");
    if (input_count > 0) need(inputs, "inputs");
    if (output_count > 0) need(outputs, "outputs");
    session->session.run({inputs, input_count}, {outputs, output_count});
  });
}
