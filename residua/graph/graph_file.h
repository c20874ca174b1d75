#pragma once
// A graph as one safetensors file: its constants are the tensors, under their values' names, so
// that any tool that reads weights reads these; the rest is JSON in the metadata entry
// "residua.graph". One file cannot lose its other half, and the constants stay in the mapping until
// they are used.
//
//   {"version": 1,
//    "values": [{"name": "x", "dtype": "F32", "shape": [1, 3]}, {..., "constant": true}, ...],
//    "nodes": [{"operator": "linear", "name": "head", "inputs": [0, 1], "outputs": [2],
//               "settings": {...}, "rules": [{"field": "sizes", "index": 0, "symbol": "batch",
//                                             "factor": 1, "offset": 0}]}, ...],
//    "inputs": [0], "outputs": [2],
//    "symbols": {"batch": {"size": 1, "min": 1, "max": 64}},
//    "axes": [{"value": 0, "axis": 0, "symbol": "batch", "factor": 1, "offset": 0}],
//    "metadata": {"text": "text"}}
//
// Numbers of values count from 0 in their list; -1 is an input that is left out. Members that
// would be empty may be absent ("name", "settings", "rules", "symbols", "axes", "metadata").

#include <map>
#include <string>
#include <string_view>

#include "residua/core/json.h"
#include "residua/graph/graph.h"
#include "residua/io/tensor_file.h"

namespace residua {

class Error;

inline constexpr int64_t kGraphVersion = 1;
inline constexpr std::string_view kGraphEntry = "residua.graph";  // of the file's metadata
inline constexpr size_t kMaxGraphText = 16 << 20;                 // bytes of JSON

// Verifies, then writes atomically. `entries` are further metadata of the file. Throws what verify
// throws, and what write_safetensors does.
void write_graph(const std::string& path, const Graph& graph,
                 std::map<std::string, std::string> entries = {});

// The file need not be trusted: the result is verified. Throws ErrorKind::corrupt_file, limit or
// unsupported (another version, an unknown operator), naming the node and the rule; not_found or io
// where the file cannot be opened.
Graph read_graph(const std::string& path);
Graph parse_graph(OwnedBytes bytes, const std::string& path);
Graph graph_of_file(const TensorFile& file);  // that is open already

// What a foreign file breaks is the file's fault, whatever rule it was: throws the error again as
// corrupt_file, limit or unsupported, with the path before its place.
[[noreturn]] void rethrow_of_file(const Error& error, const std::string& path);

// The JSON form without constants' data.
Json graph_to_json(const Graph& graph);

}  // namespace residua
