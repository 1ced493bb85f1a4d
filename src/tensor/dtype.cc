#include "tensor/dtype.h"

#include <array>

namespace farthing {
namespace {

struct Row {
  DType dtype;
  int bits;
  std::string_view name;
  std::string_view torch_name;
  bool floating_point;
};

constexpr std::array kRows = {
    Row{DType::kBool, 8, "BOOL", "", false},
    Row{DType::kU8, 8, "U8", "", false},
    Row{DType::kI8, 8, "I8", "", false},
    Row{DType::kI16, 16, "I16", "", false},
    Row{DType::kU16, 16, "U16", "", false},
    Row{DType::kI32, 32, "I32", "", false},
    Row{DType::kU32, 32, "U32", "", false},
    Row{DType::kI64, 64, "I64", "", false},
    Row{DType::kU64, 64, "U64", "", false},
    Row{DType::kF16, 16, "F16", "float16", true},
    Row{DType::kBF16, 16, "BF16", "bfloat16", true},
    Row{DType::kF32, 32, "F32", "float32", true},
    Row{DType::kF64, 64, "F64", "float64", true},
    Row{DType::kF8E4M3, 8, "F8_E4M3", "float8_e4m3fn", true},
    Row{DType::kF8E5M2, 8, "F8_E5M2", "float8_e5m2", true},
    Row{DType::kF8E8M0, 8, "F8_E8M0", "float8_e8m0fnu", true},
    Row{DType::kF8E4M3Fnuz, 8, "F8_E4M3FNUZ", "", false},
    Row{DType::kF8E5M2Fnuz, 8, "F8_E5M2FNUZ", "", false},
    Row{DType::kC64, 64, "C64", "", false},
    Row{DType::kF4, 4, "F4", "", false},
    Row{DType::kF6E2M3, 6, "F6_E2M3", "", false},
    Row{DType::kF6E3M2, 6, "F6_E3M2", "", false},
};

const Row& row(DType dtype) {
  return kRows[static_cast<std::size_t>(dtype)];
}

}  // namespace

int dtype_bits(DType dtype) {
  return row(dtype).bits;
}
std::string_view dtype_name(DType dtype) {
  return row(dtype).name;
}
std::string_view torch_dtype_name(DType dtype) {
  return row(dtype).torch_name;
}
bool is_floating_point(DType dtype) {
  return row(dtype).floating_point;
}

std::optional<DType> parse_dtype(std::string_view name) {
  for (const Row& candidate : kRows) {
    if (candidate.name == name) return candidate.dtype;
  }
  return std::nullopt;
}

std::optional<DType> parse_torch_dtype(std::string_view name) {
  if (name.starts_with("torch.")) name.remove_prefix(6);
  for (const Row& candidate : kRows) {
    if (!candidate.torch_name.empty() && candidate.torch_name == name) return candidate.dtype;
  }
  return std::nullopt;
}

}  // namespace farthing
