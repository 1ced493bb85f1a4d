// farthing forward: ids in, logits out, for programs that check the arithmetic.
#include "checkpoint/checkpoint.h"
#include "checkpoint/writer.h"
#include "cli/commands.h"
#include "cli/opened_model.h"

namespace farthing::cli {
namespace {

struct Options {
  std::string model;
  std::filesystem::path ids, output;
  bool hidden_states = false;
  std::string compute = "exact";
};

struct Inputs {
  std::vector<std::int32_t> ids;  // row after row
  std::int64_t rows = 0, columns = 0;
  models::PictureTensors pictures;
};

Inputs read_inputs(const std::filesystem::path& file) {
  const checkpoint::Checkpoint tensors = checkpoint::load_safetensors(file);
  const Tensor ids = tensors.read("input_ids");
  FARTHING_REQUIRE(
      ids.rank() == 2 && (ids.dtype() == DType::kI64 || ids.dtype() == DType::kI32), Code::kInvalidArgument,
      "input_ids must be int64 [B, T]",
      {{"file", file.string()}, {"shape", to_string(ids.shape())}, {"dtype", dtype_name(ids.dtype())}});
  Inputs inputs{.rows = ids.dim(0), .columns = ids.dim(1)};
  FARTHING_REQUIRE(ids.numel() > 0, Code::kInvalidArgument, "input_ids is empty", {{"file", file.string()}});
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    inputs.ids.push_back(ids.dtype() == DType::kI64 ? static_cast<std::int32_t>(ids.data<std::int64_t>()[i])
                                                    : ids.data<std::int32_t>()[i]);
  }
  for (const checkpoint::TensorInfo& info : tensors.tensors()) {
    if (info.name != "input_ids") inputs.pictures.emplace(info.name, tensors.read(info.name));
  }
  return inputs;
}

void check_vocabulary(const Inputs& inputs, const nn::ModelSpec& spec, const std::filesystem::path& file) {
  for (const std::int32_t id : inputs.ids) {
    FARTHING_REQUIRE(id >= 0 && (id < spec.decoder.vocab_size || id == spec.image_token_id),
                     Code::kInvalidArgument, "id is outside the vocabulary",
                     {{"file", file.string()}, {"id", id}, {"vocab_size", spec.decoder.vocab_size}});
  }
}

int run(App& app, const Options& options) {
  const bool exact = options.compute == "exact";
  OpenedModel opened =
      open_model(app, options.model, exact ? models::WeightForm::kRounded : models::WeightForm::kAsStored);
  models::Model& model = opened.model;
  const Inputs inputs = read_inputs(options.ids);
  check_vocabulary(inputs, model.spec(), options.ids);
  ThreadPool& pool = app.threads();

  const std::vector<std::int64_t> lengths(static_cast<std::size_t>(inputs.rows), inputs.columns);
  const models::Prepared prepared = model.prepare(inputs.ids, lengths, inputs.pictures, pool);
  std::vector<Tensor> states;
  const Tensor last =
      model.forward(prepared.hidden, prepared.batch(), pool, options.hidden_states ? &states : nullptr);
  const Tensor logits = model.logits(last, pool);

  std::vector<std::pair<std::string, Tensor>> result = {
      {"logits", logits.reshape({inputs.rows, inputs.columns, logits.dim(1)})}};
  for (std::size_t i = 0; i < states.size(); ++i) {
    result.emplace_back(fmt::format("hidden_states.{}", i),
                        states[i].reshape({inputs.rows, inputs.columns, states[i].dim(1)}));
  }
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
  auto options = std::make_shared<Options>();
  app.command("forward", "logits of given ids, as a file")
      .example("farthing forward ./model --ids prompt.safetensors -o logits.safetensors")
      .positional("MODEL", options->model, "model folder, or org/name in the Hugging Face cache")
      .required_option("--ids", "FILE", options->ids,
                       "safetensors with input_ids [B, T] int64 and, for pictures, the processor's tensors")
      .required_option("-o,--output", "FILE", options->output, "where logits [B, T, V] go, as safetensors")
      .flag("--hidden-states", options->hidden_states,
            "add every layer's input and the last layer's normed output")
      .option(
          "--compute", "HOW", read_choice(options->compute, {"exact", "fast"}),
          "exact: fp32 arithmetic on the weights as the format's own loader forms them; fast: the kernels "
          "that run uses")
      .body([&app, options] { return run(app, *options); });
}

}  // namespace farthing::cli
