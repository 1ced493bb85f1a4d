// Accuracy on a folder of pictures whose file names carry the label, as in cat-007.jpg.
#pragma once

#include <filesystem>
#include <optional>

#include "base/cancel.h"
#include "base/reporter.h"
#include "evaluate/divergence.h"
#include "generate/engine.h"
#include "models/prompt.h"

namespace farthing::evaluate {

struct LabelledImage {
  std::filesystem::path file;
  std::string label;     // file name before the last '-'
  std::string expected;  // what the answer must contain: the label as a word, or the text answers.json gives
  bool whole_text = false;  // `expected` comes from answers.json and may be several words
};

/// Reads the folder, sorted by name. Throws kNotFound when it holds no picture with a label.
std::vector<LabelledImage> read_labelled_images(const std::filesystem::path& directory);

/// Whether `answer` contains `expected` as whole words, ignoring case.
bool is_right(const std::string& answer, const LabelledImage& image);

struct Accuracy {
  double accuracy = 0;
  std::int64_t right = 0;
  std::int64_t count = 0;
  std::optional<Divergence> first_token;  // against the base: distance at the first token of the answer
  double same_answer = 0;                 // share of answers equal to the base's; 0 without a base
};

/// `messages`: the chat that asks about one picture. With `base`, its answers are compared too.
Accuracy measure_accuracy(models::Model& model, models::Model* base, const models::PromptProcessor& processor,
                          std::span<const LabelledImage> images, const Json& messages,
                          std::int64_t max_tokens, ThreadPool& pool, Reporter& reporter,
                          const CancelToken& cancel);

}  // namespace farthing::evaluate
