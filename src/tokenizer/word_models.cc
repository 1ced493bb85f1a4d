#include "tokenizer/word_models.h"

#include <utility>

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

namespace {

std::int32_t unknown_id(const Vocabulary& vocabulary, std::string_view unk_token, std::string_view piece) {
  const auto id = vocabulary.id(unk_token);
  FARTHING_REQUIRE(id.has_value(), Code::kUnsupported,
                   "the text has a word that the vocabulary lacks, and there is no unknown token",
                   {{"word", piece}, {"unk_token", unk_token}});
  return *id;
}

}  // namespace

WordLevel::WordLevel(Vocabulary vocabulary, std::string unk_token)
    : Model(std::move(vocabulary)), unk_token_(std::move(unk_token)) {}

void WordLevel::tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const {
  const auto id = vocabulary().id(piece);
  ids.push_back(id ? *id : unknown_id(vocabulary(), unk_token_, piece));
}

WordPiece::WordPiece(Vocabulary vocabulary, std::string unk_token, std::string prefix,
                     std::size_t max_characters)
    : Model(std::move(vocabulary)),
      unk_token_(std::move(unk_token)),
      prefix_(std::move(prefix)),
      max_characters_(max_characters) {}

void WordPiece::tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const {
  const std::size_t size = ids.size();
  if (count_code_points(piece) <= max_characters_ && append_tokens(piece, ids)) return;
  ids.resize(size);
  ids.push_back(unknown_id(vocabulary(), unk_token_, piece));
}

bool WordPiece::append_tokens(std::string_view piece, std::vector<std::int32_t>& ids) const {
  std::string candidate;
  for (std::size_t begin = 0; begin < piece.size();) {
    std::size_t end = piece.size();
    std::optional<std::int32_t> id;
    while (end > begin) {
      candidate = begin > 0 ? prefix_ : "";
      candidate += piece.substr(begin, end - begin);
      id = vocabulary().id(candidate);
      if (id) break;
      end -= code_point_before(piece, end).length;
    }
    if (!id) return false;
    ids.push_back(*id);
    begin = end;
  }
  return true;
}

}  // namespace farthing::tokenizer
