#include "calibrate/calibration_set.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "models/family.h"

namespace farthing::calibrate {
namespace {

// The indices of `wanted` out of `available` records: spread evenly, or drawn by the seed.
std::vector<std::size_t> choose(std::size_t available, std::size_t wanted, std::int64_t seed) {
  std::vector<std::size_t> order(available);
  for (std::size_t i = 0; i < available; ++i) order[i] = i;
  if (seed >= 0) {
    Mt19937 generator(static_cast<std::uint64_t>(seed));
    generator.shuffle(std::span(order));
    order.resize(std::min(available, wanted));
    return order;
  }
  if (wanted >= available) return order;
  std::vector<std::size_t> chosen(wanted);
  for (std::size_t i = 0; i < wanted; ++i) chosen[i] = i * available / wanted;
  return chosen;
}

void add(CalibrationSet& set, Sample sample) {
  ++set.ledger.samples;
  set.ledger.tokens += static_cast<std::int64_t>(sample.prompt.ids.size());
  set.samples.push_back(std::move(sample));
}

// One long text: windows of `length` tokens, their starts spread evenly or drawn by the seed.
void add_windows(CalibrationSet& set, const std::string& text, const std::string& origin, std::int64_t length,
                 const CalibrationOptions& options, const models::PromptProcessor& processor) {
  const std::vector<std::int32_t> ids = processor.encode(text, {}, true).ids;
  const auto total = static_cast<std::int64_t>(ids.size());
  if (total == 0) return;
  if (total <= length) {
    add(set, {.origin = origin, .prompt = {.ids = ids}});
    return;
  }
  const std::int64_t windows = std::min(options.num_samples, std::max<std::int64_t>(1, total / length));
  Mt19937 generator(static_cast<std::uint64_t>(std::max<std::int64_t>(0, options.seed)));
  for (std::int64_t i = 0; i < windows; ++i) {
    const std::int64_t start =
        options.seed >= 0 ? generator.randint(0, total - length - 1) : i * (total - length) / windows;
    add(set, {.origin = fmt::format("{}@{}", origin, start),
              .prompt = {.ids = {ids.begin() + start, ids.begin() + start + length}}});
    ++set.ledger.chunked;
  }
}

// A text or chat longer than the model may read becomes several samples; nothing is indexed past the end.
void add_chunks(CalibrationSet& set, Sample sample, std::int64_t length, std::int64_t num_samples) {
  const std::vector<std::int32_t> ids = std::move(sample.prompt.ids);
  const auto total = static_cast<std::int64_t>(ids.size());
  for (std::int64_t start = 0; start < total && set.ledger.samples < num_samples; start += length) {
    const std::int64_t end = std::min(start + length, total);
    Sample piece{.origin =
                     start == 0 && end == total ? sample.origin : fmt::format("{}@{}", sample.origin, start)};
    piece.prompt.ids.assign(ids.begin() + start, ids.begin() + end);
    if (end - start < total) ++set.ledger.chunked;
    add(set, std::move(piece));
  }
}

// A Hessian sums one outer product per token: with fewer tokens than inputs it cannot have full rank, and
// most of what GPTQ takes from it is its dampening.
void warn_of_few_tokens(const Ledger& ledger, const nn::ModelSpec& spec, Reporter& reporter) {
  std::int64_t widest = 0;
  for (const models::ModuleInfo& linear : models::linears_of(spec))
    if (linear.block >= 0) widest = std::max(widest, linear.in_features);
  if (ledger.tokens >= widest) return;
  reporter.warn(
      fmt::format("calibration: {} tokens are few for linears of up to {} inputs; a larger source "
                  "or more --samples give a better result",
                  ledger.tokens, widest));
}

std::int64_t sequence_limit(const CalibrationOptions& options, const nn::ModelSpec& spec,
                            Reporter& reporter) {
  const std::int64_t limit = spec.decoder.max_position_embeddings;
  if (limit <= 0 || options.sequence_length <= limit) return options.sequence_length;
  reporter.note(fmt::format("calibration: sequence length {} cut to the model's {} positions",
                            options.sequence_length, limit));
  return limit;
}

void check_ids(const CalibrationSet& set, const nn::ModelSpec& spec) {
  for (const Sample& sample : set.samples) {
    for (const std::int32_t id : sample.prompt.ids) {
      FARTHING_REQUIRE(id >= 0 && (id < spec.decoder.vocab_size || id == spec.image_token_id),
                       Code::kInvalidArgument, "calibration token is outside the vocabulary",
                       {{"sample", sample.origin}, {"id", id}, {"vocab_size", spec.decoder.vocab_size}},
                       "the tokenizer and the weights do not belong together");
    }
  }
}

}  // namespace

Json Ledger::to_json() const {
  Json result = {{"source", source}, {"collator", collator}, {"records", records}, {"samples", samples},
                 {"tokens", tokens}, {"pictures", pictures}, {"chunked", chunked}};
  result["rejected"] = Json::array();
  for (const Rejection& rejection : rejected)
    result["rejected"].push_back({{"origin", rejection.origin}, {"reason", rejection.reason}});
  return result;
}

std::vector<std::int64_t> CalibrationSet::token_counts() const {
  std::vector<std::int64_t> counts;
  for (const Sample& sample : samples) counts.push_back(static_cast<std::int64_t>(sample.prompt.ids.size()));
  return counts;
}

CalibrationSet build_calibration_set(const CalibrationOptions& options, const nn::ModelSpec& spec,
                                     const models::PromptProcessor& processor, Reporter& reporter,
                                     const CancelToken& cancel) {
  FARTHING_REQUIRE(options.num_samples > 0 && options.sequence_length > 0, Code::kInvalidArgument,
                   "calibration needs at least one sample and one token",
                   {{"samples", options.num_samples}, {"sequence_length", options.sequence_length}});
  const std::vector<Record> records = read_records(
      options.spec,
      {.question = options.question, .system = options.system, .pictures = processor.takes_pictures()});
  const Collator& collator = find_collator(options.collator, spec.family);
  CalibrationSet set;
  set.ledger = {.source = options.spec,
                .collator = std::string(collator.name),
                .records = static_cast<std::int64_t>(records.size())};
  const std::int64_t length = sequence_limit(options, spec, reporter);

  const bool is_text =
      std::all_of(records.begin(), records.end(), [](const Record& r) { return r.joinable; });
  if (!records.empty() && is_text) {
    std::string text;
    for (const Record& record : records) text += (text.empty() ? "" : "\n\n") + record.text;
    add_windows(set, text, records.front().origin.substr(0, records.front().origin.rfind(':')), length,
                options, processor);
  } else {
    const CollatorOptions collator_options{.sequence_length = length};
    for (const std::size_t index :
         choose(records.size(), static_cast<std::size_t>(options.num_samples), options.seed)) {
      cancel.check();
      if (set.ledger.samples >= options.num_samples) break;
      try {
        Sample sample = collator.collate(records[index], processor, collator_options);
        if (sample.prompt.pictures.empty()) {
          add_chunks(set, std::move(sample), length, options.num_samples);
        } else {
          set.ledger.pictures +=
              static_cast<std::int64_t>(records[index].images.size() + records[index].embedded_images.size());
          add(set, std::move(sample));
        }
      } catch (const Error& error) {
        if (error.code() == Code::kInternal) throw;
        set.ledger.rejected.push_back({records[index].origin, error.what()});
      }
    }
  }
  FARTHING_REQUIRE(!set.samples.empty(), Code::kInvalidArgument, "no calibration sample could be used",
                   {{"calibration", options.spec},
                    {"records", records.size()},
                    {"first_reason", set.ledger.rejected.empty()
                                         ? "the source is empty"
                                         : fmt::format("{}: {}", set.ledger.rejected.front().origin,
                                                       set.ledger.rejected.front().reason)}},
                   "try --calibration builtin, or a file of texts or chats");
  check_ids(set, spec);
  reporter.note(fmt::format(
      "calibration  {} samples, {} tokens{} from {} ({} records, {} rejected{})", set.ledger.samples,
      set.ledger.tokens, set.ledger.pictures > 0 ? fmt::format(", {} pictures", set.ledger.pictures) : "",
      options.spec, records.size(), set.ledger.rejected.size(),
      set.ledger.chunked > 0 ? fmt::format(", {} samples cut from longer ones", set.ledger.chunked) : ""));
  warn_of_few_tokens(set.ledger, spec, reporter);
  for (std::size_t i = 0; i < set.ledger.rejected.size() && i < 5; ++i) {
    reporter.warn(
        fmt::format("rejected {}: {}", set.ledger.rejected[i].origin, set.ledger.rejected[i].reason));
  }
  return set;
}

}  // namespace farthing::calibrate
