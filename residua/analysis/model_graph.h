#pragma once
// The graph of a model of the zoo: what `residua compile` and `residua export` begin with.

#include "residua/graph/graph.h"
#include "residua/models/model.h"

namespace residua {

struct ModelGraphOptions {
  int64_t batch = 1;   // the sizes the graph has
  int64_t height = 0;  // of images; 0: those the model was made for
  int64_t width = 0;
  int64_t tokens = 0;  // of sequences; 0: the model's longest
  bool dynamic_batch = true;
  bool dynamic_size = false;  // also height and width, or the number of tokens

  void fields(Fields& f);
};

// In evaluation mode, whatever mode the model is in. The symbols are "batch", "height", "width" and
// "tokens"; the metadata say model input, mean, stddev, crop and classes as far as they are known.
// Throws ErrorKind::unsupported for a model that decides from the numbers it sees what to compute,
// or that cannot take other sizes.
Graph model_graph(Model& model, const ModelGraphOptions& options);

}  // namespace residua
