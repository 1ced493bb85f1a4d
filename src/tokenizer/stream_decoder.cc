#include <utility>

#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

StreamDecoder::StreamDecoder(Tokenizer tokenizer, const DecodeOptions& options)
    : tokenizer_(std::move(tokenizer)), options_(options) {
  options_.clean_up_tokenization_spaces = false;  // it would take back spaces that are already out
}

std::string StreamDecoder::decode(std::size_t count) const {
  return tokenizer_.decode(std::span(window_).first(count), options_);
}

std::string StreamDecoder::push(std::int32_t id) {
  window_.push_back(id);
  // How a token looks depends on those before it, so the text is what decoding both adds to decoding the old
  // ones.
  const std::string before = decode(num_emitted_);
  const std::string after = decode(window_.size());
  if (after.size() <= before.size() || after.ends_with(kReplacementCharacter)) return {};
  window_.erase(window_.begin(), window_.begin() + static_cast<std::ptrdiff_t>(num_emitted_));
  num_emitted_ = window_.size();
  return after.substr(before.size());
}

std::string StreamDecoder::finish() {
  const std::string before = decode(num_emitted_);
  const std::string after = decode(window_.size());
  window_.clear();
  num_emitted_ = 0;
  return after.size() > before.size() ? after.substr(before.size()) : std::string();
}

}  // namespace farthing::tokenizer
