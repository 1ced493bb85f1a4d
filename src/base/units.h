// Numbers as people write and read them: "20GiB", "32K", "6B", "1.5h", "50%".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace farthing {

/// Reads a size in bytes: "512", "1.5KB" (1000), "20GiB" or "20G" (1024). With `whole`, "50%" is half of it.
/// Throws kInvalidArgument for anything else, for negative and for unreasonably large numbers.
std::uint64_t parse_bytes(std::string_view text, std::uint64_t whole = 0);

/// Reads a count of tokens or samples: "2048", "32K" (1024, as context lengths are meant), "1.5k" (1000).
/// Throws kInvalidArgument, also when the result is no whole number.
std::int64_t parse_count(std::string_view text);

/// Reads a count of parameters: "6B" (1000^3), "135M", "1.1T".
std::int64_t parse_parameters(std::string_view text);

/// Reads a duration in seconds: "90", "90s", "5m", "1.5h", "2d".
double parse_duration(std::string_view text);

/// "4.9 GiB", "512 B".
std::string format_bytes(std::uint64_t bytes);

/// "6.7B", "21.6M", "999".
std::string format_count(std::int64_t count);

/// "0.8s", "42s", "7m41s", "2h05m", "3d04h".
std::string format_duration(double seconds);

}  // namespace farthing
