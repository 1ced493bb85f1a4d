// farthing forward: ids in, logits out, for programs that check the arithmetic.
#include <algorithm>
#include <set>

#include "checkpoint/checkpoint.h"
#include "checkpoint/writer.h"
#include "cli/commands.h"
#include "cli/opened_model.h"

namespace farthing::cli {
namespace {

struct ForwardOptions {
  std::string model;
  std::filesystem::path ids, output;
  bool hidden_states = false;
  std::string compute = "exact";
};

struct Inputs {
  std::vector<std::int32_t> ids;      // row after row, without padding
  std::vector<std::int64_t> places;   // of each id in input_ids [rows * columns]
  std::vector<std::int64_t> lengths;  // ids of each row
  std::int64_t rows = 0, columns = 0;
  models::PictureTensors pictures;
};

std::vector<std::int64_t> integers_of(const Tensor& tensor, const std::string& name,
                                      const std::filesystem::path& file) {
  const bool wide = tensor.dtype() == DType::kI64;
  FARTHING_REQUIRE(
      tensor.rank() == 2 && (wide || tensor.dtype() == DType::kI32), Code::kInvalidArgument,
      fmt::format("{} must be int64 [B, T]", name),
      {{"file", file.string()}, {"shape", to_string(tensor.shape())}, {"dtype", dtype_name(tensor.dtype())}});
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    values.push_back(wide ? tensor.data<std::int64_t>()[i] : tensor.data<std::int32_t>()[i]);
  return values;
}

// What follows from the ids and the pictures: the model works it out itself.
bool is_derived(const std::string& name) {
  static const std::set<std::string> kNames = {"token_type_ids", "mm_token_type_ids", "position_ids",
                                               "cross_attention_mask"};
  return kNames.contains(name);
}

Inputs read_inputs(const std::filesystem::path& file) {
  const checkpoint::Checkpoint tensors = checkpoint::load_safetensors(file);
  // Models that hear and write have their text on the decoder's side.
  const std::string name = tensors.contains("decoder_input_ids") ? "decoder_input_ids" : "input_ids";
  const Tensor ids = tensors.read(name);
  const std::vector<std::int64_t> values = integers_of(ids, name, file);
  Inputs inputs{.rows = ids.dim(0), .columns = ids.dim(1)};
  FARTHING_REQUIRE(ids.numel() > 0, Code::kInvalidArgument, "input_ids is empty", {{"file", file.string()}});
  std::vector<std::int64_t> mask(values.size(), 1);
  if (tensors.contains("attention_mask"))
    mask = integers_of(tensors.read("attention_mask"), "attention_mask", file);
  FARTHING_REQUIRE(mask.size() == values.size(), Code::kInvalidArgument,
                   "attention_mask and input_ids differ in size", {{"file", file.string()}});
  inputs.lengths.resize(static_cast<std::size_t>(inputs.rows), 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (mask[i] == 0) continue;
    inputs.ids.push_back(static_cast<std::int32_t>(values[i]));
    inputs.places.push_back(static_cast<std::int64_t>(i));
    ++inputs.lengths[i / static_cast<std::size_t>(inputs.columns)];
  }
  for (const checkpoint::TensorInfo& info : tensors.tensors()) {
    if (info.name != name && info.name != "attention_mask" && !is_derived(info.name))
      inputs.pictures.emplace(info.name, tensors.read(info.name));
  }
  return inputs;
}

// Rows of the ids back in their places [B, T, width]; what was padding is zero.
Tensor in_place(const Inputs& inputs, const Tensor& rows) {
  const std::int64_t width = rows.dim(1);
  Tensor result = Tensor::zeros(DType::kF32, {inputs.rows, inputs.columns, width});
  for (std::size_t i = 0; i < inputs.places.size(); ++i)
    std::copy_n(rows.data<float>() + static_cast<std::int64_t>(i) * width, width,
                result.mutable_data<float>() + inputs.places[i] * width);
  return result;
}

void check_vocabulary(const Inputs& inputs, const nn::ModelSpec& spec, const std::filesystem::path& file) {
  for (const std::int32_t id : inputs.ids) {
    FARTHING_REQUIRE(id >= 0 && (id < spec.decoder.vocab_size || id == spec.image_token_id),
                     Code::kInvalidArgument, "id is outside the vocabulary",
                     {{"file", file.string()}, {"id", id}, {"vocab_size", spec.decoder.vocab_size}});
  }
}

int run_forward(App& app, const ForwardOptions& options) {
  const bool exact = options.compute == "exact";
  OpenedModel opened =
      open_model(app, options.model, exact ? models::WeightForm::kRounded : models::WeightForm::kAsStored);
  models::Model& model = opened.model;
  const Inputs inputs = read_inputs(options.ids);
  check_vocabulary(inputs, model.spec(), options.ids);
  ThreadPool& pool = app.threads();

  const models::Prepared prepared = model.prepare(inputs.ids, inputs.lengths, inputs.pictures, pool);
  std::vector<Tensor> states;
  const Tensor last =
      model.forward(prepared.hidden, prepared.batch(), pool, options.hidden_states ? &states : nullptr);
  const Tensor logits = model.logits(last, pool);

  std::vector<std::pair<std::string, Tensor>> result = {{"logits", in_place(inputs, logits)}};
  for (std::size_t i = 0; i < states.size(); ++i)
    result.emplace_back(fmt::format("hidden_states.{}", i), in_place(inputs, states[i]));
  checkpoint::save_safetensors(options.output, result);
  const Json shape = {inputs.rows, inputs.columns, logits.dim(1)};
  if (app.json())
    app.write_json({{"output", options.output.string()}, {"shape", shape}, {"compute", options.compute}});
  else
    app.write(fmt::format("logits {} written to {}\n", shape.dump(), options.output.string()));
  return kDone;
}

}  // namespace

void add_forward(App& app) {
  auto options = std::make_shared<ForwardOptions>();
  app.command("forward", "logits of given ids, as a file")
      .example("farthing forward ./model --ids prompt.safetensors -o logits.safetensors")
      .positional("MODEL", options->model, "model folder, or org/name in the Hugging Face cache")
      .required_option(
          "--ids", "FILE", options->ids,
          "safetensors with input_ids [B, T] int64, attention_mask where rows are padded, and the "
          "processor's tensors of pictures")
      .required_option("-o,--output", "FILE", options->output, "where logits [B, T, V] go, as safetensors")
      .flag("--hidden-states", options->hidden_states,
            "add every layer's input and the last layer's normed output")
      .option(
          "--compute", "HOW", read_choice(options->compute, {"exact", "fast"}),
          "exact: fp32 arithmetic on the weights as the format's own loader forms them; fast: the kernels "
          "that run uses")
      .body([&app, options] { return run_forward(app, *options); });
}

}  // namespace farthing::cli
