// The choice of a canvas for a picture, made alike by LLaVA-NeXT's processor and its model.
#pragma once

#include <span>

#include "image/pixels.h"

namespace farthing::image {

/// The canvas on which most of the picture's own pixels survive; among equals the one that wastes least.
/// `canvases` is not empty.
Size best_canvas(const Size& picture, std::span<const Size> canvases);

}  // namespace farthing::image
