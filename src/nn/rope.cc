#include "nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace farthing::nn {
namespace {

using Scaling = RopeSpec::Scaling;

bool is_long(const RopeSpec& spec, std::int64_t context_length) {
  return context_length > spec.original_max_position_embeddings;
}

// Where pair j of a rotation with several axes stands: its axis, and its place among the pairs of that axis.
struct AxisPair {
  std::size_t axis = 0;
  std::int64_t place = 0;
};

std::vector<AxisPair> axis_pairs(const RopeSpec& spec, std::int64_t pairs) {
  std::vector<AxisPair> result;
  if (spec.interleaved_axes) {
    const auto axes = static_cast<std::int64_t>(spec.axis_sections.size());
    for (std::int64_t j = 0; j < pairs; ++j) {
      const auto axis = static_cast<std::size_t>(j % axes);
      const bool first = j >= axes * spec.axis_sections[axis];
      result.push_back({first ? 0 : axis, j / axes});
    }
    return result;
  }
  for (std::size_t axis = 0; axis < spec.axis_sections.size(); ++axis)
    for (std::int64_t place = 0; place < spec.axis_sections[axis]; ++place) result.push_back({axis, place});
  result.resize(static_cast<std::size_t>(pairs));
  return result;
}

// theta^(2j/d), the reciprocal of the plain frequencies.
std::vector<double> periods(const RopeSpec& spec, double theta, std::int64_t rotary_dim) {
  const std::vector<AxisPair> pairs = axis_pairs(spec, rotary_dim / 2);
  const auto axes = static_cast<std::int64_t>(spec.axis_sections.size());
  std::vector<double> result;
  for (std::int64_t j = 0; j < rotary_dim / 2; ++j) {
    const AxisPair& pair = pairs[static_cast<std::size_t>(j)];
    std::int64_t step = j;
    if (spec.axis_frequencies == AxisFrequencies::kRestarted) step = pair.place * axes;
    if (spec.axis_frequencies == AxisFrequencies::kAlternating)
      step = pair.place * axes + static_cast<std::int64_t>(pair.axis);
    result.push_back(std::pow(theta, 2.0 * static_cast<double>(step) / static_cast<double>(rotary_dim)));
  }
  return result;
}

double dynamic_theta(const RopeSpec& spec, std::int64_t rotary_dim, std::int64_t context_length) {
  const double original = static_cast<double>(spec.max_position_embeddings);
  const double length = std::max(static_cast<double>(context_length), original);
  const double dim = static_cast<double>(rotary_dim);
  return spec.theta * std::pow(spec.factor * length / original - (spec.factor - 1.0), dim / (dim - 2.0));
}

// Frequencies that turn often within the original length stay, those that turn less than once are stretched.
void scale_yarn(const RopeSpec& spec, std::int64_t rotary_dim, std::vector<double>& frequencies) {
  const double dim = static_cast<double>(rotary_dim);
  const auto dim_of_turns = [&](double turns) {
    const double length = static_cast<double>(spec.original_max_position_embeddings);
    return dim * std::log(length / (turns * 2.0 * std::numbers::pi)) / (2.0 * std::log(spec.theta));
  };
  double low = dim_of_turns(spec.beta_fast), high = dim_of_turns(spec.beta_slow);
  if (spec.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1.0);
  if (low == high) high += 0.001;
  for (std::size_t j = 0; j < frequencies.size(); ++j) {
    const double ramp = std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0);
    frequencies[j] = frequencies[j] / spec.factor * ramp + frequencies[j] * (1.0 - ramp);
  }
}

void scale_llama3(const RopeSpec& spec, std::vector<double>& frequencies) {
  const double length = static_cast<double>(spec.original_max_position_embeddings);
  for (double& frequency : frequencies) {
    const double wavelength = 2.0 * std::numbers::pi / frequency;
    if (wavelength < length / spec.high_freq_factor) continue;
    if (wavelength > length / spec.low_freq_factor) {
      frequency /= spec.factor;
      continue;
    }
    const double smooth =
        (length / wavelength - spec.low_freq_factor) / (spec.high_freq_factor - spec.low_freq_factor);
    frequency = (1.0 - smooth) * frequency / spec.factor + smooth * frequency;
  }
}

std::int64_t context_length_of(const Batch& batch, std::size_t sequence, std::int64_t first_row) {
  if (!batch.context_lengths.empty()) return batch.context_lengths[sequence];
  const auto begin = batch.positions.begin() + first_row * batch.axes;
  const auto end = begin + batch.lengths[sequence] * batch.axes;
  return begin == end ? 0 : *std::max_element(begin, end) + 1;
}

void fill_table(const Batch& batch, ThreadPool& pool, RotaryTables::Table& table) {
  const std::int64_t rows = batch.rows(), pairs = table.rotary_dim / 2;
  FARTHING_CHECK(static_cast<std::int64_t>(batch.positions.size()) == rows * batch.axes);
  const std::vector<AxisPair> axis_of = axis_pairs(table.spec, pairs);
  const float factor = attention_factor(table.spec);
  table.cosine.resize(static_cast<std::size_t>(rows * pairs));
  table.sine.resize(table.cosine.size());

  std::int64_t first_row = 0;
  for (std::size_t s = 0; s < batch.lengths.size(); ++s) {
    const std::vector<float> frequencies =
        inverse_frequencies(table.spec, table.rotary_dim, context_length_of(batch, s, first_row));
    pool.parallel_for(batch.lengths[s], 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = first_row + begin; row < first_row + end; ++row)
        for (std::int64_t j = 0; j < pairs; ++j) {
          const std::int64_t axis = std::min<std::int64_t>(
              static_cast<std::int64_t>(axis_of[static_cast<std::size_t>(j)].axis), batch.axes - 1);
          const float position =
              static_cast<float>(batch.positions[static_cast<std::size_t>(row * batch.axes + axis)]);
          const float angle = position * frequencies[static_cast<std::size_t>(j)];
          table.cosine[static_cast<std::size_t>(row * pairs + j)] = std::cos(angle) * factor;
          table.sine[static_cast<std::size_t>(row * pairs + j)] = std::sin(angle) * factor;
        }
    });
    first_row += batch.lengths[s];
  }
}

}  // namespace

std::vector<float> inverse_frequencies(const RopeSpec& spec, std::int64_t rotary_dim,
                                       std::int64_t context_length) {
  const double theta =
      spec.scaling == Scaling::kDynamic ? dynamic_theta(spec, rotary_dim, context_length) : spec.theta;
  std::vector<double> frequencies = periods(spec, theta, rotary_dim);
  if (spec.scaling == Scaling::kLongRope) {
    const std::vector<double>& stretch = is_long(spec, context_length) ? spec.long_factor : spec.short_factor;
    FARTHING_CHECK(stretch.size() == frequencies.size());
    for (std::size_t j = 0; j < frequencies.size(); ++j) frequencies[j] *= stretch[j];
  }
  for (double& frequency : frequencies) frequency = 1.0 / frequency;
  if (spec.scaling == Scaling::kLinear)
    for (double& frequency : frequencies) frequency /= spec.factor;
  if (spec.scaling == Scaling::kYarn) scale_yarn(spec, rotary_dim, frequencies);
  if (spec.scaling == Scaling::kLlama3) scale_llama3(spec, frequencies);
  return {frequencies.begin(), frequencies.end()};
}

float attention_factor(const RopeSpec& spec) {
  if (spec.scaling != Scaling::kYarn && spec.scaling != Scaling::kLongRope) return 1.0f;
  if (spec.attention_factor) return static_cast<float>(*spec.attention_factor);
  if (spec.factor <= 1.0) return 1.0f;
  if (spec.scaling == Scaling::kLongRope)
    return static_cast<float>(std::sqrt(
        1.0 + std::log(spec.factor) / std::log(static_cast<double>(spec.original_max_position_embeddings))));
  const auto yarn_factor = [&](double mscale) { return 0.1 * mscale * std::log(spec.factor) + 1.0; };
  if (spec.mscale.value_or(0.0) != 0.0 && spec.mscale_all_dim.value_or(0.0) != 0.0)
    return static_cast<float>(yarn_factor(*spec.mscale) / yarn_factor(*spec.mscale_all_dim));
  return static_cast<float>(yarn_factor(1.0));
}

bool keys_stay_valid(const RopeSpec& spec, std::int64_t before, std::int64_t after) {
  return before == 0 || spec.scaling != Scaling::kLongRope || is_long(spec, before) == is_long(spec, after);
}

const RotaryTables::Table& RotaryTables::get(const RopeSpec& spec, std::int64_t rotary_dim,
                                             const Batch& batch, ThreadPool& pool) {
  constexpr std::size_t kMostKinds = 2;  // no family mixes more kinds of rotation
  for (const Table& table : tables_)
    if (table.rotary_dim == rotary_dim && table.lengths == batch.lengths &&
        table.positions == batch.positions && table.context_lengths == batch.context_lengths &&
        table.spec == spec)
      return table;
  if (tables_.size() == kMostKinds) tables_.erase(tables_.begin());
  Table& table = tables_.emplace_back(
      Table{spec, rotary_dim, batch.lengths, batch.positions, batch.context_lengths, {}, {}});
  fill_table(batch, pool, table);
  return table;
}

}  // namespace farthing::nn
