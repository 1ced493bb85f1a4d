// The 16 values of ggml's IQ4 types, which lie closer together near zero.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace farthing::methods::ggml {

struct NonLinearCodes {
  static constexpr std::array<float, 16> kValues = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                    1,    13,   25,  38,  53,  69,  89,  113};

  /// The nearest of the values.
  float operator()(float x) const {
    int index = 0;
    for (int i = 0; i < 15; ++i) index += x > (kValues[i] + kValues[i + 1]) * 0.5f;
    return kValues[index];
  }
  float extreme() const { return kValues[0]; }
  float step() const { return 1.0f; }

  static std::uint8_t index_of(float value) {
    return static_cast<std::uint8_t>(std::lower_bound(kValues.begin(), kValues.end(), value) -
                                     kValues.begin());
  }
};

}  // namespace farthing::methods::ggml
