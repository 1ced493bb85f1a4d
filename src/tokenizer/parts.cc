#include "tokenizer/parts.h"

#include <algorithm>
#include <utility>

namespace farthing::tokenizer {

namespace {

/// The id behind all others.
std::int32_t next_free_id(const Tokenizer::Parts& parts) {
  std::int32_t id = parts.model->vocabulary().id_limit();
  for (const AddedToken& token : parts.added_tokens.tokens()) id = std::max(id, token.id + 1);
  return id;
}

/// The post-processor for a framing; a role that no token has adds nothing.
PostProcessor make_frame(const Tokenizer::Parts& parts, const Framing& framing) {
  const auto append_role = [&](std::string_view role, std::vector<std::int32_t>& ids) {
    const auto found = parts.roles.find(role);
    if (found == parts.roles.end()) return;
    if (const auto id = parts.token_id(found->second)) ids.push_back(*id);
  };
  PostProcessor frame;
  if (framing.add_bos_token) append_role("bos_token", frame.before);
  if (framing.add_eos_token) append_role("eos_token", frame.after);
  return frame;
}

}  // namespace

std::optional<std::int32_t> Tokenizer::Parts::token_id(std::string_view token) const {
  if (const AddedToken* added = added_tokens.find(token)) return added->id;
  return model->vocabulary().id(token);
}

const AddedToken* Tokenizer::Parts::added_token(std::int32_t id) const {
  if (const AddedToken* added = added_tokens.find(id)) return added;
  const auto token = model->vocabulary().token(id);
  return token ? added_tokens.find(*token) : nullptr;
}

void complete_parts(Tokenizer::Parts& parts, const TokenizerConfig& config) {
  for (const auto& [role, token] : config.roles) parts.roles[role] = token;
  std::int32_t free_id = next_free_id(parts);
  for (AddedToken token : config.added_tokens) {
    const AddedToken* present = parts.added_tokens.find(token.content);
    // A token that is in place keeps its flags unless the configuration lists it by id with others.
    if (present != nullptr && token.id == kIdFromVocabulary && present->special) continue;
    if (const auto known = parts.token_id(token.content)) {
      token.id = *known;
    } else if (token.id == kIdFromVocabulary) {
      token.id = free_id;
    }
    free_id = std::max(free_id, token.id + 1);
    if (present != nullptr && present->special) token.special = true;
    parts.added_tokens.add(std::move(token));
  }
  for (const auto& [role, content] : parts.roles) {
    if (parts.added_tokens.find(content) != nullptr) continue;
    AddedToken token;
    token.content = content;
    token.id = parts.token_id(content).value_or(free_id);
    token.special = true;
    token.normalized = false;
    free_id = std::max(free_id, token.id + 1);
    parts.added_tokens.add(std::move(token));
  }
  parts.added_tokens.build(parts.normalizer.get());
  if (parts.framing) parts.post_processor = make_frame(parts, *parts.framing);
  parts.model_max_length = config.model_max_length;
  parts.clean_up_tokenization_spaces = config.clean_up_tokenization_spaces;
  if (parts.model->separable_at_word_starts()) {
    std::vector<PreTokenizerPtr> stages;
    if (parts.pre_tokenizer != nullptr) stages.push_back(std::move(parts.pre_tokenizer));
    stages.push_back(make_word_start_split());
    parts.pre_tokenizer = make_pre_tokenizer_sequence(std::move(stages));
  }
}

}  // namespace farthing::tokenizer
