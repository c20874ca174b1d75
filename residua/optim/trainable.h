#pragma once
// Which parameters of a module learn.

#include <string>
#include <vector>

namespace torch::nn {
class Module;
}

namespace residua {

// Only parameters whose names match one of the shell patterns learn from now on, e.g.
// "blocks.*.attn.*" and "head.*"; without patterns nothing changes. Throws
// ErrorKind::invalid_argument for a pattern that matches none.
void train_only(torch::nn::Module& module, const std::vector<std::string>& patterns);

}  // namespace residua
