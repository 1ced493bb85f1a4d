// The processors that ImageProcessor::create() chooses from, one source file each.
#pragma once

#include <memory>
#include <string_view>

#include "image/processor.h"

namespace farthing::image {

struct Settings {
  std::string_view type;        // image_processor_type without the suffixes Fast and Pil
  const Json& image_processor;  // preprocessor_config.json
  const Json& processor;        // processor_config.json, or an empty object
};

std::unique_ptr<ImageProcessor> make_clip_processor(const Settings& settings);
std::unique_ptr<ImageProcessor> make_gemma3_processor(const Settings& settings);
std::unique_ptr<ImageProcessor> make_got_ocr2_processor(const Settings& settings);
std::unique_ptr<ImageProcessor> make_idefics3_processor(const Settings& settings);
std::unique_ptr<ImageProcessor> make_llama4_processor(const Settings& settings);
std::unique_ptr<ImageProcessor> make_llava_next_processor(const Settings& settings);
std::unique_ptr<ImageProcessor> make_mllama_processor(const Settings& settings);
std::unique_ptr<ImageProcessor> make_phi3_v_processor(const Settings& settings);
std::unique_ptr<ImageProcessor> make_pixtral_processor(const Settings& settings);
std::unique_ptr<ImageProcessor> make_qwen2_vl_processor(const Settings& settings);

}  // namespace farthing::image
