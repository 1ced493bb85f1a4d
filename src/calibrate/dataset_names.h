// The names that the field gives its calibration sets, and where the Hugging Face cache keeps them.
#pragma once

#include <filesystem>
#include <string>

namespace farthing::calibrate {

/// Finds the files of `name` or `name:split` (wikitext2, c4, c4-new, ptb, ptb-new, open_platypus,
/// ultrachat_200k, flickr30k, or any org/dataset) in the cache. Throws kNotFound saying what to download and
/// where, kInvalidArgument for a word that is no data set.
std::filesystem::path find_dataset(const std::string& name);

}  // namespace farthing::calibrate
