#include "residua/io/pickle_globals.h"

#include <array>
#include <cmath>

#include "residua/core/error.h"
#include "residua/io/bytes.h"

namespace residua {

namespace {

using Kind = PickleValue::Kind;
using Role = PickleRole;

constexpr PickleGlobal kGlobals[] = {
    {"collections", "OrderedDict", Role::ordered_dict},
    {"builtins", "set", Role::set},
    {"__builtin__", "set", Role::set},
    {"builtins", "frozenset", Role::set},
    {"__builtin__", "frozenset", Role::set},
    {"_codecs", "encode", Role::encode_text},
    {"torch", "Size", Role::torch_size},
    {"torch", "device", Role::torch_device},
    {"torch._utils", "_rebuild_tensor", Role::rebuild_tensor},
    {"torch._utils", "_rebuild_tensor_v2", Role::rebuild_tensor_v2},
    {"torch._utils", "_rebuild_tensor_v3", Role::rebuild_tensor_v3},
    {"torch._utils", "_rebuild_parameter", Role::rebuild_parameter},
    {"torch._utils", "_rebuild_parameter_with_state", Role::rebuild_parameter},
    {"torch._tensor", "_rebuild_from_type_v2", Role::rebuild_from_type},
    {"torch", "Tensor", Role::tensor_type},
    {"torch.nn.parameter", "Parameter", Role::tensor_type},
    {"torch.storage", "UntypedStorage", Role::storage_type},
    {"torch", "UntypedStorage", Role::storage_type},
    {"numpy", "dtype", Role::numpy_dtype},
    {"numpy.core.multiarray", "scalar", Role::numpy_scalar},
    {"numpy._core.multiarray", "scalar", Role::numpy_scalar},
    {"torch", "bool", Role::dtype, DType::boolean},
    {"torch", "uint8", Role::dtype, DType::u8},
    {"torch", "int8", Role::dtype, DType::i8},
    {"torch", "int16", Role::dtype, DType::i16},
    {"torch", "uint16", Role::dtype, DType::u16},
    {"torch", "int32", Role::dtype, DType::i32},
    {"torch", "uint32", Role::dtype, DType::u32},
    {"torch", "int64", Role::dtype, DType::i64},
    {"torch", "uint64", Role::dtype, DType::u64},
    {"torch", "float16", Role::dtype, DType::f16},
    {"torch", "bfloat16", Role::dtype, DType::bf16},
    {"torch", "float32", Role::dtype, DType::f32},
    {"torch", "float64", Role::dtype, DType::f64},
    {"torch", "complex64", Role::dtype, DType::c64},
    {"torch", "complex128", Role::dtype, DType::c128},
    {"torch", "BoolStorage", Role::storage_type, DType::boolean},
    {"torch", "ByteStorage", Role::storage_type, DType::u8},
    {"torch", "CharStorage", Role::storage_type, DType::i8},
    {"torch", "ShortStorage", Role::storage_type, DType::i16},
    {"torch", "IntStorage", Role::storage_type, DType::i32},
    {"torch", "LongStorage", Role::storage_type, DType::i64},
    {"torch", "HalfStorage", Role::storage_type, DType::f16},
    {"torch", "BFloat16Storage", Role::storage_type, DType::bf16},
    {"torch", "FloatStorage", Role::storage_type, DType::f32},
    {"torch", "DoubleStorage", Role::storage_type, DType::f64},
    {"torch", "ComplexFloatStorage", Role::storage_type, DType::c64},
    {"torch", "ComplexDoubleStorage", Role::storage_type, DType::c128},
};

// The items of a tuple of arguments, with the checks that each use needs.
class PickleArguments {
 public:
  PickleArguments(const Pickle& pickle, PickleId tuple, std::string_view callee,
                  const std::string& where)
      : pickle_(pickle), items_(pickle[tuple].items), callee_(callee), where_(where) {}

  size_t size() const { return items_.size(); }
  PickleId id(size_t i) const {
    if (i >= items_.size()) misfit("too few arguments");
    return items_[i];
  }
  const PickleValue& any(size_t i) const { return pickle_[id(i)]; }
  const PickleValue& of_kind(size_t i, Kind kind) const {
    if (any(i).kind != kind) misfit("argument " + std::to_string(i + 1) + " is of the wrong kind");
    return any(i);
  }
  int64_t integer(size_t i) const { return of_kind(i, Kind::integer).integer; }
  std::string_view text(size_t i) const { return of_kind(i, Kind::text).text; }

  Shape shape(size_t i) const {
    const std::vector<PickleId>& sizes = of_kind(i, Kind::tuple).items;
    if (sizes.size() > kMaxRank)
      throw Error(ErrorKind::limit,
                  {.where = where_,
                   .rule = "a tensor has " + std::to_string(sizes.size()) +
                           " dimensions, more than the " + std::to_string(kMaxRank) + " allowed"});
    Shape shape;
    for (const PickleId size : sizes) {
      if (pickle_[size].kind != Kind::integer) misfit("a size is no integer");
      shape.push_back(pickle_[size].integer);
    }
    return shape;
  }

  const PickleGlobal& global(size_t i, Role role) const {
    const PickleGlobal& found =
        pickle_global(static_cast<size_t>(of_kind(i, Kind::global).integer));
    if (found.role != role) misfit("argument " + std::to_string(i + 1) + " is the wrong global");
    return found;
  }

  [[noreturn]] void misfit(const std::string& reason) const {
    throw Error(ErrorKind::corrupt_file,
                {.where = where_,
                 .rule = "the pickle calls " + std::string(callee_) + " wrongly: " + reason});
  }

 private:
  const Pickle& pickle_;
  const std::vector<PickleId>& items_;
  std::string_view callee_;
  const std::string& where_;
};

// _rebuild_tensor(storage, offset, size, stride, ...); v3 has the dtype as seventh argument.
PickleValue make_tensor(Pickle& pickle, const PickleArguments& args, bool has_dtype) {
  PickleTensor tensor;
  tensor.storage = static_cast<size_t>(args.of_kind(0, Kind::storage).integer);
  tensor.offset = args.integer(1);
  tensor.shape = args.shape(2);
  tensor.strides = args.shape(3);
  const std::optional<DType> stored = pickle.storages[tensor.storage].dtype;
  if (has_dtype) {
    tensor.dtype = static_cast<DType>(args.of_kind(6, Kind::dtype).integer);
  } else if (stored) {
    tensor.dtype = *stored;
  } else {
    args.misfit("the storage has no type");
  }
  pickle.tensors.push_back(std::move(tensor));
  return {.kind = Kind::tensor, .integer = static_cast<int64_t>(pickle.tensors.size() - 1)};
}

// OrderedDict() or, from Python 2, OrderedDict([[key, value], ...]).
PickleValue make_dict(const Pickle& pickle, const PickleArguments& args) {
  PickleValue dict{.kind = Kind::dict, .ordered_dict = true};
  if (args.size() == 0) return dict;
  const std::vector<PickleId>& pairs = args.of_kind(0, Kind::list).items;
  if (pairs.size() > kMaxPickleValues) args.misfit("the list is too long");
  for (const PickleId pair : pairs) {
    const PickleValue& value = pickle[pair];
    if ((value.kind != Kind::list && value.kind != Kind::tuple) || value.items.size() != 2)
      args.misfit("an item is no pair");
    dict.items.insert(dict.items.end(), value.items.begin(), value.items.end());
  }
  return dict;
}

// Bytes in protocol 2 are text, encoded when read: encode(text, 'latin1'). Only short ones are ever
// looked at, by decode_latin1.
PickleValue make_bytes(const PickleArguments& args) {
  const std::string_view encoding = args.text(1);
  if (encoding != "latin1" && encoding != "latin-1") args.misfit("the encoding is not latin1");
  return {.kind = Kind::latin1, .text = args.text(0)};
}

std::string decode_latin1(std::string_view text, const PickleArguments& args) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) {
      bytes += text[i];
    } else {  // the code points 128 to 255 are two bytes in UTF-8
      if ((lead != 0xC2 && lead != 0xC3) || ++i == text.size())
        args.misfit("the text is not latin1");
      bytes += static_cast<char>((lead & 3) << 6 | (static_cast<uint8_t>(text[i]) & 0x3F));
    }
  }
  return bytes;
}

template <class Number>
Number scalar_of(std::string_view bytes) {
  return load_little<Number>(reinterpret_cast<const std::byte*>(bytes.data()));
}

// numpy.core.multiarray.scalar(dtype, bytes)
PickleValue make_numpy_scalar(const PickleArguments& args) {
  const std::string_view type = args.of_kind(0, Kind::numpy_dtype).text;
  const PickleValue& content = args.any(1);
  if ((content.kind != Kind::bytes && content.kind != Kind::latin1) || content.text.size() > 16)
    args.misfit("the scalar is not in a few bytes");
  const std::string bytes =
      content.kind == Kind::latin1 ? decode_latin1(content.text, args) : std::string(content.text);
  const size_t size = type.size() == 2 ? static_cast<size_t>(type[1] - '0') : 0;
  if (bytes.size() != size) args.misfit("the scalar has another size than its type");
  if (type == "f8") return {.kind = Kind::real, .real = scalar_of<double>(bytes)};
  if (type == "f4") return {.kind = Kind::real, .real = scalar_of<float>(bytes)};
  if (type == "i8") return {.kind = Kind::integer, .integer = scalar_of<int64_t>(bytes)};
  if (type == "i4") return {.kind = Kind::integer, .integer = scalar_of<int32_t>(bytes)};
  if (type == "b1") return {.kind = Kind::boolean, .integer = bytes[0] != 0};
  args.misfit("the scalar is neither f8, f4, i8, i4 nor b1");
}

[[noreturn]] void refuse_global(const std::string& name, const std::string& where) {
  std::string rule = "the pickle needs the Python object " + name.substr(0, 200) +
                     ", and nothing from a file is run";
  if (name.find("qtensor") != std::string::npos || name.starts_with("torch.Q") ||
      name.starts_with("torch.q"))
    rule = "the file holds a quantised tensor (" + name.substr(0, 200) + ")";
  throw Error(ErrorKind::unsupported,
              {.where = where,
               .rule = std::move(rule),
               .expected = "tensors, dicts, lists, numbers and text",
               .hint = "in Python, save the weights alone: torch.save(model.state_dict(), path)"});
}

}  // namespace

size_t find_pickle_global(std::string_view module, std::string_view name,
                          const std::string& where) {
  // A tensor of a GPU differs only in where it once was.
  const bool on_gpu = module == "torch.cuda" && name.ends_with("Storage");
  const std::string_view home = on_gpu ? "torch" : module;
  for (size_t i = 0; i < std::size(kGlobals); ++i)
    if (kGlobals[i].module == home && kGlobals[i].name == name) return i;
  refuse_global(std::string(module) + "." + std::string(name), where);
}

const PickleGlobal& pickle_global(size_t index) { return kGlobals[index]; }

PickleValue apply_pickle_global(Pickle& pickle, const PickleGlobal& global, PickleId tuple,
                                const std::string& where) {
  const PickleArguments args(pickle, tuple, global.name, where);
  switch (global.role) {
    case Role::ordered_dict: return make_dict(pickle, args);
    case Role::set:
      if (args.size() == 0) return {.kind = Kind::set};
      return {.kind = Kind::set, .items = args.of_kind(0, Kind::list).items};
    case Role::encode_text: return make_bytes(args);
    case Role::torch_size:
      return {.kind = Kind::tuple, .items = args.of_kind(0, Kind::tuple).items};
    case Role::torch_device: return {.kind = Kind::text, .text = args.text(0)};
    case Role::rebuild_tensor:
    case Role::rebuild_tensor_v2: return make_tensor(pickle, args, false);
    case Role::rebuild_tensor_v3: return make_tensor(pickle, args, true);
    case Role::rebuild_parameter: return args.of_kind(0, Kind::tensor);
    case Role::rebuild_from_type: {  // (rebuild, type, arguments, attributes)
      const auto& rebuild =
          pickle_global(static_cast<size_t>(args.of_kind(0, Kind::global).integer));
      args.global(1, Role::tensor_type);
      args.of_kind(2, Kind::tuple);
      if (rebuild.role != Role::rebuild_tensor_v2 && rebuild.role != Role::rebuild_tensor_v3)
        args.misfit("the type is not rebuilt from a tensor");
      return apply_pickle_global(pickle, rebuild, args.id(2), where);
    }
    case Role::numpy_dtype: return {.kind = Kind::numpy_dtype, .text = args.text(0)};
    case Role::numpy_scalar: return make_numpy_scalar(args);
    case Role::tensor_type:
    case Role::storage_type:
    case Role::dtype: break;
  }
  refuse_global(std::string(global.module) + "." + std::string(global.name), where);
}

PickleValue pickle_storage(Pickle& pickle, PickleId id, const std::string& where) {
  if (pickle[id].kind != Kind::tuple)
    throw Error(ErrorKind::corrupt_file,
                {.where = where, .rule = "a persistent id of the pickle is no tuple"});
  const PickleArguments args(pickle, id, "a storage", where);
  if (args.text(0) != "storage") args.misfit("the persistent id does not name a storage");
  PickleStorage storage{.key = args.text(2),
                        .dtype = args.global(1, Role::storage_type).dtype,
                        .elements = args.integer(4)};
  int64_t bytes = 0;
  if (storage.elements < 0 ||
      __builtin_mul_overflow(storage.elements, storage.element_size(), &bytes))
    args.misfit("the number of elements is impossible");
  if (args.size() > 5 && args.any(5).kind != Kind::none) {  // (key of the view, offset, elements)
    const PickleArguments view(pickle, args.id(5), "a storage view", where);
    args.of_kind(5, Kind::tuple);
    storage.view_key = view.text(0);
    storage.view_offset = view.integer(1);
    storage.view_elements = view.integer(2);
    if (storage.view_offset < 0 || storage.view_elements < 0 ||
        storage.view_offset > storage.elements ||
        storage.view_elements > storage.elements - storage.view_offset)
      args.misfit("the view reaches beyond its storage");
  }
  pickle.storages.push_back(storage);
  return {.kind = Kind::storage, .integer = static_cast<int64_t>(pickle.storages.size() - 1)};
}

}  // namespace residua
