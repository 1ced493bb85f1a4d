#include "tensor/tensor.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "tensor/float_types.h"

namespace farthing {
namespace {

constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector load

std::shared_ptr<std::byte> allocate(std::size_t size) {
  try {
    return {
        static_cast<std::byte*>(::operator new(std::max<std::size_t>(size, 1), std::align_val_t(kAlignment))),
        [](std::byte* pointer) { ::operator delete(pointer, std::align_val_t(kAlignment)); }};
  } catch (const std::bad_alloc&) {
    throw Error(Code::kResources, "out of memory", {{"bytes", size}},
                "close other programs, or use --memory to work in smaller pieces");
  }
}

}  // namespace

std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::int64_t num_elements(const Shape& shape) {
  std::int64_t product = 1;
  for (const std::int64_t dim : shape) {
    FARTHING_REQUIRE(dim >= 0 && !__builtin_mul_overflow(product, dim, &product), Code::kCorruptData,
                     "shape is not possible", {{"shape", to_string(shape)}});
  }
  return product;
}

std::size_t tensor_bytes(DType dtype, const Shape& shape) {
  const std::int64_t elements = num_elements(shape);
  const int bits = dtype_bits(dtype);
  FARTHING_REQUIRE(elements <= std::numeric_limits<std::int64_t>::max() / 64, Code::kCorruptData,
                   "tensor is impossibly large", {{"shape", to_string(shape)}});
  FARTHING_REQUIRE(elements * bits % 8 == 0, Code::kCorruptData, "tensor does not end on a byte",
                   {{"shape", to_string(shape)}, {"dtype", dtype_name(dtype)}});
  return static_cast<std::size_t>(elements * bits / 8);
}

Tensor Tensor::empty(DType dtype, Shape shape) {
  const std::size_t size = tensor_bytes(dtype, shape);
  const std::shared_ptr<std::byte> memory = allocate(size);
  Tensor result = view(dtype, std::move(shape), {memory.get(), size}, memory);
  result.writable_ = true;
  return result;
}

Tensor Tensor::zeros(DType dtype, Shape shape) {
  Tensor result = empty(dtype, std::move(shape));
  std::memset(result.mutable_bytes().data(), 0, result.num_bytes());
  return result;
}

Tensor Tensor::view(DType dtype, Shape shape, std::span<const std::byte> bytes,
                    std::shared_ptr<const void> owner) {
  FARTHING_CHECK(bytes.size() == tensor_bytes(dtype, shape), "{} bytes for {}", bytes.size(),
                 to_string(shape));
  Tensor result;
  result.dtype_ = dtype;
  result.dtype_valid_ = true;
  result.numel_ = num_elements(shape);
  result.shape_ = std::move(shape);
  result.data_ = bytes.data();
  result.size_ = bytes.size();
  result.owner_ = std::move(owner);
  return result;
}

std::int64_t Tensor::dim(int axis) const {
  const int index = axis < 0 ? axis + rank() : axis;
  FARTHING_CHECK(index >= 0 && index < rank(), "axis {} of {}", axis, to_string(shape_));
  return shape_[index];
}

std::span<std::byte> Tensor::mutable_bytes() {
  FARTHING_CHECK(writable_, "tensor {} looks at read-only bytes", to_string(shape_));
  return {const_cast<std::byte*>(data_), size_};
}

void Tensor::check_type(std::size_t size, int dtype) const {
  FARTHING_CHECK(defined() && static_cast<int>(size) * 8 == dtype_bits(dtype_) &&
                     (dtype < 0 || dtype == static_cast<int>(dtype_)),
                 "{} read as an element of {} bytes", dtype_name(dtype_), size);
}

Tensor Tensor::reshape(Shape shape) const {
  FARTHING_CHECK(num_elements(shape) == numel_, "{} to {}", to_string(shape_), to_string(shape));
  Tensor result = *this;
  result.shape_ = std::move(shape);
  return result;
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  FARTHING_CHECK(rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0], "rows {} to {} of {}", begin,
                 end, to_string(shape_));
  Tensor result = *this;
  const std::size_t stride = shape_[0] == 0 ? 0 : size_ / static_cast<std::size_t>(shape_[0]);
  result.shape_[0] = end - begin;
  result.numel_ = num_elements(result.shape_);
  result.data_ = data_ + static_cast<std::size_t>(begin) * stride;
  result.size_ = static_cast<std::size_t>(end - begin) * stride;
  return result;
}

Tensor Tensor::clone() const {
  Tensor result = empty(dtype_, shape_);
  std::memcpy(result.mutable_bytes().data(), data_, size_);
  return result;
}

Tensor to_float32(const Tensor& tensor) {
  if (tensor.dtype() == DType::kF32) return tensor;
  Tensor result = Tensor::empty(DType::kF32, tensor.shape());
  copy_as_float32(tensor, 0, tensor.numel(), result.mutable_data<float>());
  return result;
}

void copy_as_float32(const Tensor& tensor, std::int64_t begin, std::int64_t count, float* out) {
  FARTHING_CHECK(begin >= 0 && count >= 0 && begin <= tensor.numel() - count, "{} from {} of {}", count,
                 begin, to_string(tensor.shape()));
  // Each lambda is a type of its own, so that its loop is compiled (and vectorised) for itself.
  const auto convert = [&]<typename T>(const T* in, auto decode) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = decode(in[begin + i]);
  };
  switch (tensor.dtype()) {
    case DType::kF32:
      convert(tensor.data<float>(), [](float value) { return value; });
      break;
    case DType::kBF16:
      convert(tensor.data<std::uint16_t>(), [](std::uint16_t bits) { return bf16_to_float(bits); });
      break;
    case DType::kF16:
      convert(tensor.data<std::uint16_t>(), [](std::uint16_t bits) { return fp16_to_float(bits); });
      break;
    case DType::kF64:
      convert(tensor.data<double>(), [](double value) { return static_cast<float>(value); });
      break;
    case DType::kF8E4M3:
      convert(reinterpret_cast<const std::uint8_t*>(tensor.bytes().data()), fp8_e4m3_to_float);
      break;
    case DType::kF8E5M2:
      convert(reinterpret_cast<const std::uint8_t*>(tensor.bytes().data()), fp8_e5m2_to_float);
      break;
    case DType::kF8E8M0:
      convert(reinterpret_cast<const std::uint8_t*>(tensor.bytes().data()), fp8_e8m0_to_float);
      break;
    default:
      throw Error(Code::kUnsupported, "tensor is not of a floating-point type",
                  {{"dtype", dtype_name(tensor.dtype())}});
  }
}

bool all_finite(const Tensor& tensor) {
  // An all-ones exponent is an infinity or a NaN. A branch-free count lets the compiler use vectors.
  const auto none = [&]<typename T>(const T* values, auto is_bad) {
    std::int64_t bad = 0;
    for (std::int64_t i = 0; i < tensor.numel(); ++i) bad += is_bad(values[i]);
    return bad == 0;
  };
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(tensor.bytes().data());
  switch (tensor.dtype()) {
    case DType::kBF16:
      return none(tensor.data<std::uint16_t>(), [](auto x) { return (x & 0x7f80u) == 0x7f80u; });
    case DType::kF16:
      return none(tensor.data<std::uint16_t>(), [](auto x) { return (x & 0x7c00u) == 0x7c00u; });
    case DType::kF32:
      return none(tensor.data<float>(),
                  [](float x) { return !(std::abs(x) <= std::numeric_limits<float>::max()); });
    case DType::kF64:
      return none(tensor.data<double>(),
                  [](double x) { return !(std::abs(x) <= std::numeric_limits<double>::max()); });
    case DType::kF8E4M3:
      return none(bytes, [](auto x) { return (x & 0x7fu) == 0x7fu; });
    case DType::kF8E5M2:
      return none(bytes, [](auto x) { return (x & 0x7cu) == 0x7cu; });
    case DType::kF8E8M0:
      return none(bytes, [](auto x) { return x == 0xffu; });
    default:
      return true;
  }
}

Tensor from_float32(const Tensor& tensor, DType dtype) {
  if (dtype == DType::kF32) return tensor;
  Tensor result = Tensor::empty(dtype, tensor.shape());
  const float* in = tensor.data<float>();
  std::uint16_t* out = result.mutable_data<std::uint16_t>();
  FARTHING_CHECK(dtype == DType::kBF16 || dtype == DType::kF16, "{}", dtype_name(dtype));
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    out[i] = dtype == DType::kBF16 ? float_to_bf16(in[i]) : float_to_fp16(in[i]);
  return result;
}

Tensor transpose(const Tensor& matrix) {
  FARTHING_CHECK(matrix.rank() == 2 && dtype_bits(matrix.dtype()) % 8 == 0);
  const std::int64_t rows = matrix.dim(0), columns = matrix.dim(1);
  const std::size_t size = static_cast<std::size_t>(dtype_bits(matrix.dtype()) / 8);
  Tensor result = Tensor::empty(matrix.dtype(), {columns, rows});
  const std::byte* in = matrix.bytes().data();
  std::byte* out = result.mutable_bytes().data();
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c)
      std::memcpy(out + (c * rows + r) * size, in + (r * columns + c) * size, size);
  }
  return result;
}

}  // namespace farthing
