// NF4: the 16 values are quantiles of a normal distribution, so that each is used about as often.
#include <array>

#include "methods/blockwise.h"

namespace farthing::methods {
namespace {

constexpr std::array<float, 16> kValues = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

// A value above the first n of these has the code n; a tie goes to the lower code.
constexpr std::array<float, 15> kThresholds = {
    -0.8480964004993439f,  -0.6106329262256622f,  -0.4599952697753906f,   -0.33967943489551544f,
    -0.23460740596055984f, -0.13791173323988914f, -0.045525018125772476f, 0.03979014977812767f,
    0.1202552504837513f,   0.2035212516784668f,   0.2920137718319893f,    0.3893125355243683f,
    0.5016634166240692f,   0.6427869200706482f,   0.8614784181118011f,
};

}  // namespace

Tensor nf4_table() {
  return Tensor::of<float>({16}, kValues);
}

void nf4_codes(const float* values, std::int64_t count, std::uint8_t* codes) {
  for (std::int64_t i = 0; i < count; ++i) {
    int code = 0;
    for (const float threshold : kThresholds) code += values[i] > threshold;
    codes[i] = static_cast<std::uint8_t>(code);
  }
}

}  // namespace farthing::methods
