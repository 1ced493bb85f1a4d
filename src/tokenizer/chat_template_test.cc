// Whole conversations: real templates against what transformers rendered, the files of a model folder, the
// shapes of contents.
#include "tokenizer/chat_template.h"

#include <cstdlib>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

namespace farthing::tokenizer {
namespace {

namespace fs = std::filesystem;

TemplateInputs chat(Json messages, bool add_generation_prompt = false) {
  TemplateInputs inputs;
  inputs.messages = std::move(messages);
  inputs.add_generation_prompt = add_generation_prompt;
  inputs.special_tokens = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  return inputs;
}

Json user(Json content) {
  return Json::array({Json{{"role", "user"}, {"content", std::move(content)}}});
}

std::string message_of(const ChatTemplate& chat_template, const TemplateInputs& inputs) {
  try {
    return "rendered: " + chat_template.render(inputs);
  } catch (const Error& error) {
    return error.message();
  }
}

class Folder {
 public:
  Folder() {
    static int count = 0;
    path_ = fs::temp_directory_path() /
            ("farthing_chat_template_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  void write(const fs::path& name, std::string_view text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string source_in(const Folder& folder, std::string_view name = "default") {
  const auto found = ChatTemplate::open(folder.path(), name);
  return found ? found->source() : "nothing";
}

// Template files of the oracle folder by name.
std::map<std::string, ChatTemplate> real_templates(const fs::path& directory) {
  std::map<std::string, ChatTemplate> found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".jinja")
      found.emplace(entry.path().filename().string(),
                    ChatTemplate(read_text(entry.path()), entry.path().string()));
  }
  return found;
}

TEST(ChatTemplate, RendersRealTemplatesAsTransformers) {
  const char* root = std::getenv("FARTHING_FIXTURES");
  if (!root) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  using namespace std::chrono_literals;
  const auto templates = real_templates(fs::path(root) / "tokenizers/chat-templates");
  const Json conversations =
      read_json(fs::path(root) / "fixtures/chat-templates/conversations.json").at("conversations");
  const Json expected = read_json(fs::path(root) / "fixtures/chat-templates/expected.json");
  ASSERT_EQ(expected.size(), 640U);
  for (const Json& test : expected) {
    const Json& conversation = conversations.at(test.at("conversation").get<std::string>());
    TemplateInputs inputs = chat(conversation.at("messages"), test.at("add_generation_prompt").get<bool>());
    inputs.tools = conversation.value("tools", Json());
    inputs.now = std::chrono::sys_days(std::chrono::January / 15 / 2026) + 12h;
    const ChatTemplate& chat_template = templates.at(test.at("template").get<std::string>());
    const std::string outcome = message_of(chat_template, inputs);
    const std::string wanted = test.contains("output") ? "rendered: " + test.at("output").get<std::string>()
                                                       : test.at("error").at("message").get<std::string>();
    EXPECT_EQ(outcome, wanted) << test.at("template") << " " << test.at("conversation");
  }
}

TEST(ChatTemplate, KnowsWhichShapeOfContentRealTemplatesTake) {
  const char* root = std::getenv("FARTHING_FIXTURES");
  if (!root) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  const auto templates = real_templates(fs::path(root) / "tokenizers/chat-templates");
  EXPECT_FALSE(templates.at("Qwen-Qwen2.5-7B-Instruct.jinja").accepts_content_parts());
  EXPECT_FALSE(templates.at("google-gemma-2-2b-it.jinja").accepts_content_parts());
  EXPECT_TRUE(templates.at("Qwen3.5-4B.jinja").accepts_content_parts());
  int rendered = 0;
  for (const auto& [name, chat_template] : templates) {
    const std::string text = message_of(
        chat_template,
        chat(chat_template.adapt_messages(user(Json::array({{{"type", "text"}, {"text", "needle"}}})))));
    if (!text.starts_with("rendered: ")) continue;  // some want tools
    ++rendered;
    EXPECT_NE(text.find("needle"), std::string::npos) << name << ": " << text;
    EXPECT_EQ(text.find("'type'"), std::string::npos) << name << ": " << text;
  }
  EXPECT_GE(rendered, 30);
}

TEST(ChatTemplate, BundledModel) {
  const auto bundled = ChatTemplate::open(fs::path(FARTHING_SOURCE_DIR) / "models/tiny-llava-21m");
  ASSERT_TRUE(bundled);
  const Json parts = Json::array({{{"type", "image"}}, {{"type", "text"}, {"text", "What animal is this?"}}});
  EXPECT_EQ(bundled->render(chat(user(parts), true)),
            "<|user|>\n<image>\nWhat animal is this?<|end|>\n<|assistant|>\n");
  EXPECT_EQ(bundled->render(chat(user("Hi"))), "<|user|>\nHi<|end|>\n");
  EXPECT_TRUE(bundled->accepts_content_parts());
  EXPECT_FALSE(bundled->wants_content_parts());
}

TEST(ChatTemplate, OpensTheNewestFile) {
  Folder folder;
  EXPECT_EQ(source_in(folder), "nothing");
  folder.write("tokenizer_config.json", R"({"chat_template": "from tokenizer_config"})");
  EXPECT_EQ(source_in(folder), "from tokenizer_config");
  folder.write("processor_config.json", R"({"chat_template": null, "image_token": "<image>"})");
  EXPECT_EQ(source_in(folder), "from tokenizer_config");
  folder.write("processor_config.json", R"({"chat_template": "from processor_config"})");
  EXPECT_EQ(source_in(folder), "from processor_config");
  folder.write("chat_template.json", R"({"chat_template": "from json"})");
  EXPECT_EQ(source_in(folder), "from json");
  folder.write("chat_template.jinja", "from jinja\n");
  EXPECT_EQ(source_in(folder), "from jinja\n");
  EXPECT_EQ(source_in(folder, "tool_use"), "from jinja\n");
  folder.write("additional_chat_templates/tool_use.jinja", "with tools");
  EXPECT_EQ(source_in(folder, "tool_use"), "with tools");
  EXPECT_EQ(source_in(folder), "from jinja\n");
}

TEST(ChatTemplate, OpensNamedTemplates) {
  Folder folder;
  folder.write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "default", "template": "plain"}, {"name": "rag", "template": "with documents"}]})");
  EXPECT_EQ(source_in(folder), "plain");
  EXPECT_EQ(source_in(folder, "rag"), "with documents");
  EXPECT_EQ(source_in(folder, "tool_use"), "plain");
  try {
    source_in(folder, "other");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNotFound);
    EXPECT_NE(std::string(error.what()).find("known=default, rag"), std::string::npos) << error.what();
  }
  folder.write("tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_THROW(source_in(folder), Error);
  folder.write("tokenizer_config.json", R"({"chat_template": "{% if %}"})");
  EXPECT_THROW(source_in(folder), Error);
  folder.write("tokenizer_config.json", "[1]");
  EXPECT_EQ(source_in(folder), "nothing");
}

TEST(ChatTemplate, SeesTokensAndVariables) {
  const ChatTemplate shown(
      "{{ bos_token }}|{{ pad_token is defined }}|{{ enable_thinking }}|{{ tools is none }}|{{ "
      "messages|length }}|{{ add_generation_prompt }}");
  TemplateInputs inputs = chat(user("a"), true);
  inputs.variables = {{"enable_thinking", false}, {"messages", 5}, {"bos_token", "<bos>"}};
  EXPECT_EQ(shown.render(inputs), "<bos>|False|False|True|1|True");
}

TEST(ChatTemplate, RaisesTheMessageOfTheTemplate) {
  const ChatTemplate strict(
      "{% if messages[0].role != 'user' %}{{ raise_exception('The first message must be from the user') }}{% "
      "endif %}");
  try {
    strict.render(chat(Json::array({{{"role", "system"}, {"content", ""}}})));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_EQ(error.message(), "The first message must be from the user");
    EXPECT_FALSE(error.hint().empty());
  }
}

TEST(ChatTemplate, ShowsTheClock) {
  const ChatTemplate dated("{{ strftime_now('%d %b %Y') }}");
  TemplateInputs inputs = chat(user("a"));
  inputs.now = std::chrono::sys_days(std::chrono::July / 4 / 2025);
  EXPECT_EQ(dated.render(inputs), "04 Jul 2025");
  inputs.now.reset();
  EXPECT_EQ(dated.render(inputs).size(), 11U);
}

TEST(ChatTemplate, ContinuesTheFinalMessage) {
  const ChatTemplate keeps("{% for m in messages %}[{{ m.role }}] {{ m.content }}</s>\n{% endfor %}");
  const ChatTemplate trims("{% for m in messages %}[{{ m.role }}] {{ m.content|trim }}</s>\n{% endfor %}");
  const ChatTemplate parts(
      "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}</s>{% endfor %}");
  TemplateInputs inputs = chat(Json::array(
      {{{"role", "user"}, {"content", "Sure"}}, {{"role", "assistant"}, {"content", " Sure, "}}}));
  inputs.continue_final_message = true;
  EXPECT_EQ(keeps.render(inputs), "[user] Sure</s>\n[assistant]  Sure, ");
  EXPECT_EQ(trims.render(inputs), "[user] Sure</s>\n[assistant] Sure,");
  inputs.messages =
      user(Json::array({{{"type", "text"}, {"text", "one"}}, {{"type", "text"}, {"text", "two"}}}));
  EXPECT_EQ(parts.render(inputs), "onetwo");
  inputs.messages = user(Json::array({{{"type", "image"}}}));
  EXPECT_THROW(parts.render(inputs), Error);
}

TEST(ChatTemplate, FindsTheShapeOfContents) {
  const ChatTemplate text_only("{% for m in messages %}{{ '<' + m.role + '>' + m.content }}{% endfor %}");
  const ChatTemplate prints_lists("{% for m in messages %}{{ m.content }}{% endfor %}");
  const ChatTemplate parts_only(
      "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}");
  EXPECT_FALSE(text_only.wants_content_parts());
  EXPECT_FALSE(text_only.accepts_content_parts());
  EXPECT_FALSE(prints_lists.accepts_content_parts());
  EXPECT_TRUE(parts_only.wants_content_parts());

  const Json as_parts =
      user(Json::array({{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}}));
  EXPECT_EQ(text_only.adapt_messages(as_parts), user("a\nb"));
  EXPECT_EQ(text_only.adapt_messages(user("a")), user("a"));
  EXPECT_EQ(parts_only.adapt_messages(user("a")), user(Json::array({{{"type", "text"}, {"text", "a"}}})));
  EXPECT_EQ(parts_only.adapt_messages(as_parts), as_parts);
  EXPECT_THROW(text_only.adapt_messages(user(Json::array({{{"type", "image"}}}))), Error);
  EXPECT_EQ(text_only.adapt_messages(Json::array({5, {{"role", "assistant"}}})),
            Json::array({5, {{"role", "assistant"}}}));
}

TEST(ChatTemplate, DefaultIsZephyrs) {
  EXPECT_EQ(render_default(chat(user("hi"))), "<|user|>\nhi</s>\n");
  EXPECT_EQ(render_default(chat(user("hi"), true)), "<|user|>\nhi</s>\n<|assistant|>\n");
}

TEST(ChatTemplate, RendersOnManyThreads) {
  const ChatTemplate shared(
      "{% macro line(m) %}{{ m.role }}: {{ m.content }}\n{% endmacro %}{% for m in messages %}{{ line(m) "
      "}}{% endfor %}");
  std::vector<std::string> results(8);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 50; ++round)
        results[i] =
            shared.render(chat(user(std::to_string(i)))) + (shared.wants_content_parts() ? "parts" : "");
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i], "user: " + std::to_string(i) + "\n");
}

}  // namespace
}  // namespace farthing::tokenizer
