#pragma once
// State dicts saved by PyTorch's `torch.save` (.pth, .pt, .th): the zip format (since 1.6) and the
// sequence of pickles before it. Nothing of the file is executed: the pickle reader knows only
//   dicts, OrderedDicts, lists, tuples, sets, ints, floats, bools, None, strings, bytes, numpy
//   scalars, torch tensors and parameters (any strides, offsets, shared storages), storages, sizes,
//   devices and dtypes,
// and refuses every other global by name (ErrorKind::unsupported), as it does quantised and sparse
// tensors and TorchScript archives.
//
// Which part of the file is taken: the root dict when a tensor lies directly in it, else the first
// of
//   state_dict, model, model_state_dict, state_dict_ema, model_ema, params_ema, params, net,
//   network, module, weights
// that holds a tensor, else the whole root. A list or a single tensor as root is taken too (the
// latter named "tensor"). Names of nested dicts and lists are joined with '.'; a prefix such as
// "module." stays. Numbers, strings and bools of the root dict (epoch, best_prec1, arch, ...)
// become metadata; "pth.root" there names the part taken.

#include <memory>
#include <string>

#include "residua/io/tensor_file.h"

namespace residua {

std::unique_ptr<TensorFile> open_pth(const std::string& path);
std::unique_ptr<TensorFile> parse_pth(OwnedBytes bytes, const std::string& path);

}  // namespace residua
