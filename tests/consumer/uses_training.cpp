#include <residua/core/random.h>
#include <residua/models/model.h>

#include <iostream>

int main() {
  const auto model = residua::models().create("resnet20", residua::Random(1));
  std::cout << model->parameters().size() << " parameter tensors\n";
  return model->parameters().empty() ? 1 : 0;
}
