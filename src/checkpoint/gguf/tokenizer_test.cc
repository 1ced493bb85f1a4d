#include "checkpoint/gguf/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace farthing::checkpoint::gguf {
namespace {

using testing::HasSubstr;

Json small_tokenizer(const std::string& pre) {
  return {{"tokenizer.ggml.model", "gpt2"},
          {"tokenizer.ggml.pre", pre},
          {"tokenizer.ggml.tokens", {"<s>", "a", "b", "ab"}},
          {"tokenizer.ggml.token_type", {3, 1, 1, 1}},
          {"tokenizer.ggml.merges", {"a b"}},
          {"tokenizer.ggml.bos_token_id", 0u},
          {"tokenizer.ggml.eos_token_id", 0u},
          {"tokenizer.chat_template", "{{ messages }}"}};
}

std::string problem(const Json& metadata, Code code) {
  try {
    tokenizer_files(metadata, "model.gguf");
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
}

TEST(GgufTokenizer, BecomesTheFilesOfAFolder) {
  const auto files = tokenizer_files(small_tokenizer("smollm"), "model.gguf");
  const Json tokenizer = parse_json(files.at("tokenizer.json"), "tokenizer.json");
  EXPECT_EQ(tokenizer["model"]["vocab"]["ab"], 3);
  EXPECT_EQ(tokenizer["model"]["merges"], Json::array({"a b"}));
  EXPECT_EQ(tokenizer["pre_tokenizer"]["pretokenizers"][0]["type"], "Digits");
  EXPECT_EQ(tokenizer["added_tokens"][0]["content"], "<s>");
  EXPECT_EQ(tokenizer["added_tokens"][0]["special"], true);
  EXPECT_TRUE(tokenizer["post_processor"].is_null());
  EXPECT_EQ(parse_json(files.at("tokenizer_config.json"), "")["eos_token"], "<s>");
  EXPECT_EQ(files.at("chat_template.jinja"), "{{ messages }}");
}

TEST(GgufTokenizer, PutsTheFirstTokenWhereTheFileSaysSo) {
  Json metadata = small_tokenizer("llama-bpe");
  metadata["tokenizer.ggml.add_bos_token"] = true;
  const Json tokenizer = parse_json(tokenizer_files(metadata, "model.gguf").at("tokenizer.json"), "");
  EXPECT_EQ(tokenizer["post_processor"]["special_tokens"]["<s>"]["ids"], Json::array({0}));
  EXPECT_EQ(tokenizer["model"]["ignore_merges"], true);
  EXPECT_THAT(tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"].get<std::string>(),
              HasSubstr("\\p{N}{1,3}|"));
}

TEST(GgufTokenizer, RefusesWhatItDoesNotKnowAndWhatContradictsItself) {
  EXPECT_THAT(problem(small_tokenizer("other"), Code::kUnsupported), HasSubstr("pre=other"));
  EXPECT_THAT(problem(Json::object(), Code::kUnsupported), HasSubstr("model.gguf"));
  Json metadata = small_tokenizer("gpt-2");
  metadata["tokenizer.ggml.token_type"] = {1};
  EXPECT_THAT(problem(metadata, Code::kCorruptData), HasSubstr("token_type"));
  metadata = small_tokenizer("gpt-2");
  metadata["tokenizer.ggml.bos_token_id"] = 4u;
  EXPECT_THAT(problem(metadata, Code::kCorruptData), HasSubstr("bos_token_id"));
  metadata = small_tokenizer("gpt-2");
  metadata["tokenizer.ggml.merges"] = nullptr;
  EXPECT_THAT(problem(metadata, Code::kCorruptData), HasSubstr("merges"));
}

}  // namespace
}  // namespace farthing::checkpoint::gguf
