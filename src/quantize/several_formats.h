// One quantization, written in several formats: the codes are made once and carried over, value for value.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plan/quantize_plan.h"
#include "quantize/convert.h"

namespace farthing::quantize {

/// The names in a list such as "compressed-tensors,gptq". Throws kInvalidArgument for names that are unknown
/// or come twice, and for gguf, whose types are grids of their own.
std::vector<std::string> split_formats(std::string_view list);

/// Throws kUnsupported, naming module and format, when one of `formats` cannot hold what `plan` will make.
void require_formats_hold(const plan::QuantizePlan& plan, std::span<const std::string> formats);

/// What became of one of the further formats.
struct FurtherFormat {
  std::string format;
  std::filesystem::path output;
  ConvertResult result;
};

/// Writes the model in `folder`/`formats`[0] into `folder`/NAME for every further name.
std::vector<FurtherFormat> write_further_formats(const std::filesystem::path& folder,
                                                 std::span<const std::string> formats,
                                                 const std::optional<nn::ModelSpec>& spec, bool overwrite,
                                                 ThreadPool& pool, Reporter& reporter,
                                                 const CancelToken& cancel);

}  // namespace farthing::quantize
