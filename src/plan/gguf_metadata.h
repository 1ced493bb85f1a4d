// The metadata of a GGUF file: what llama.cpp needs to know of a model and its tokenizer.
#pragma once

#include <filesystem>

#include "checkpoint/gguf/model.h"
#include "checkpoint/gguf/writer.h"
#include "nn/declaration.h"
#include "plan/quantize_plan.h"

namespace farthing::plan {

/// The keys of the model itself under the architecture's name ("llama"). Notes what llama.cpp does otherwise
/// in `deviations`. Throws kUnsupported for positions that it has no words for.
checkpoint::gguf::Metadata model_metadata(const nn::ModelSpec& spec,
                                          const checkpoint::gguf::StoredArchitecture& architecture,
                                          const std::string& name, std::uint32_t file_type,
                                          std::vector<Deviation>& deviations);

/// The keys of the tokenizer and chat template of `model`, a folder or a GGUF file; of the ids of config.json
/// only where there is no tokenizer, which is noted.
checkpoint::gguf::Metadata tokenizer_metadata(const std::filesystem::path& model, const Json& config,
                                              std::int64_t vocab_size, std::vector<Deviation>& deviations);

/// Factors of the frequencies where a scaling has one for each (Llama 3); else empty.
std::vector<float> rope_factors(const nn::ModelSpec& spec);

}  // namespace farthing::plan
