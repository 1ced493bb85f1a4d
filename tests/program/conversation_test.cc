// run and chat as people and scripts use them: one question, sampling, and a conversation typed line by line.
#include <algorithm>

#include "tests/program/program.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"

namespace farthing::program {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Words = std::vector<std::string>;

const std::string kModel = source_path("models/tiny-llava-21m");
const std::string kKitten = source_path("data/images/kitten.jpg");
const std::string kQuestion = "What animal is this?";

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Json document(const Words& arguments) {
  const Outcome outcome = run(arguments + Words{"--json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return parse_json(outcome.out, "stdout");
}

Json ids(const Words& more) {
  return document(Words{"run", kModel, kQuestion, "--max-tokens", "16"} + more).at("ids");
}

TEST(Run, AnswersInTextIdsAndJson) {
  const Words words = {"run", kModel, kQuestion, "--image", kKitten};
  const Outcome text = run(words + Words{"--stats"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("cat"));
  EXPECT_THAT(text.err, HasSubstr("tokens/s")) << "--stats goes to stderr";
  const Json json = document(words);
  EXPECT_EQ(json.at("finish_reason"), "stop");
  EXPECT_GT(json.at("prompt_tokens"), 64) << "the picture's tokens count";
  for (const char* key : {"prefill_seconds", "decode_seconds"}) EXPECT_TRUE(json.at(key).is_number()) << key;
  EXPECT_EQ(text.out, json.at("text").get<std::string>() + "\n");
  std::string listed;
  for (const Json& id : json.at("ids")) listed += (listed.empty() ? "" : " ") + id.dump();
  EXPECT_EQ(run(words + Words{"--ids"}).out, listed + "\n");
}

TEST(Run, TheQuestionMayComeThroughAPipe) {
  const Words words = {"run", kModel, "--max-tokens", "8", "--ids"};
  const Outcome piped = run_with_input(words, kQuestion);
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_EQ(piped.out, run(Words{"run", kModel, kQuestion} + Words{"--max-tokens", "8", "--ids"}).out);
}

TEST(Run, SamplingFollowsTheSeedForAnyNumberOfThreads) {
  const Words hot = {"--temperature", "1.5"};
  const Json first = ids(hot + Words{"--seed", "5"});
  EXPECT_EQ(first, ids(hot + Words{"--seed", "5"}));
  EXPECT_EQ(first, ids(hot + Words{"--seed", "5", "--threads", "1"}));
  EXPECT_EQ(first, ids(hot + Words{"--seed", "5", "--threads", "3"}));
  EXPECT_NE(first, ids(hot + Words{"--seed", "6"}));
  EXPECT_EQ(ids(hot), ids(hot + Words{"--seed", "0"})) << "without --seed an answer is repeatable too";
}

TEST(Run, OnlyTheLikeliestTokenIsGreedy) {
  const Json greedy = ids({});
  EXPECT_EQ(greedy, ids({"--temperature", "0", "--seed", "9"}));
  EXPECT_EQ(greedy, ids({"--temperature", "2", "--top-k", "1"}));
  EXPECT_EQ(greedy, ids({"--temperature", "2", "--top-p", "0.000001"}));
  EXPECT_EQ(greedy, ids({"--temperature", "0.000001"}));
}

TEST(Run, RefusesSamplingThatMakesNoSense) {
  for (const Words& flags :
       {Words{"--temperature", "-1"}, Words{"--temperature", "nan"}, Words{"--top-p", "0"},
        Words{"--top-p", "1.5"}, Words{"--top-k", "-1"}, Words{"--min-p", "2"}}) {
    const Outcome outcome = run(Words{"run", kModel, kQuestion} + flags);
    EXPECT_EQ(outcome.exit_code, 2) << testing::PrintToString(flags);
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(outcome.err, testing::StartsWith("error: "));
  }
}

TEST(Run, TheSystemTextIsPartOfThePrompt) {
  const auto prompt_tokens = [](const Words& more) {
    return document(Words{"run", kModel, kQuestion, "--max-tokens", "1"} + more)
        .at("prompt_tokens")
        .get<int>();
  };
  EXPECT_GT(prompt_tokens({"--system", "Answer in one word."}), prompt_tokens({}) + 3);
  EXPECT_LT(prompt_tokens({"--raw"}), prompt_tokens({}));
}

TEST(Run, LogitsAreThoseTheFirstTokenWasPickedFrom) {
  const TemporaryFolder folder;
  const Json json =
      document({"run", kModel, kQuestion, "--image", kKitten, "--logits", folder / "l.safetensors"});
  const auto file = checkpoint::Checkpoint::open(folder / "l.safetensors");
  const auto tokens = json.at("prompt_tokens").get<std::int64_t>();
  const Tensor logits = file.read("logits"), input = file.read("input_ids");
  EXPECT_EQ(input.shape(), Shape({1, tokens}));
  EXPECT_EQ(logits.shape(), Shape({1, tokens, 4096}));
  EXPECT_TRUE(file.contains("pixel_values"));
  const auto last = logits.span<float>().last(4096);
  EXPECT_EQ(std::max_element(last.begin(), last.end()) - last.begin(),
            json.at("ids").at(0).get<std::int64_t>());
}

// What chat wrote, from a script of lines.
Outcome chat(const std::string& lines, const Words& more = {}) {
  return run_with_input(Words{"chat", kModel, "--max-tokens", "24"} + more, lines);
}

TEST(Chat, AsksAboutAPictureAndSavesTheConversation) {
  const TemporaryFolder folder;
  const Outcome outcome = chat("/image " + kKitten + "\n" + kQuestion + "\n/save " + (folder / "chat.json") +
                               "\n/stats\n/quit\nnever asked\n");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("pixels"), HasSubstr("prompt tokens in")));
  const Json saved = read_json(folder / "chat.json");
  ASSERT_EQ(saved.size(), 2u);
  EXPECT_EQ(saved[0]["role"], "user");
  EXPECT_EQ(saved[0]["content"],
            parse_json(R"([{"type": "image"}, {"type": "text", "text": "What animal is this?"}])", ""));
  EXPECT_EQ(saved[1]["role"], "assistant");
  const std::string answer = saved[1]["content"];
  EXPECT_THAT(outcome.out, HasSubstr(answer));
  EXPECT_EQ(answer + "\n", run({"run", kModel, kQuestion, "--image", kKitten, "--max-tokens", "24"}).out);
}

TEST(Chat, RemembersUntilReset) {
  const TemporaryFolder folder;
  const Outcome outcome =
      chat("Hello\n\nAnd now?\n/save " + (folder / "two.json") + "\n/reset\n/save " + (folder / "none.json") +
           "\n/system Be brief.\nHello\n/save " + (folder / "system.json") + "\n");  // ends without /quit
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(read_json(folder / "two.json").size(), 4u) << "an empty line asks nothing";
  EXPECT_EQ(read_json(folder / "none.json"), Json::array());
  const Json system = read_json(folder / "system.json");
  ASSERT_EQ(system.size(), 3u);
  EXPECT_EQ(system[0], parse_json(R"({"role": "system", "content": "Be brief."})", ""));
}

// A conversation of an hour must not end because of a typing mistake.
TEST(Chat, MistakesDoNotEndIt) {
  const TemporaryFolder folder;
  const Outcome outcome =
      chat("/image /nowhere.jpg\n/image\n/save\n/save /nowhere/x.json\n/unknown\nHello\n/save " +
           (folder / "chat.json") + "\n");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("/nowhere.jpg"), HasSubstr("/nowhere"), HasSubstr("/reset       start over")));
  const Json saved = read_json(folder / "chat.json");
  ASSERT_EQ(saved.size(), 2u);
  EXPECT_EQ(saved[0]["content"], "Hello") << "no picture is left waiting";
}

TEST(Chat, StatsBeforeAnyAnswerSaySo) {
  EXPECT_THAT(chat("/stats\n").out, HasSubstr("no answer yet"));
  EXPECT_THAT(chat("").err, Not(HasSubstr("error")));
}

}  // namespace
}  // namespace farthing::program
