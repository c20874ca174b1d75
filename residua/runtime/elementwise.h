#pragma once
// Functions of single numbers behind other steps (internal to runtime).

#include "residua/kernels/elementwise.h"
#include "residua/runtime/lowering.h"

namespace residua {

kernels::FunctionCall function_call(const op::Activation& activation);

// Applies the function to a form of real numbers, in its place.
void emit_function_over(Lowering& l, const op::Activation& activation, FormId form);

// Any pair of any numbers, one number or one line after the other.
bool lower_pair_by_lines(const op::Binary&, Lowering&);

// Functions of whole numbers and truth values.
bool lower_function_of_integers(const op::Unary&, Lowering&);

// To a type of whole numbers or truth values.
bool lower_cast_to_whole(const op::Cast&, Lowering&);

// Any reduction over any axes, in the plain order.
bool lower_reduce_by_rows(const op::Reduce&, Lowering&);

// Zeros in the channels that fill up the last block, which a function may have changed.
void clear_padding(const Form& form, std::byte* data);

// Calls body with a null pointer of the type in which the form's real numbers are kept.
template <class Body>
void with_real_type(DType dtype, const Body& body) {
  if (dtype == DType::bf16) return body(static_cast<kernels::Bf16*>(nullptr));
  body(static_cast<float*>(nullptr));
}

}  // namespace residua
