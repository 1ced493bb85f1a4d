// farthing bench: how fast a model reads and writes, in the tables people paste.
#include <chrono>
#include <cmath>

#include "base/system.h"
#include "base/units.h"
#include "cli/bandwidth.h"
#include "cli/commands.h"
#include "cli/opened_model.h"
#include "formats/weight_format.h"
#include "generate/engine.h"
#include "kernels/isa.h"
#include "report/table.h"

namespace farthing::cli {
namespace {

struct BenchOptions {
  std::vector<std::string> models;
  std::string load_in;  // "4bit", "8bit", or as stored
  std::vector<std::int64_t> prefill = {32, 128, 512}, decode = {128}, batch = {1};
  std::int64_t repeat = 3, warmup = 1;
  std::string style = "awq";
};

struct Row {
  std::string model, scheme;
  std::int64_t batch = 1, prefill_tokens = 0, decode_tokens = 0;
  double prefill_rate = 0, prefill_deviation = 0;  // tokens per second, over the repeats
  double decode_rate = 0, decode_deviation = 0;
  std::uint64_t peak_bytes = 0;
  double decode_bytes_rate = 0;  // bytes of weights read per second of decoding

  /// The share of the read bandwidth of memory that decoding used.
  double bandwidth_fraction(double bandwidth) const {
    return bandwidth > 0 ? decode_bytes_rate / bandwidth : 0;
  }
};

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  double sum = 0;
  for (const double value : values) sum += (value - mean(values)) * (value - mean(values));
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

// Ids that are valid in every vocabulary and not all alike.
models::Prompt synthetic_prompt(const nn::DecoderSpec& decoder, std::int64_t length) {
  models::Prompt prompt;
  for (std::int64_t i = 0; i < length; ++i)
    prompt.ids.push_back(
        static_cast<std::int32_t>((i * 7919 + 11) % std::min<std::int64_t>(decoder.vocab_size, 30000)));
  return prompt;
}

// "W4A16", "bf16": what the weights are stored in.
std::string scheme_of(const OpenedModel& opened) {
  const checkpoint::Checkpoint checkpoint = checkpoint::Checkpoint::open(opened.path);
  const Json config = checkpoint.config();
  const auto reader = formats::detect(checkpoint, config);
  const auto modules = reader->modules();
  if (!modules.empty()) return reader->describe(modules.front()).scheme;
  std::map<DType, std::uint64_t> bytes;
  for (const auto& tensor : checkpoint.tensors()) bytes[tensor.dtype] += tensor.num_bytes;
  const auto most = std::max_element(bytes.begin(), bytes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? "" : std::string(dtype_name(most->first));
}

Row measure(App& app, OpenedModel& opened, const BenchOptions& options, std::int64_t batch,
            std::int64_t prefill, std::int64_t decode) {
  Row row{.model = opened.name,
          .scheme = options.load_in.empty() ? scheme_of(opened) : options.load_in,
          .batch = batch,
          .prefill_tokens = prefill,
          .decode_tokens = decode};
  const std::vector<models::Prompt> prompts(static_cast<std::size_t>(batch),
                                            synthetic_prompt(opened.model.spec().decoder, prefill));
  std::vector<double> prefill_rates, decode_rates;
  for (std::int64_t run = 0; run < options.warmup + options.repeat; ++run) {
    app.cancel().check();
    generate::GenerationTimes times;
    generate::generate(opened.model, prompts, {.max_tokens = decode + 1}, app.threads(), app.cancel(), {},
                       &times);
    if (run < options.warmup) continue;
    prefill_rates.push_back(static_cast<double>(batch * prefill) / times.prefill_seconds);
    if (times.decode_seconds > 0)
      decode_rates.push_back(static_cast<double>(times.decoded_tokens) / times.decode_seconds);
  }
  row.prefill_rate = mean(prefill_rates);
  row.prefill_deviation = deviation(prefill_rates);
  row.decode_rate = mean(decode_rates);
  row.decode_deviation = deviation(decode_rates);
  row.peak_bytes = peak_resident_bytes();
  row.decode_bytes_rate =
      row.decode_rate / static_cast<double>(batch) * static_cast<double>(opened.model.bytes_per_token());
  return row;
}

Json to_json(const Row& row, double bandwidth) {
  return {{"model", row.model},
          {"scheme", row.scheme},
          {"batch", row.batch},
          {"prefill_tokens", row.prefill_tokens},
          {"decode_tokens", row.decode_tokens},
          {"prefill_tokens_per_second", row.prefill_rate},
          {"prefill_deviation", row.prefill_deviation},
          {"decode_tokens_per_second", row.decode_rate},
          {"decode_deviation", row.decode_deviation},
          {"peak_bytes", row.peak_bytes},
          {"bandwidth_fraction", row.bandwidth_fraction(bandwidth)}};
}

std::string awq_table(std::span<const Row> rows, double bandwidth) {
  report::Table table({"Model", "Scheme", "Batch Size", "Prefill Length", "Decode Length", "Prefill tokens/s",
                       "Decode tokens/s", "Memory (RAM)", "Bandwidth"});
  for (const Row& row : rows) {
    table.add({row.model, row.scheme, fmt::to_string(row.batch), fmt::to_string(row.prefill_tokens),
               fmt::to_string(row.decode_tokens), fmt::format("{:.2f}", row.prefill_rate),
               fmt::format("{:.2f}", row.decode_rate), format_bytes(row.peak_bytes),
               fmt::format("{:.0f} %", 100 * row.bandwidth_fraction(bandwidth))});
  }
  return table.markdown();
}

std::string llama_bench_table(std::span<const Row> rows, int threads) {
  report::Table table({"model", "scheme", "backend", "threads", "batch", "test", "t/s"});
  for (const Row& row : rows) {
    const auto add = [&](std::string test, double rate, double spread) {
      table.add({row.model, row.scheme, fmt::format("CPU {}", kernels::isa_name(kernels::active_isa())),
                 fmt::to_string(threads), fmt::to_string(row.batch), std::move(test),
                 fmt::format("{:.2f} \u00b1 {:.2f}", rate, spread)});
    };
    add(fmt::format("pp{}", row.prefill_tokens), row.prefill_rate, row.prefill_deviation);
    if (row.decode_tokens > 0)
      add(fmt::format("tg{}", row.decode_tokens), row.decode_rate, row.decode_deviation);
  }
  return table.markdown();
}

int run_bench(App& app, const BenchOptions& options) {
  std::vector<Row> rows;
  for (const std::string& name : options.models) {
    reset_peak_resident_bytes();  // each model's own
    OpenedModel opened = open_model(app, name, options.load_in);
    opened.model.load(app.threads());
    for (const std::int64_t batch : options.batch) {
      for (const std::int64_t prefill : options.prefill) {
        for (const std::int64_t decode : options.decode) {
          rows.push_back(measure(app, opened, options, batch, prefill, decode));
          app.reporter().finished(
              fmt::format("{}  batch {}  prefill {} at {:.1f}  decode {} at {:.1f} tokens/s", opened.name,
                          batch, prefill, rows.back().prefill_rate, decode, rows.back().decode_rate));
        }
      }
    }
  }
  // Last, because its buffer would count as the models' memory.
  const double bandwidth = read_bandwidth(app.threads(), memory_facts().available_bytes);
  if (app.json()) {
    Json document = {{"cpu", cpu_name()},
                     {"isa", kernels::isa_name(kernels::active_isa())},
                     {"threads", app.threads().num_threads()},
                     {"bandwidth_gbps", bandwidth / 1e9},
                     {"rows", Json::array()}};
    for (const Row& row : rows) document["rows"].push_back(to_json(row, bandwidth));
    app.write_json(document);
    return kDone;
  }
  app.write(fmt::format("{}, {}, {} threads, reads {:.1f} GB/s\n\n", cpu_name(),
                        kernels::isa_name(kernels::active_isa()), app.threads().num_threads(),
                        bandwidth / 1e9));
  app.write(options.style == "awq" ? awq_table(rows, bandwidth)
                                   : llama_bench_table(rows, app.threads().num_threads()));
  return kDone;
}

}  // namespace

void add_bench(App& app) {
  auto options = std::make_shared<BenchOptions>();
  app.command("bench", "prefill and decode speed, memory, in a table to paste")
      .example("farthing bench ./model ./model-W4A16")
      .example("farthing bench ./model --prefill 32,128,512 --decode 64 --batch 1,4 --style llama-bench")
      .positional("MODEL", options->models, "model folders, or org/name in the Hugging Face cache",
                  Command::Presence::kRest)
      .option("--load-in", "FORM", read_choice(options->load_in, {"4bit", "8bit"}),
              "quantize plain weights while loading: 4bit (NF4) or 8bit (LLM.int8)")
      .option("--prefill", "N,...", read_counts(options->prefill), "prompt lengths (32,128,512)")
      .option("--decode", "N,...", read_counts(options->decode), "tokens to generate after each (128)")
      .option("--batch", "N,...", read_counts(options->batch), "sequences at once (1)")
      .option("--repeat", "N", options->repeat, "measured runs of each (3)")
      .option("--warmup", "N", options->warmup, "runs before them that do not count (1)")
      .option("--style", "NAME", read_choice(options->style, {"awq", "llama-bench"}),
              "columns as AutoAWQ's benchmark (default) or llama-bench print them")
      .body([&app, options] { return run_bench(app, *options); });
}

}  // namespace farthing::cli
