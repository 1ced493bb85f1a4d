// One column of a line (see packed_layout.h) as a vector of floats: `open` reads what the columns of a line
// share, for the outputs from `lane` on; `value` gives column i, which is a constant wherever the loop over a
// whole line is unrolled.
#pragma once

namespace farthing::kernels::FARTHING_ISA_NAMESPACE {

inline IntVec load_words(const std::byte* line, int lane) {
  return load_int(line + 4 * lane);
}

struct LineF32 {
  static constexpr int kColumns = 1;
  struct Offsets {};
  static Offsets offsets(Vec, const float*) { return {}; }
  static Vec open(const std::byte* line, int lane) { return as_float(load_words(line, lane)); }
  static Vec value(Vec line, int, const Offsets&) { return line; }
};

struct LineF16 {
  static constexpr int kColumns = 2;
  struct Offsets {};
  static Offsets offsets(Vec, const float*) { return {}; }
  static const std::uint16_t* open(const std::byte* line, int lane) {
    return reinterpret_cast<const std::uint16_t*>(line) + lane;
  }
  static Vec value(const std::uint16_t* line, int i, const Offsets&) {
    return load_half(line + i * kPanelRows);
  }
};

struct LineBF16 {
  static constexpr int kColumns = 2;
  struct Offsets {};
  static Offsets offsets(Vec, const float*) { return {}; }
  static IntVec open(const std::byte* line, int lane) { return load_words(line, lane); }
  static Vec value(IntVec line, int i, const Offsets&) {
    return as_float(i == 0 ? shift_left<16>(line) : bit_and(line, set_int(0xffff0000u)));
  }
};

// A code is masked in place, at bit s of the mantissa of 2^(23 - s): the float is 2^(23 - s) + code. One
// exact subtraction leaves code - zero point. Codes beyond bit 15 are shifted down first, sixteen bits at
// once.
template <int kBits>
struct LineCodes {
  static constexpr int kColumns = 32 / kBits;
  static constexpr int kPlaces = 16 / kBits;
  struct Offsets {
    Vec place[kPlaces];
  };
  static Offsets offsets(Vec zero_point, const float*) {
    Offsets result;
    const Vec code_of_zero = zero_point + set(static_cast<float>(1 << (kBits - 1)));
    for (int i = 0; i < kPlaces; ++i)
      result.place[i] = code_of_zero + set(static_cast<float>(1 << (23 - kBits * i)));
    return result;
  }
  static IntVec open(const std::byte* line, int lane) { return load_words(line, lane); }
  static Vec value(IntVec line, int i, const Offsets& offsets) {
    const int bit = kBits * (i % kPlaces);
    const IntVec mask = set_int(((1u << kBits) - 1u) << bit);
    const IntVec exponent = set_int(static_cast<std::uint32_t>(127 + 23 - bit) << 23);
    const IntVec codes = i < kPlaces ? line : shift_right<16>(line);
    return as_float(and_or(codes, mask, exponent)) - offsets.place[i % kPlaces];
  }
};

// Places in a table of 16 values, which stays in registers.
struct LineTable4 {
  static constexpr int kColumns = 8;
  using Offsets = Table16;
  static Offsets offsets(Vec, const float* table) { return load_table(table); }
  static IntVec open(const std::byte* line, int lane) { return load_words(line, lane); }
  static Vec value(IntVec line, int i, const Offsets& table) {
    return look_up(table, shift_right(line, 4 * i));
  }
};

/// Returns f(Format{}) for the format of a weight: `Call` is a struct with a template member run<Format>().
template <typename Call>
void with_format(LineFormat format, const Call& call) {
  switch (format) {
    case LineFormat::kF32:
      return call.template run<LineF32>();
    case LineFormat::kBF16:
      return call.template run<LineBF16>();
    case LineFormat::kF16:
      return call.template run<LineF16>();
    case LineFormat::kCodes8:
      return call.template run<LineCodes<8>>();
    case LineFormat::kCodes4:
      return call.template run<LineCodes<4>>();
    case LineFormat::kTable4:
      return call.template run<LineTable4>();
  }
}

}  // namespace farthing::kernels::FARTHING_ISA_NAMESPACE
