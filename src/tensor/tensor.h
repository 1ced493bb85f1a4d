// A dense row-major array: element type, shape, and a view of bytes that something keeps alive (an allocation
// or the mapping of a checkpoint file). Copies are cheap and share the bytes.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "tensor/dtype.h"

namespace farthing {

using Shape = std::vector<std::int64_t>;

/// Returns "[2, 3]".
std::string to_string(const Shape& shape);

/// Returns the product of the dimensions. Throws kCorruptData on a negative dimension or overflow.
std::int64_t num_elements(const Shape& shape);

/// Returns the bytes of a dense tensor. Throws kCorruptData when the shape is impossible, overflows, or ends
/// inside a byte.
std::size_t tensor_bytes(DType dtype, const Shape& shape);

/// Where the bytes live. Only the CPU is addressable from here; kernels/cuda owns the other kind.
enum class DeviceType : std::uint8_t { kCpu, kCuda };

namespace internal {
template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kF64;
};
template <>
struct DTypeOf<std::int8_t> {
  static constexpr DType value = DType::kI8;
};
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::kU8;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::kI64;
};
}  // namespace internal

class Tensor {
 public:
  Tensor() = default;

  /// Allocates uninitialised (`empty`) or zeroed memory, aligned to 64 bytes.
  static Tensor empty(DType dtype, Shape shape);
  static Tensor zeros(DType dtype, Shape shape);

  /// Copies values into a new tensor, as in Tensor::of<float>({2, 2}, {1, 2, 3, 4}).
  template <typename T>
  static Tensor of(Shape shape, std::span<const T> values);
  template <typename T>
  static Tensor of(Shape shape, std::initializer_list<T> values) {
    return of<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }

  /// Looks at read-only bytes kept alive by `owner`. `bytes` must be exactly as long as dtype and shape say.
  static Tensor view(DType dtype, Shape shape, std::span<const std::byte> bytes,
                     std::shared_ptr<const void> owner);

  bool defined() const { return dtype_valid_; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return static_cast<int>(shape_.size()); }
  /// Dimension `axis`; negative counts from the end.
  std::int64_t dim(int axis) const;
  std::int64_t numel() const { return numel_; }
  std::size_t num_bytes() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::span<std::byte> mutable_bytes();

  /// Typed access; the type must fit the dtype (16-bit floats are read as std::uint16_t, fp8 as
  /// std::uint8_t).
  template <typename T>
  const T* data() const {
    check_type(sizeof(T), internal_dtype<T>());
    return reinterpret_cast<const T*>(data_);
  }
  template <typename T>
  T* mutable_data() {
    check_type(sizeof(T), internal_dtype<T>());
    return reinterpret_cast<T*>(mutable_bytes().data());
  }
  template <typename T>
  std::span<const T> span() const {
    return {data<T>(), static_cast<std::size_t>(numel_)};
  }

  /// The same bytes under another shape with as many elements.
  Tensor reshape(Shape shape) const;

  /// Rows [begin, end) of the first axis, sharing the bytes.
  Tensor rows(std::int64_t begin, std::int64_t end) const;

  /// A copy in memory of its own.
  Tensor clone() const;

 private:
  template <typename T>
  static constexpr int internal_dtype() {
    if constexpr (requires { internal::DTypeOf<T>::value; })
      return static_cast<int>(internal::DTypeOf<T>::value);
    else
      return -1;  // a bag of bits such as std::uint16_t: only the size is checked
  }
  void check_type(std::size_t size, int dtype) const;

  DType dtype_ = DType::kF32;
  bool dtype_valid_ = false;
  bool writable_ = false;
  Shape shape_;
  std::int64_t numel_ = 0;
  std::size_t size_ = 0;
  const std::byte* data_ = nullptr;
  std::shared_ptr<const void> owner_;
};

/// Converts any floating-point tensor to fp32 (returned as is when it is fp32 already). Throws kUnsupported
/// for integers.
Tensor to_float32(const Tensor& tensor);

/// Converts elements [begin, begin + count), counted in row-major order, to `out`; the same types.
void copy_as_float32(const Tensor& tensor, std::int64_t begin, std::int64_t count, float* out);

/// False when any element is infinite or not a number. Integers are always finite.
bool all_finite(const Tensor& tensor);

/// Converts fp32 to kF32, kBF16, kF16 (round to nearest even).
Tensor from_float32(const Tensor& tensor, DType dtype);

/// Transposes a matrix of any byte-sized element type.
Tensor transpose(const Tensor& matrix);

template <typename T>
Tensor Tensor::of(Shape shape, std::span<const T> values) {
  Tensor result = empty(internal::DTypeOf<T>::value, std::move(shape));
  FARTHING_CHECK(static_cast<std::int64_t>(values.size()) == result.numel());
  std::copy(values.begin(), values.end(), result.mutable_data<T>());
  return result;
}

}  // namespace farthing
