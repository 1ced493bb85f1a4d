// farthing chat: a conversation, with pictures.
#include <iostream>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/opened_model.h"
#include "generate/engine.h"

namespace farthing::cli {
namespace {

struct ChatOptions {
  std::string model;
  std::string load_in;  // "4bit", "8bit", or as stored
  std::string system;
  std::int64_t max_tokens = 512;
  generate::SamplingOptions sampling;
};

constexpr std::string_view kHelp =
    "/image PATH  add a picture to the next question\n"
    "/system TEXT set the system message and start over\n"
    "/reset       start over\n"
    "/save PATH   write the conversation as JSON\n"
    "/stats       speed of the last answer\n"
    "/quit        end\n";

class Conversation {
 public:
  Conversation(App& app, const ChatOptions& options)
      : app_(app),
        options_(options),
        opened_(open_model(app, options.model, options.load_in)),
        prompts_(opened_.prompts()),
        system_(options.system) {
    reset();
  }

  // Returns false when the conversation is over.
  bool handle(const std::string& line) {
    if (line.empty()) return true;
    if (line.front() != '/') {
      ask(line);
      return true;
    }
    const std::size_t space = line.find(' ');
    const std::string command = line.substr(0, space);
    const std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
    if (command == "/quit" || command == "/exit") return false;
    if (command == "/reset")
      reset();
    else if (command == "/system")
      system_ = argument, reset();
    else if (command == "/image")
      add_picture(argument);
    else if (command == "/save")
      write_text_atomically(argument, messages_.dump(2) + "\n");
    else if (command == "/stats")
      app_.write(stats_.empty() ? "no answer yet\n" : stats_);
    else
      app_.write(std::string(kHelp));
    return true;
  }

 private:
  void reset() {
    messages_ = Json::array();
    pictures_.clear();
    waiting_ = 0;
    if (!system_.empty()) messages_.push_back({{"role", "system"}, {"content", system_}});
  }

  void add_picture(const std::string& path) {
    FARTHING_REQUIRE(prompts_.takes_pictures(), Code::kInvalidArgument, "this model takes no pictures",
                     {{"model", opened_.name}});
    pictures_.push_back(image::open(path, prompts_.decode_options()));
    ++waiting_;
    app_.write(
        fmt::format("({} x {} pixels; ask about it)\n", pictures_.back().width, pictures_.back().height));
  }

  void ask(const std::string& question) {
    Json content = question;
    if (waiting_ > 0) {
      content = Json::array();
      for (; waiting_ > 0; --waiting_) content.push_back({{"type", "image"}});
      content.push_back({{"type", "text"}, {"text", question}});
    }
    messages_.push_back({{"role", "user"}, {"content", content}});
    const models::Prompt prompt = prompts_.encode_chat(messages_, pictures_, true);
    generate::GenerationOptions generation{.max_tokens = options_.max_tokens,
                                           .sampling = options_.sampling,
                                           .end_of_sequence_ids = prompts_.end_of_sequence_ids()};
    generation.sampling.suppressed = prompts_.suppressed_ids();
    generation.sampling.suppressed_first = prompts_.suppressed_first_ids();
    tokenizer::StreamDecoder decoder(prompts_.tokenizer());
    generate::GenerationTimes times;
    const auto answers = generate::generate(
        opened_.model, std::span(&prompt, 1), generation, app_.threads(), app_.cancel(),
        [&](std::size_t, std::int32_t id) {
          app_.write(decoder.push(id));
          return true;
        },
        &times);
    app_.write(decoder.finish() + "\n");
    messages_.push_back(
        {{"role", "assistant"}, {"content", prompts_.tokenizer().decode(answers.front().ids)}});
    stats_ = fmt::format("{} prompt tokens in {:.2f} s, {} answer tokens in {:.2f} s\n", prompt.ids.size(),
                         times.prefill_seconds, answers.front().ids.size(), times.decode_seconds);
    app_.cancel().check();
  }

  App& app_;
  const ChatOptions& options_;
  OpenedModel opened_;
  models::PromptProcessor prompts_;
  std::string system_;
  Json messages_;
  std::vector<image::Image> pictures_;
  int waiting_ = 0;  // pictures given since the last question
  std::string stats_;
};

int run_chat(App& app, const ChatOptions& options) {
  Conversation conversation(app, options);
  app.write(fmt::format("type a question, or {} for the commands\n", "/help"));
  std::string line;
  for (;;) {
    app.write("> ");
    if (!std::getline(std::cin, line)) break;
    try {
      if (!conversation.handle(line)) break;
    } catch (const Error& error) {
      if (error.code() == Code::kCancelled || error.code() == Code::kInternal) throw;
      app.write(
          fmt::format("{}\n{}\n", error.what(), error.hint()));  // a wrong path must not end a conversation
    }
  }
  return kDone;
}

}  // namespace

void add_chat(App& app) {
  auto options = std::make_shared<ChatOptions>();
  app.command("chat", "a conversation, with pictures")
      .example("farthing chat ./model")
      .positional("MODEL", options->model, "model folder, or org/name in the Hugging Face cache")
      .option("--load-in", "FORM", read_choice(options->load_in, {"4bit", "8bit"}),
              "quantize plain weights while loading: 4bit (NF4) or 8bit (LLM.int8)")
      .option("--system", "TEXT", options->system, "system message")
      .option("--max-tokens", "N", options->max_tokens, "most tokens of an answer (512)")
      .option("--temperature", "T", options->sampling.temperature, "0 is greedy, the default")
      .option("--top-p", "P", options->sampling.top_p,
              "keep the likeliest tokens that together have this probability")
      .option("--top-k", "K", options->sampling.top_k, "keep the K likeliest tokens")
      .body([&app, options] { return run_chat(app, *options); });
}

}  // namespace farthing::cli
