// The processors that ImageProcessor::create() chooses from, one source file each. `type` is the value of
// image_processor_type, without the suffixes Fast and Pil.
#pragma once

#include <memory>
#include <string_view>

#include "image/processor.h"

namespace farthing::image {

std::unique_ptr<ImageProcessor> make_clip_processor(std::string_view type, const Json& config);

}  // namespace farthing::image
