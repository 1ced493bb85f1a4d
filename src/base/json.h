// The one door to the JSON library. Objects keep the order of the file, because chat templates and
// byte-for-byte copies depend on it.
#pragma once

#include <filesystem>
#include <string_view>

#include <nlohmann/json.hpp>

namespace farthing {

using Json = nlohmann::ordered_json;

/// Parses `text`. Throws kCorruptData naming `origin` (a file, usually) and the byte where it went wrong.
Json parse_json(std::string_view text, std::string_view origin);

/// Reads and parses a file. Throws kNotFound, kIo or kCorruptData.
Json read_json(const std::filesystem::path& file);

/// The same for objects of ten thousand keys whose order does not matter: keys are sorted, so that reading is
/// not quadratic.
using SortedJson = nlohmann::json;
SortedJson read_sorted_json(const std::filesystem::path& file);

}  // namespace farthing
