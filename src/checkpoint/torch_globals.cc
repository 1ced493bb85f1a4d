// The classes and functions that a pickled state dict may name, and the data that they stand for.
#include <algorithm>
#include <array>

#include "checkpoint/pickle.h"

namespace farthing::checkpoint::pickle {
namespace {

// Calls copy shapes and keys, so their lengths are bounded: a small file must not become a large one in
// memory.
constexpr std::size_t kMaxRank = 64;
constexpr std::size_t kMaxKey = 256;

enum class Meaning {
  kOrderedDict,
  kTensor,
  kTensorOfDType,
  kParameter,
  kSize,
  kIgnored,
  kStorage,
  kUntypedStorage,
  kDType
};

struct Global {
  std::string_view name;
  Meaning meaning;
  DType dtype = DType::kF32;  // of kStorage and kDType
};

constexpr std::array kGlobals = {
    Global{"collections.OrderedDict", Meaning::kOrderedDict},
    Global{"torch._utils._rebuild_tensor", Meaning::kTensor},
    Global{"torch._utils._rebuild_tensor_v2", Meaning::kTensor},
    Global{"torch._utils._rebuild_tensor_v3", Meaning::kTensorOfDType},
    Global{"torch._utils._rebuild_parameter", Meaning::kParameter},
    Global{"torch._utils._rebuild_parameter_with_state", Meaning::kParameter},
    Global{"torch.nn.parameter.Parameter", Meaning::kParameter},
    Global{"torch.Size", Meaning::kSize},
    Global{"torch.device", Meaning::kIgnored},
    Global{"_codecs.encode", Meaning::kIgnored},
    Global{"torch.BoolStorage", Meaning::kStorage, DType::kBool},
    Global{"torch.ByteStorage", Meaning::kStorage, DType::kU8},
    Global{"torch.CharStorage", Meaning::kStorage, DType::kI8},
    Global{"torch.ShortStorage", Meaning::kStorage, DType::kI16},
    Global{"torch.IntStorage", Meaning::kStorage, DType::kI32},
    Global{"torch.LongStorage", Meaning::kStorage, DType::kI64},
    Global{"torch.HalfStorage", Meaning::kStorage, DType::kF16},
    Global{"torch.BFloat16Storage", Meaning::kStorage, DType::kBF16},
    Global{"torch.FloatStorage", Meaning::kStorage, DType::kF32},
    Global{"torch.DoubleStorage", Meaning::kStorage, DType::kF64},
    Global{"torch.ComplexFloatStorage", Meaning::kStorage, DType::kC64},
    Global{"torch.storage.UntypedStorage", Meaning::kUntypedStorage},
    Global{"torch.bool", Meaning::kDType, DType::kBool},
    Global{"torch.uint8", Meaning::kDType, DType::kU8},
    Global{"torch.int8", Meaning::kDType, DType::kI8},
    Global{"torch.int16", Meaning::kDType, DType::kI16},
    Global{"torch.uint16", Meaning::kDType, DType::kU16},
    Global{"torch.int32", Meaning::kDType, DType::kI32},
    Global{"torch.uint32", Meaning::kDType, DType::kU32},
    Global{"torch.int64", Meaning::kDType, DType::kI64},
    Global{"torch.uint64", Meaning::kDType, DType::kU64},
    Global{"torch.float16", Meaning::kDType, DType::kF16},
    Global{"torch.bfloat16", Meaning::kDType, DType::kBF16},
    Global{"torch.float32", Meaning::kDType, DType::kF32},
    Global{"torch.float64", Meaning::kDType, DType::kF64},
    Global{"torch.complex64", Meaning::kDType, DType::kC64},
    Global{"torch.float8_e4m3fn", Meaning::kDType, DType::kF8E4M3},
    Global{"torch.float8_e5m2", Meaning::kDType, DType::kF8E5M2},
    Global{"torch.float8_e8m0fnu", Meaning::kDType, DType::kF8E8M0},
    Global{"torch.float8_e4m3fnuz", Meaning::kDType, DType::kF8E4M3Fnuz},
    Global{"torch.float8_e5m2fnuz", Meaning::kDType, DType::kF8E5M2Fnuz},
};

const Global* find_global(std::string_view name) {
  const auto* found = std::find_if(kGlobals.begin(), kGlobals.end(),
                                   [&](const Global& global) { return global.name == name; });
  return found == kGlobals.end() ? nullptr : found;
}

// The entry that `value` names, if it is a symbol.
const Global* global_of(const Value& value) {
  const auto* symbol = value.get<Symbol>();
  return symbol == nullptr ? nullptr : find_global(symbol->name);
}

std::optional<std::uint64_t> count_of(const Value& value) {
  const auto* number = value.get<std::int64_t>();
  if (number == nullptr || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

std::optional<Shape> counts_of(const Value& value) {
  const auto* tuple = value.get<Tuple>();
  if (tuple == nullptr || tuple->items.size() > kMaxRank) return std::nullopt;
  Shape result;
  for (const Ref item : tuple->items) {
    if (!count_of(*item)) return std::nullopt;
    result.push_back(*item->get<std::int64_t>());
  }
  return result;
}

// _rebuild_tensor(storage, storage_offset, size, stride), _rebuild_tensor_v2(.., requires_grad, hooks[,
// metadata]), _rebuild_tensor_v3(.., requires_grad, hooks, dtype[, metadata]); the last is for types that
// have no storage class.
std::optional<Value> rebuild_tensor(const std::vector<Ref>& arguments, bool has_dtype) {
  if (arguments.size() < (has_dtype ? 7 : 4)) return std::nullopt;
  const auto* storage = arguments[0]->get<Storage>();
  const auto offset = count_of(*arguments[1]);
  auto shape = counts_of(*arguments[2]), strides = counts_of(*arguments[3]);
  if (storage == nullptr || !offset || !shape || !strides || shape->size() != strides->size())
    return std::nullopt;
  std::optional<DType> dtype = storage->dtype;
  if (has_dtype) {
    const Global* named = global_of(*arguments[6]);
    if (named == nullptr || named->meaning != Meaning::kDType) return std::nullopt;
    dtype = named->dtype;
  }
  if (!dtype) return std::nullopt;
  return Value{TensorView{arguments[0], *dtype, *offset, std::move(*shape), std::move(*strides)}};
}

}  // namespace

std::optional<Symbol> find_symbol(std::string_view module, std::string_view name) {
  const Global* global = find_global(fmt::format("{}.{}", module, name));
  if (global == nullptr) return std::nullopt;
  return Symbol{global->name};
}

std::optional<Value> interpret_call(const Symbol& symbol, const std::vector<Ref>& arguments) {
  switch (find_global(symbol.name)->meaning) {
    case Meaning::kOrderedDict:
      if (!arguments.empty()) return std::nullopt;
      return Value{Dict{}};
    case Meaning::kTensor:
      return rebuild_tensor(arguments, false);
    case Meaning::kTensorOfDType:
      return rebuild_tensor(arguments, true);
    case Meaning::kParameter:
      if (arguments.empty() || !arguments[0]->get<TensorView>()) return std::nullopt;
      return *arguments[0];
    case Meaning::kSize:
      if (arguments.size() != 1 || !counts_of(*arguments[0])) return std::nullopt;
      return *arguments[0];
    case Meaning::kIgnored:
      return Value{Opaque{}};
    default:
      return std::nullopt;
  }
}

std::optional<Storage> interpret_persistent_id(const Value& id) {
  const auto* tuple = id.get<Tuple>();
  if (tuple == nullptr || tuple->items.size() < 5) return std::nullopt;
  const std::vector<Ref>& items = tuple->items;
  const auto* kind = items[0]->get<std::string>();
  const Global* type = global_of(*items[1]);
  const auto* key = items[2]->get<std::string>();
  const auto count = count_of(*items[4]);
  if (kind == nullptr || *kind != "storage" || type == nullptr || key == nullptr || key->size() > kMaxKey ||
      !count)
    return std::nullopt;
  Storage storage{std::nullopt, *key, 0, *count};
  if (type->meaning == Meaning::kStorage)
    storage.dtype = type->dtype;
  else if (type->meaning != Meaning::kUntypedStorage)
    return std::nullopt;
  if (items.size() > 5 && !items[5]->get<None>()) {  // legacy files: (view key, offset, elements) of a part
    const auto* view = items[5]->get<Tuple>();
    if (view == nullptr || view->items.size() != 3) return std::nullopt;
    const auto offset = count_of(*view->items[1]), elements = count_of(*view->items[2]);
    if (!offset || !elements || *offset > *count || *elements > *count - *offset) return std::nullopt;
    storage.offset = *offset;
    storage.num_elements = *elements;
  }
  return storage;
}

}  // namespace farthing::checkpoint::pickle
