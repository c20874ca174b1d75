// Whatever has no kernel runs through the reference interpreter, in double precision.
#include "residua/graph/interpreter.h"
#include "residua/graph/numbers.h"
#include "residua/runtime/convert.h"

namespace residua {

namespace {

struct FallbackInput {
  FormId id = kNoForm;
  Form form;
  TensorType type;
};

Numbers read_form(const FallbackInput& input, const void* data) {
  Numbers numbers{input.type,
                  std::vector<double>(static_cast<size_t>(elements_of(input.type.shape)))};
  const Form to{.dtype = DType::f64, .shape = input.type.shape};
  convert(input.form, data, to, numbers.data.data(), 1);
  return numbers;
}

}  // namespace

void lower_by_interpreter(Lowering& l) {
  std::vector<FallbackInput> inputs;
  std::vector<FormId> reads, writes;
  for (const ValueId v : l.node().inputs) {
    FallbackInput input;
    if (v != kNoValue) {
      input.id = l.want_plain(v);
      input.form = l.form(input.id);
      input.form.scale = 0;
      input.type = l.graph().value(v).type;
      reads.push_back(input.id);
    }
    inputs.push_back(std::move(input));
  }
  std::vector<Form> results;
  for (size_t i = 0; i < l.node().outputs.size(); ++i) {
    const DType dtype = l.graph().value(l.output(i)).type.dtype;
    writes.push_back(l.write(i, l.is_real(l.output(i)) ? DType::f32 : dtype, Layout::plain));
    results.push_back(l.form(writes.back()));
  }
  const Operation operation = l.node().operation;
  l.emit("interpreter", reads, writes, [=](const StepCall& c) {
    std::vector<Numbers> numbers(inputs.size());
    std::vector<const Numbers*> pointers(inputs.size(), nullptr);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].id == kNoForm) continue;
      numbers[i] = read_form(inputs[i], c.address[inputs[i].id]);
      pointers[i] = &numbers[i];
    }
    const std::vector<Numbers> outputs = interpret(operation, pointers);
    for (size_t i = 0; i < outputs.size(); ++i)
      convert({.dtype = DType::f64, .shape = results[i].shape}, outputs[i].data.data(), results[i],
              c.address[writes[i]], 1);
  });
}

}  // namespace residua
