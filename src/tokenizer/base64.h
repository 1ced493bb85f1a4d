// Base64 (RFC 4648), as tokenizer files use it for binary tables and token bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace farthing::tokenizer {

/// Decodes text of the standard alphabet, with or without padding. Nothing when it is malformed.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace farthing::tokenizer
