#include "cli/quantize_options.h"

#include "base/file.h"
#include "report/html_report.h"
#include "report/model_card.h"
#include "report/quantize_report.h"

namespace farthing::cli {

calibrate::CalibrationOptions calibration_options(const QuantizeOptions& options,
                                                  const plan::RecipeCalibration& recipe) {
  calibrate::CalibrationOptions result;
  result.spec = options.calibration.value_or(recipe.source.value_or(result.spec));
  result.collator = options.collator.value_or(recipe.collator.value_or(result.collator));
  result.system = options.system.value_or(recipe.system.value_or(""));
  result.question = options.question.value_or(recipe.question.value_or(result.question));
  result.num_samples = options.samples.value_or(recipe.samples.value_or(result.num_samples));
  result.sequence_length = options.sequence_length.value_or(recipe.length.value_or(result.sequence_length));
  result.seed = options.seed.value_or(recipe.seed.value_or(result.seed));
  return result;
}

void write_reports(const plan::QuantizeResult& facts, const QuantizeOptions& options,
                   const std::filesystem::path& source, const std::filesystem::path& folder) {
  const report::ModelCardFacts card{
      .base_model = options.model,
      .license = report::license_of(source),
      .command =
          fmt::format("farthing quantize {} -o {} {}", options.model, options.output.filename().string(),
                      facts.format == "gguf" ? "--scheme " + facts.scheme : "--recipe recipe.yaml")};
  write_text_atomically(folder / "report.json", report::to_json(facts).dump(2) + "\n");
  write_text_atomically(folder / "report.html", report::html_report(facts));
  write_text_atomically(folder / "README.md", report::model_card(facts, card));
}

}  // namespace farthing::cli
