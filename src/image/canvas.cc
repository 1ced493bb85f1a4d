#include "image/canvas.h"

#include <algorithm>
#include <limits>

namespace farthing::image {

Size best_canvas(const Size& picture, std::span<const Size> canvases) {
  const std::int64_t area = std::int64_t{picture.height} * picture.width;
  Size best = canvases.front();
  std::int64_t most_effective = 0;
  std::int64_t least_wasted = std::numeric_limits<std::int64_t>::max();
  for (const Size& canvas : canvases) {
    const double scale = std::min(static_cast<double>(canvas.width) / picture.width,
                                  static_cast<double>(canvas.height) / picture.height);
    const auto width = static_cast<std::int64_t>(picture.width * scale);
    const auto height = static_cast<std::int64_t>(picture.height * scale);
    const std::int64_t effective = std::min(width * height, area);
    const std::int64_t wasted = std::int64_t{canvas.width} * canvas.height - effective;
    if (effective > most_effective || (effective == most_effective && wasted < least_wasted)) {
      most_effective = effective;
      least_wasted = wasted;
      best = canvas;
    }
  }
  return best;
}

}  // namespace farthing::image
