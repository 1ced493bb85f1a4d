#include <utility>

#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

StreamDecoder::StreamDecoder(Tokenizer tokenizer, const DecodeOptions& options)
    : tokenizer_(std::move(tokenizer)), options_(options) {
  options_.clean_up_tokenization_spaces = false;  // it would take back spaces that are already out
}

std::string StreamDecoder::decode(std::size_t begin, std::size_t end) const {
  return tokenizer_.decode(std::span(window_).subspan(begin, end - begin), options_);
}

std::string StreamDecoder::pending_text() const {
  // How a token looks depends on those before it, so its text is what it adds to theirs. A byte that does not
  // fit in can spoil the text of bytes before it, which are out already: then the pending tokens stand for
  // themselves.
  const std::string before = decode(0, num_emitted_);
  const std::string all = decode(0, window_.size());
  return all.starts_with(before) ? all.substr(before.size()) : decode(num_emitted_, window_.size());
}

std::string StreamDecoder::push(std::int32_t id) {
  window_.push_back(id);
  std::string text = pending_text();
  if (text.empty() || text.ends_with(kReplacementCharacter)) return {};
  window_.erase(window_.begin(), window_.begin() + static_cast<std::ptrdiff_t>(num_emitted_));
  num_emitted_ = window_.size();
  return text;
}

std::string StreamDecoder::finish() {
  std::string text = pending_text();
  window_.clear();
  num_emitted_ = 0;
  return text;
}

}  // namespace farthing::tokenizer
