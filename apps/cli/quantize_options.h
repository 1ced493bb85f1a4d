// What farthing quantize is told, and what its ways to the different formats share.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "calibrate/calibration_set.h"
#include "checkpoint/checkpoint.h"
#include "cli/app.h"
#include "formats/gguf/mixture.h"
#include "plan/recipe.h"
#include "plan/result.h"

namespace farthing::cli {

struct QuantizeOptions {
  std::string model;
  std::filesystem::path output;
  std::optional<std::filesystem::path> recipe;
  plan::RecipeFlags flags;
  std::optional<std::string> calibration, collator, question, system;
  std::optional<std::int64_t> samples, sequence_length, seed;
  std::string format;
  std::optional<std::string> memory;
  std::optional<double> target_bits, max_kl;
  std::optional<std::string> target_size;
  bool dry_run = false, strict = false, overwrite = false, resume = true, moe_calibrate_all = false;
};

/// Flags go before the recipe.
calibrate::CalibrationOptions calibration_options(const QuantizeOptions& options,
                                                  const plan::RecipeCalibration& recipe);

/// Writes report.json, report.html and the model card into the folder before it becomes visible.
void write_reports(const plan::QuantizeResult& facts, const QuantizeOptions& options,
                   const std::filesystem::path& source, const std::filesystem::path& folder);

/// The types of llama.cpp that were asked for, or null when the result is to be another format.
const formats::gguf::Mixture* gguf_mixture(const QuantizeOptions& options);

/// Quantizes to a GGUF file; returns the exit code.
int quantize_to_gguf(App& app, const QuantizeOptions& options, const formats::gguf::Mixture& mixture,
                     const std::shared_ptr<const checkpoint::Checkpoint>& source);

}  // namespace farthing::cli
