/* The C interface of compiled models. Plain C99; the library is residua_runtime.
 *
 *   residua_model* model = NULL;
 *   if (residua_model_open("resnet50.plan", NULL, &model) != RESIDUA_OK)
 *     fprintf(stderr, "%s\n", residua_last_error());
 *   residua_session* session = NULL;
 *   residua_session_new(model, &session);
 *   const void* inputs[] = {image};
 *   void* outputs[] = {scores};
 *   residua_session_run(session, inputs, 1, outputs, 1);
 *   residua_session_free(session);
 *   residua_model_free(model);
 *
 * A model may be used by several threads at once, a session by one at a time. Handles are freed by
 * their own functions, in any order; freeing NULL does nothing. Functions that return a status
 * leave their results untouched unless it is RESIDUA_OK. */
#ifndef RESIDUA_H_
#define RESIDUA_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a function changes; functions are added without it. */
#define RESIDUA_C_VERSION 1

int residua_c_version(void); /* of the library that is loaded */

typedef enum residua_status {
  RESIDUA_OK = 0,
  RESIDUA_INVALID_ARGUMENT = 1,
  RESIDUA_SHAPE = 2,
  RESIDUA_NOT_FOUND = 3,
  RESIDUA_CORRUPT_FILE = 4,
  RESIDUA_LIMIT = 5,
  RESIDUA_UNSUPPORTED = 6,
  RESIDUA_IO = 7,
  RESIDUA_INTERNAL = 8,
  RESIDUA_OUT_OF_MEMORY = 9
} residua_status;

/* The sentence of the last failure on the calling thread; never NULL, valid until its next one. */
const char* residua_last_error(void);

typedef struct residua_model residua_model;
typedef struct residua_session residua_session;

/* `path` is a plan, a graph or an ONNX model. Options are text, `key=value` separated by spaces:
 * dtype=fp32|bf16, threads=2, kernels=fixed|measured, winograd=true, fused_blocks=true,
 * cache=FOLDER; what they do not say the plan says, or the defaults; NULL says nothing. */
residua_status residua_model_open(const char* path, const char* options, residua_model** model);
void residua_model_free(residua_model* model);

size_t residua_model_inputs(const residua_model* model);
size_t residua_model_outputs(const residua_model* model);

/* Of input or output `index`, at the sizes that the file names. `type` is a name as in safetensors,
 * "F32"; strings and sizes live as long as the model. Any result pointer may be NULL. */
residua_status residua_model_input(const residua_model* model, size_t index, const char** name,
                                   const char** type, const int64_t** sizes, size_t* axes);
residua_status residua_model_output(const residua_model* model, size_t index, const char** name,
                                    const char** type, const int64_t** sizes, size_t* axes);

/* The session keeps what it needs of the model. */
residua_status residua_session_new(const residua_model* model, residua_session** session);

/* The same for other sizes that the model serves, such as another batch: `input_axes[i]` sizes of
 * input i lie at `input_sizes[i]`. Weights are shared by all sizes. RESIDUA_SHAPE for what the
 * model cannot take. */
residua_status residua_session_new_sized(const residua_model* model,
                                         const int64_t* const* input_sizes,
                                         const size_t* input_axes, size_t input_count,
                                         residua_session** session);

/* Of output `index` at the session's sizes; strings and sizes live as long as the session. */
residua_status residua_session_output(const residua_session* session, size_t index,
                                      const char** name, const char** type, const int64_t** sizes,
                                      size_t* axes);
void residua_session_free(residua_session* session);

/* Row-major elements, owned by the caller; the inputs are only read. */
residua_status residua_session_run(residua_session* session, const void* const* inputs,
                                   size_t input_count, void* const* outputs, size_t output_count);

#ifdef __cplusplus
}
#endif

#endif /* RESIDUA_H_ */
