#include "evaluate/labelled_images.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace farthing::evaluate {
namespace {

namespace fs = std::filesystem;

// Pictures answered together: enough rows for the matrix kernels, few enough to bound the caches.
constexpr std::size_t kPicturesAtOnce = 24;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool is_word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

bool contains_words(const std::string& text, const std::string& words) {
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
    const std::size_t end = at + words.size();
    const bool begins = at == 0 || !is_word_character(text[at - 1]) || !is_word_character(words.front());
    const bool ends = end == text.size() || !is_word_character(text[end]) || !is_word_character(words.back());
    if (begins && ends) return true;
  }
  return false;
}

std::vector<generate::Generation> answer(models::Model& model, std::span<const models::Prompt> prompts,
                                         const models::PromptProcessor& processor, std::int64_t max_tokens,
                                         ThreadPool& pool, const CancelToken& cancel) {
  const generate::GenerationOptions options{
      .max_tokens = max_tokens,
      .sampling = {.suppressed = processor.suppressed_ids(),
                   .suppressed_first = processor.suppressed_first_ids()},
      .end_of_sequence_ids = processor.end_of_sequence_ids()};
  auto answers = generate::generate(model, prompts, options, pool, cancel);
  cancel.check();  // answers that were cut short are no answers
  return answers;
}

}  // namespace

std::vector<LabelledImage> read_labelled_images(const fs::path& directory) {
  FARTHING_REQUIRE(fs::is_directory(directory), Code::kNotFound, "no such folder of labelled pictures",
                   {{"folder", directory.string()}});
  Json answers = Json::object();
  if (fs::exists(directory / "answers.json")) answers = read_json(directory / "answers.json");
  FARTHING_REQUIRE(answers.is_object(), Code::kCorruptData, "answers.json does not map labels to texts",
                   {{"file", (directory / "answers.json").string()}}, R"(write it like {"cat": "a cat"})");
  std::vector<LabelledImage> images;
  for (const auto& entry : fs::directory_iterator(directory)) {
    static constexpr std::array kExtensions = {".jpg", ".jpeg", ".png", ".bmp", ".webp"};
    const std::string extension = lower(entry.path().extension().string());
    const std::string stem = entry.path().stem().string();
    const std::size_t dash = stem.rfind('-');
    if (!entry.is_regular_file() || dash == std::string::npos || dash == 0) continue;
    if (std::find(kExtensions.begin(), kExtensions.end(), extension) == kExtensions.end()) continue;
    LabelledImage image{
        .file = entry.path(), .label = stem.substr(0, dash), .expected = stem.substr(0, dash)};
    if (const auto text = answers.find(image.label); text != answers.end()) {
      FARTHING_REQUIRE(text->is_string() && !text->get_ref<const std::string&>().empty(), Code::kCorruptData,
                       "the answer to a label must be a text",
                       {{"file", (directory / "answers.json").string()}, {"label", image.label}});
      image.expected = *text;
      image.whole_text = true;
    }
    images.push_back(std::move(image));
  }
  FARTHING_REQUIRE(!images.empty(), Code::kNotFound, "the folder holds no labelled picture",
                   {{"folder", directory.string()}}, "name them LABEL-NUMBER.jpg, as in cat-007.jpg");
  std::sort(images.begin(), images.end(), [](const auto& a, const auto& b) { return a.file < b.file; });
  return images;
}

bool is_right(const std::string& answer, const LabelledImage& image) {
  return contains_words(lower(answer), lower(image.expected));
}

Accuracy measure_accuracy(models::Model& model, models::Model* base, const models::PromptProcessor& processor,
                          std::span<const LabelledImage> images, const Json& messages,
                          std::int64_t max_tokens, ThreadPool& pool, Reporter& reporter,
                          const CancelToken& cancel) {
  Accuracy result{.count = static_cast<std::int64_t>(images.size())};
  DivergenceMeter meter;
  std::int64_t same = 0;
  for (std::size_t begin = 0; begin < images.size(); begin += kPicturesAtOnce) {
    cancel.check();
    const auto part = images.subspan(begin, std::min(kPicturesAtOnce, images.size() - begin));
    std::vector<models::Prompt> prompts;
    for (const LabelledImage& image : part) {
      const image::Image picture = image::open(image.file, processor.decode_options());
      prompts.push_back(processor.encode_chat(messages, std::span(&picture, 1), true));
    }
    const auto answers = answer(model, prompts, processor, max_tokens, pool, cancel);
    const auto base_answers = base ? answer(*base, prompts, processor, max_tokens, pool, cancel)
                                   : std::vector<generate::Generation>();
    for (std::size_t i = 0; i < part.size(); ++i) {
      result.right += is_right(processor.tokenizer().decode(answers[i].ids), part[i]);
      if (!base) continue;
      meter.add(base_answers[i].first_logits.span<float>(), answers[i].first_logits.span<float>());
      same += answers[i].ids == base_answers[i].ids;
    }
    const std::size_t done = begin + part.size();
    reporter.progress({.stage = "pictures",
                       .fraction = static_cast<double>(done) / static_cast<double>(images.size()),
                       .done = static_cast<std::int64_t>(done),
                       .total = result.count,
                       .detail = fmt::format("accuracy {:.3f}",
                                             static_cast<double>(result.right) / static_cast<double>(done))});
  }
  result.accuracy = static_cast<double>(result.right) / static_cast<double>(result.count);
  if (base) {
    result.first_token = meter.result();
    result.same_answer = static_cast<double>(same) / static_cast<double>(result.count);
  }
  return result;
}

}  // namespace farthing::evaluate
