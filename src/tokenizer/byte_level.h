// The alphabet of byte-level tokenizers: every byte as one printable character, so that vocabularies are
// plain text. Bytes 0x21-0x7E, 0xA1-0xAC and 0xAE-0xFF stand for themselves, the other 68 are U+0100, U+0101,
// ... in order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace farthing::tokenizer {

/// Appends the characters for `bytes`.
void append_byte_level(std::string& text, std::string_view bytes);

/// Appends the bytes that the characters of `text` (valid UTF-8) stand for. If one of them stands for no
/// byte, appends `text` as it is.
void append_byte_level_decoded(std::string& bytes, std::string_view text);

}  // namespace farthing::tokenizer
