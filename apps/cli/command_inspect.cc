// farthing inspect: what a checkpoint is, read from its headers alone.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/units.h"
#include "cli/commands.h"
#include "formats/weight_format.h"
#include "models/closest_family.h"
#include "models/model.h"
#include "models/tokenizer_files.h"
#include "report/table.h"

namespace farthing::cli {
namespace {

using checkpoint::Checkpoint;

struct InspectOptions {
  std::string model;
  bool tensors = false, kernels = false, chat_template = false;
};

// What the quantized modules of a checkpoint have in common.
struct Quantization {
  std::string method = "none";
  std::string scheme;  // "W4A16", or "mixed"
  std::string layout;
  std::int64_t modules = 0;
  std::int64_t parameters = 0;
  double bits_per_weight = 0;
};

struct Facts {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::string model_type;
  std::string architecture;
  std::optional<nn::ModelSpec> spec;  // nothing for a family nobody declared
  std::string nearest_family;         // the closest known one then
  std::int64_t parameters = 0;        // as many as before quantization
  std::string dtype;                  // of the most bytes that are not quantized
  Quantization quantization;
  std::vector<std::string> unexplained;
  std::vector<std::string> problems;
};

std::string architecture_of(const Json& config) {
  const auto list = config.find("architectures");
  if (list == config.end() || !list->is_array() || list->empty() || !list->front().is_string()) return "";
  return list->front().get<std::string>();
}

void declare_family(const Json& config, Facts& facts) {
  const models::Config reader(config, (facts.checkpoint->directory() / "config.json").string());
  facts.model_type = reader.text("model_type", "");
  facts.architecture = architecture_of(config);
  if (!models::is_known_family(facts.model_type)) {
    if (const auto closest = models::closest_family(reader, *facts.checkpoint)) {
      facts.nearest_family = closest->model_type;
      facts.unexplained = closest->unexplained;
    }
    return;
  }
  try {
    facts.spec = models::declare(*facts.checkpoint);
  } catch (const Error& error) {
    facts.problems.emplace_back(error.what());
  }
}

// Counts what the quantized modules stand for, and every other tensor by itself.
void count_weights(const formats::WeightReader& reader, Facts& facts) {
  Quantization& quantization = facts.quantization;
  quantization.method = std::string(reader.method());
  std::set<std::string> packed;
  std::set<std::string> schemes, layouts;
  double bits = 0;
  for (const std::string& module : reader.modules()) {
    const formats::WeightDescription weight = reader.describe(module);
    ++quantization.modules;
    quantization.parameters += weight.rows * weight.columns;
    bits += weight.bits_per_weight * static_cast<double>(weight.rows * weight.columns);
    schemes.insert(weight.scheme);
    layouts.insert(weight.layout);
    for (std::string& name : reader.tensors_of(module)) packed.insert(std::move(name));
  }
  const auto common = [](const std::set<std::string>& names) {
    return names.size() > 1 ? std::string("mixed") : names.empty() ? std::string() : *names.begin();
  };
  quantization.scheme = common(schemes);
  quantization.layout = common(layouts);
  if (quantization.parameters > 0) {
    quantization.bits_per_weight = bits / static_cast<double>(quantization.parameters);
  }

  facts.parameters = quantization.parameters;
  std::map<DType, std::uint64_t> bytes;
  for (const checkpoint::TensorInfo& tensor : facts.checkpoint->tensors()) {
    if (packed.contains(tensor.name)) continue;
    facts.parameters += num_elements(tensor.shape);
    bytes[tensor.dtype] += tensor.num_bytes;
  }
  const auto most = std::max_element(bytes.begin(), bytes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most != bytes.end()) facts.dtype = dtype_name(most->first);
}

Facts gather(const std::filesystem::path& path) {
  Facts facts;
  facts.checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(path));
  const Json config = facts.checkpoint->config();
  declare_family(config, facts);
  formats::OtherSpelling other;
  if (facts.spec) {
    other = [&spec = *facts.spec](std::string_view name) { return models::canonical_name(spec, name); };
  }
  try {
    count_weights(*formats::detect(*facts.checkpoint, config, other), facts);
    if (facts.spec) {
      const models::CheckpointSource source(facts.checkpoint, *facts.spec);
      facts.unexplained = source.unexplained();
      source.require_complete();
    }
  } catch (const Error& error) {
    if (error.code() == Code::kInternal) throw;
    facts.problems.emplace_back(error.what());  // the rest is still worth showing
  }
  return facts;
}

std::int64_t parameters_of(const nn::ModelSpec& spec, std::initializer_list<models::Role> roles) {
  std::int64_t sum = 0;
  for (const models::ModuleInfo& linear : models::linears_of(spec)) {
    if (std::find(roles.begin(), roles.end(), linear.role) != roles.end()) {
      sum += linear.in_features * linear.out_features;
    }
  }
  return sum;
}

std::string blocks_text(const std::vector<nn::BlockSpec>& blocks, std::int64_t hidden_size) {
  if (blocks.empty()) return "none";
  const nn::BlockSpec& block = blocks.front();
  std::string text = fmt::format("{} x {}, hidden {}, {} heads", blocks.size(), block.class_name, hidden_size,
                                 block.attention.num_heads);
  if (block.attention.num_key_value_heads != block.attention.num_heads) {
    text += fmt::format(" ({} for keys and values)", block.attention.num_key_value_heads);
  }
  if (block.moe) {
    return text + fmt::format(", {} experts, {} per token", block.moe->num_experts,
                              block.moe->num_experts_per_token);
  }
  return text + fmt::format(", intermediate {}", block.mlp.down.in_features);
}

std::string quantization_text(const Quantization& quantization) {
  if (quantization.modules == 0) return quantization.method;
  return fmt::format("{} {} ({}), {} linears, {} parameters, {:.2f} bits/weight", quantization.method,
                     quantization.scheme, quantization.layout, quantization.modules,
                     format_count(quantization.parameters), quantization.bits_per_weight);
}

std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 8;
  const std::span<const std::string> shown(names.data(), std::min(kShown, names.size()));
  return fmt::format("{}: {}{}", names.size(), fmt::join(shown, ", "), names.size() > kShown ? ", ..." : "");
}

std::string family_text(const Facts& facts) {
  if (facts.spec) return fmt::format("{} ({})", facts.model_type, facts.architecture);
  if (facts.nearest_family.empty()) return fmt::format("{}, not a known family", facts.model_type);
  return fmt::format("{}, not a known family; the closest known one is {}", facts.model_type,
                     facts.nearest_family);
}

std::string describe(const Facts& facts, const std::string& name) {
  std::string text = name + "\n";
  const auto row = [&](std::string_view key, const std::string& value) {
    text += printable(fmt::format("  {:<14}{}", key, value)) + "\n";
  };
  row("family", family_text(facts));
  row("parameters", format_count(facts.parameters));
  row("size", fmt::format("{} in {} file{}, mostly {}", format_bytes(facts.checkpoint->total_bytes()),
                          facts.checkpoint->files().size(), facts.checkpoint->files().size() == 1 ? "" : "s",
                          facts.dtype.empty() ? "quantized" : facts.dtype));
  row("quantization", quantization_text(facts.quantization));
  if (facts.spec) {
    const nn::DecoderSpec& decoder = facts.spec->decoder;
    row("context", fmt::format("{} tokens", decoder.max_position_embeddings));
    row("vocabulary", fmt::format("{}{}", decoder.vocab_size,
                                  decoder.tie_word_embeddings ? ", head tied to the embedding" : ""));
    row("decoder", blocks_text(decoder.blocks, decoder.hidden_size));
    if (facts.spec->vision)
      row("vision", blocks_text(facts.spec->vision->blocks, facts.spec->vision->hidden_size));
    if (facts.spec->audio)
      row("audio", blocks_text(facts.spec->audio->blocks, facts.spec->audio->hidden_size));
    row("linears",
        fmt::format("{} parameters in the decoder's blocks, {} in towers and projector, {} in the head",
                    format_count(parameters_of(*facts.spec, {models::Role::kText})),
                    format_count(parameters_of(*facts.spec, {models::Role::kVision, models::Role::kAudio,
                                                             models::Role::kProjector})),
                    format_count(parameters_of(*facts.spec, {models::Role::kHead}))));
    row("left alone", facts.spec->default_ignore.empty()
                          ? "nothing"
                          : fmt::format("{}", fmt::join(facts.spec->default_ignore, ", ")));
  } else {
    row("works", "quantize with data-free methods (--method rtn), convert, diff; not run");
    row("next", "describe the family in a file: --declare FILE (docs/declare.md)");
  }
  if (!facts.unexplained.empty())
    row("unexplained",
        some_of(facts.unexplained) + (facts.spec ? "  (in the file, not in the declaration)"
                                                 : fmt::format("  (not what {} has)", facts.nearest_family)));
  for (const std::string& problem : facts.problems) row("problem", problem);
  return text;
}

std::string tensor_table(const Facts& facts) {
  report::Table table({"tensor", "dtype", "shape", "file"});
  for (const checkpoint::TensorInfo& tensor : facts.checkpoint->tensors()) {
    table.add({printable(tensor.name), std::string(dtype_name(tensor.dtype)), to_string(tensor.shape),
               tensor.file.filename().string()});
  }
  return table.markdown();
}

// Loads one block after the other: which kernel a linear gets is decided when its weight is packed.
std::vector<std::pair<std::string, kernels::PackedWeight>> packed_linears(App& app,
                                                                          const std::filesystem::path& path) {
  models::Model model = models::Model::open(path);
  std::vector<std::pair<std::string, kernels::PackedWeight>> result;
  const auto num_blocks = static_cast<std::int64_t>(model.spec().decoder.blocks.size());
  for (std::int64_t index = 0; index < num_blocks; ++index) {
    app.cancel().check();
    for (const nn::Linear* linear : model.block(index).linears()) {
      kernels::PackedWeight facts = linear->weight();
      facts.data = facts.scales = facts.zero_points =
          facts.column_order = {};  // their memory goes with the block
      result.emplace_back(linear->path(), std::move(facts));
    }
    model.unload_block(index);
  }
  return result;
}

Json document_of(const Facts& facts) {
  const Quantization& quantization = facts.quantization;
  Json document = {{"family", facts.model_type},
                   {"known", facts.spec.has_value()},
                   {"architecture", facts.architecture},
                   {"parameters", facts.parameters},
                   {"bytes", facts.checkpoint->total_bytes()},
                   {"dtype", facts.dtype},
                   {"quantization",
                    {{"method", quantization.method},
                     {"scheme", quantization.scheme},
                     {"layout", quantization.layout},
                     {"modules", quantization.modules},
                     {"parameters", quantization.parameters},
                     {"bits_per_weight", quantization.bits_per_weight}}},
                   {"context", facts.spec ? Json(facts.spec->decoder.max_position_embeddings) : Json()},
                   {"unexplained", facts.unexplained},
                   {"problems", facts.problems}};
  if (!facts.spec) document["nearest_family"] = facts.nearest_family;
  document["tensors"] = Json::array();
  for (const checkpoint::TensorInfo& tensor : facts.checkpoint->tensors()) {
    document["tensors"].push_back({{"name", tensor.name},
                                   {"dtype", dtype_name(tensor.dtype)},
                                   {"shape", tensor.shape},
                                   {"file", tensor.file.filename().string()}});
  }
  return document;
}

int inspect(App& app, const InspectOptions& options) {
  const std::filesystem::path path = checkpoint::find_model(options.model);
  const Facts facts = gather(path);
  std::optional<std::string> chat_template;
  if (options.chat_template) {
    const auto found = models::open_chat_template(path);
    FARTHING_REQUIRE(found, Code::kNotFound, "the model has no chat template",
                     {{"folder", facts.checkpoint->directory().string()}});
    chat_template = found->source();
  }
  const auto kernels = options.kernels ? packed_linears(app, path) : decltype(packed_linears(app, path)){};
  if (app.json()) {
    Json document = document_of(facts);
    if (chat_template) document["template"] = *chat_template;
    if (options.kernels) document["kernels"] = Json::array();
    for (const auto& [name, weight] : kernels) {
      document["kernels"].push_back({{"name", name},
                                     {"kernel", weight.kernel},
                                     {"bits", weight.bits},
                                     {"group_size", weight.group_size}});
    }
    app.write_json(document);
    return kDone;
  }
  std::string text = describe(facts, options.model);
  if (options.tensors) text += "\n" + tensor_table(facts);
  if (options.kernels) {
    report::Table table({"linear", "kernel", "bits", "group"});
    for (const auto& [name, weight] : kernels) {
      table.add({name, std::string(weight.kernel), fmt::to_string(weight.bits),
                 weight.group_size > 0 ? fmt::to_string(weight.group_size) : "-"});
    }
    text += "\n" + table.markdown();
  }
  if (chat_template) text += "\n" + *chat_template + "\n";
  app.write(text);
  return kDone;
}

}  // namespace

void add_inspect(App& app) {
  const auto options = std::make_shared<InspectOptions>();
  app.command("inspect", "what a checkpoint is, read from its headers")
      .example("farthing inspect models/tiny-llava-21m")
      .example("farthing inspect models/tiny-llava-21m --tensors")
      .example("farthing inspect ./Llama-3.2-1B-W4A16 --kernels --json")
      .positional("MODEL", options->model, "model folder, weight file, or org/name in the Hugging Face cache")
      .flag("--tensors", options->tensors, "a table of all tensors")
      .flag("--kernels", options->kernels, "load the blocks and show which kernel multiplies each weight")
      .flag("--template", options->chat_template, "the chat template's text")
      .body([&app, options] { return inspect(app, *options); });
}

}  // namespace farthing::cli
