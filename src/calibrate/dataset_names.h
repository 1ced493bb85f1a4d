// The names that the field gives its calibration sets, and where the Hugging Face cache keeps them.
#pragma once

#include <filesystem>
#include <string>

namespace farthing::calibrate {

/// Finds the files of `name` or `name:split` (wikitext2, c4, c4-new, ptb, ptb-new, open_platypus,
/// ultrachat_200k, flickr30k, or any org/dataset) in the cache: the last snapshot's folder, or its first file
/// with `split` in its name, which for the names of the field is that of training where it is there. Throws
/// kNotFound saying what to download and where, or, for a word that is no data set, with the names that are.
std::filesystem::path find_dataset(const std::string& name);

}  // namespace farthing::calibrate
