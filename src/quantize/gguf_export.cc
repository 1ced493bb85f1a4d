#include "quantize/gguf_export.h"

#include <chrono>
#include <cmath>
#include <cstring>

#include "base/directory.h"
#include "base/error.h"
#include "base/sha256.h"
#include "base/system.h"
#include "calibrate/importance_collector.h"
#include "checkpoint/staging.h"
#include "checkpoint/writer.h"
#include "methods/ggml_blocks.h"
#include "models/model.h"
#include "nn/names.h"
#include "quantize/calibrated_model.h"
#include "quantize/ggml_codes.h"
#include "quantize/journal.h"
#include "scheme/quantizer.h"

namespace farthing::quantize {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Where the file grows, and how it gets its name: alone, or in a folder of its own. OUTPUT.partial is a
// folder in both cases, which holds what a resume needs.
class Target {
 public:
  Target(const plan::GgufPlan& plan, const GgufExportOptions& options)
      : final_(options.output), resumes_(options.resume) {
    if (final_.extension() == ".gguf") {
      FARTHING_REQUIRE(options.overwrite || !path_exists(final_), Code::kInvalidArgument,
                       "output file exists", {{"output", final_.string()}},
                       "choose another name, or add --overwrite to replace it");
      folder_ = final_;
      folder_ += ".partial";
      create_folders(folder_);
      lock_.emplace(folder_);
      if (!resumes_) clear();
      file_ = folder_ / final_.filename();
      return;
    }
    staged_.emplace(final_,
                    checkpoint::StagingOptions{.overwrite = options.overwrite, .resume = options.resume});
    folder_ = staged_->path();
    file_ = folder_ / fmt::format("{}-{}.gguf", plan.model_name, plan.scheme_name);
  }

  // What cannot be resumed is of no use.
  ~Target() {
    std::error_code ignored;
    if (lock_ && !committed_ && !resumes_) fs::remove_all(folder_, ignored);
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  const fs::path& folder() const { return folder_; }
  const fs::path& file() const { return file_; }
  const fs::path& final_path() const { return staged_ ? staged_->final_path() : final_; }
  bool is_folder() const { return staged_.has_value(); }

  void clear() const {
    for (const std::string& name : list_files(folder_)) remove_tree(folder_ / name);
  }

  void commit() {
    if (staged_) return staged_->commit();
    rename_path(file_, final_);
    committed_ = true;
    remove_tree(folder_);
    sync_directory(final_.has_parent_path() ? final_.parent_path() : ".");
  }

 private:
  fs::path final_, folder_, file_;
  std::optional<checkpoint::StagedDirectory> staged_;
  std::optional<DirectoryLock> lock_;
  bool resumes_, committed_ = false;
};

// Tensors are finished block by block; each of the others stands for itself.
std::string_view unit_of(const plan::GgufTensor& tensor) {
  const std::string_view name = tensor.name;
  constexpr std::string_view kBlock = "blk.";
  return name.starts_with(kBlock) ? name.substr(0, name.find('.', kBlock.size())) : name;
}

// Row 2j + t of a head is its row j + t * half: halves that rotate against each other become neighbours.
std::vector<std::int64_t> interleaved_order(std::int64_t rows, std::int64_t heads) {
  std::vector<std::int64_t> order;
  const std::int64_t per_head = heads > 0 ? rows / heads : 0, half = per_head / 2;
  for (std::int64_t row = 0; heads > 0 && row < rows; ++row) {
    const std::int64_t within = row % per_head;
    order.push_back(row - within + within % 2 * half + within / 2);
  }
  return order;
}

Tensor reorder_rows(const Tensor& tensor, const std::vector<std::int64_t>& order) {
  if (order.empty()) return tensor;
  Tensor result = Tensor::empty(tensor.dtype(), tensor.shape());
  const std::size_t row_bytes = tensor.num_bytes() / order.size();
  for (std::size_t row = 0; row < order.size(); ++row) {
    std::memcpy(result.mutable_bytes().data() + row * row_bytes,
                tensor.bytes().data() + static_cast<std::size_t>(order[row]) * row_bytes, row_bytes);
  }
  return result;
}

Tensor added_to(const Tensor& tensor, float added) {
  Tensor result = Tensor::zeros(DType::kF32, tensor.shape());
  const Tensor values = to_float32(tensor);
  for (std::int64_t i = 0; i < values.numel(); ++i)
    result.mutable_data<float>()[i] = values.data<float>()[i] + added;
  return result;
}

class Export {
 public:
  Export(const plan::GgufPlan& plan, const std::shared_ptr<const checkpoint::Checkpoint>& source,
         const calibrate::CalibrationSet* calibration, const GgufExportOptions& options, ThreadPool& pool,
         Reporter& reporter, const CancelToken& cancel)
      : plan_(plan),
        checkpoint_(source),
        weights_(source, plan.spec),
        calibration_(calibration),
        options_(options),
        pool_(pool),
        reporter_(reporter),
        cancel_(cancel),
        target_(plan, options),
        journal_(target_.folder(), fingerprint()) {}

  plan::QuantizeResult run() {
    const auto start = Clock::now();
    if (journal_.empty()) target_.clear();
    if (plan_.needs_calibration) weigh_columns();
    std::vector<checkpoint::gguf::PlannedTensor> planned;
    for (const plan::GgufTensor& tensor : plan_.tensors)
      planned.push_back({tensor.name, tensor.type, tensor.shape});
    using Start = checkpoint::gguf::Writer::Start;
    checkpoint::gguf::Writer writer(target_.file(), plan_.metadata, std::move(planned),
                                    journal_.empty() ? Start::kNew : Start::kResume);
    const std::span<const plan::GgufTensor> tensors = plan_.tensors;
    for (std::size_t done = 0; done < tensors.size();) {
      std::size_t end = done + 1;
      while (end < tensors.size() && unit_of(tensors[end]) == unit_of(tensors[done])) ++end;
      finish_unit(tensors.subspan(done, end - done), writer);
      done = end;
      report_progress(done);
    }
    writer.finish();
    plan::QuantizeResult result = describe();
    result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    remove_tree(importance_file());
    journal_.remove();
    if (target_.is_folder() && options_.add_reports) options_.add_reports(result, target_.folder());
    target_.commit();
    return result;
  }

 private:
  // What the bytes of the result depend on; the writer compares the header itself.
  std::string fingerprint() const {
    Sha256 hash;
    hash.update("farthing gguf 1\n");
    add_source(*checkpoint_, hash);
    for (const plan::GgufTensor& tensor : plan_.tensors)
      hash.update(
          fmt::format("{} {} {} {}\n", tensor.name, tensor.type, tensor.carries_codes, tensor.source));
    if (plan_.needs_calibration && calibration_ != nullptr) add_samples(*calibration_, hash);
    return hash.finish();
  }

  // The tensors of a block, or what an earlier run noted when it had finished them.
  void finish_unit(std::span<const plan::GgufTensor> tensors, checkpoint::gguf::Writer& writer) {
    const std::string unit(unit_of(tensors.front()));
    if (const Json* facts = journal_.find(unit)) {
      for (const plan::GgufTensor& tensor : tensors) writer.mark_written(tensor.name);
      for (const Json& layer : facts->at("layers")) layers_.push_back(layer_from_json(layer));
      for (const Json& what : facts->at("deviations")) deviations_.push_back({what.at(0), what.at(1)});
      ++resumed_units_;
      return;
    }
    const std::size_t first_layer = layers_.size(), first_deviation = deviations_.size();
    for (const plan::GgufTensor& tensor : tensors) write(tensor, writer);
    writer.sync();
    Json facts = {{"layers", Json::array()}, {"deviations", Json::array()}};
    for (std::size_t i = first_layer; i < layers_.size(); ++i) facts["layers"].push_back(to_json(layers_[i]));
    for (std::size_t i = first_deviation; i < deviations_.size(); ++i)
      facts["deviations"].push_back({deviations_[i].module, deviations_[i].what});
    journal_.note(unit, std::move(facts));
  }

  fs::path importance_file() const { return target_.folder() / "importance.safetensors"; }

  // The weights of columns stay beside the file until it is finished, so that a resume need not calibrate.
  void weigh_columns() {
    constexpr const char* kDone = "calibration";
    if (journal_.find(kDone) == nullptr) {
      const calibrate::ImportanceCollector collected = calibrate();
      std::vector<std::pair<std::string, Tensor>> columns;
      for (const plan::GgufTensor& tensor : plan_.tensors) {
        for (const plan::GgufTensor& piece : plan::pieces_of(tensor)) {
          const std::vector<float> weights = collected.importance(piece.reader);
          if (weights.empty()) continue;
          const Shape shape = {static_cast<std::int64_t>(weights.size())};
          columns.emplace_back(piece.reader, Tensor::of<float>(shape, std::span<const float>(weights)));
        }
      }
      checkpoint::save_safetensors(importance_file(), columns);
      journal_.note(kDone, Json::object());
    }
    importance_ = checkpoint::Checkpoint::open(importance_file());
  }

  std::vector<float> importance_of(const plan::GgufTensor& tensor) const {
    if (!importance_ || !importance_->contains(tensor.reader)) return {};
    const Tensor weights = importance_->read(tensor.reader);
    return {weights.data<float>(), weights.data<float>() + weights.numel()};
  }

  // The samples go through the unchanged model, as llama.cpp collects its matrix.
  calibrate::ImportanceCollector calibrate() {
    FARTHING_CHECK(calibration_ != nullptr);
    calibrate::ImportanceCollector importance;
    CalibratedModel model(plan_.spec, checkpoint_, *calibration_, Streams{}, pool_, reporter_, cancel_);
    calibrate::Listener* const listener = &importance;
    const nn::DecoderSpec& decoder = plan_.spec.decoder;
    const auto num_blocks = static_cast<std::int64_t>(decoder.blocks.size());
    for (std::int64_t i = 0; i <= num_blocks; ++i) {
      const bool is_head = i == num_blocks;
      cancel_.check();
      model.enter({.index = is_head ? -1 : i,
                   .path = is_head ? "outside" : nn::join(nn::join(decoder.path, decoder.layers), i)});
      model.run_samples({&listener, 1});
      model.leave(false);
      reporter_.progress({.stage = "calibrate",
                          .fraction = static_cast<double>(i + 1) / static_cast<double>(num_blocks + 1),
                          .done = i + 1,
                          .total = num_blocks + 1,
                          .detail = "importance of columns"});
    }
    return importance;
  }

  Tensor values_of(const plan::GgufTensor& tensor) const {
    if (tensor.source.empty())
      return Tensor::of<float>(tensor.shape, std::span<const float>(tensor.computed));
    if (tensor.added != 0) return added_to(weights_.tensor(tensor.source), tensor.added);
    if (tensor.module.empty()) return weights_.tensor(tensor.source);
    std::variant<Tensor, QuantizedMatrix> weight = weights_.linear_weight(tensor.module);
    if (const Tensor* plain = std::get_if<Tensor>(&weight)) return *plain;
    const QuantizedMatrix& quantized = std::get<QuantizedMatrix>(weight);
    return scheme::dequantize(quantized, pool_, quantized.rounding);
  }

  void write(const plan::GgufTensor& tensor, checkpoint::gguf::Writer& writer) {
    std::uint64_t offset = 0;
    for (const plan::GgufTensor& piece : plan::pieces_of(tensor)) {
      cancel_.check();
      const Tensor stored = piece.carries_codes ? carried(piece) : encoded(piece);
      writer.write_piece(tensor.name, offset, stored.bytes());
      offset += stored.num_bytes();
    }
  }

  Tensor encoded(const plan::GgufTensor& tensor) {
    const auto start = Clock::now();
    const Tensor values = values_of(tensor);
    const std::vector<std::int64_t> order = interleaved_order(values.dim(0), tensor.interleaved_heads);
    const checkpoint::gguf::BlockType* type = checkpoint::gguf::find_block_type(tensor.type);
    if (type == nullptr) return reorder_rows(as_plain(values, tensor), order);
    const std::vector<float> importance = importance_of(tensor);
    Tensor blocks;
    try {
      blocks = methods::encode_blocks(*type, values, importance, order, pool_);
      note(tensor, methods::measure_blocks(*type, values, blocks, importance, order, pool_), start);
    } catch (const Error& error) {
      if (error.code() != Code::kNumeric) throw;
      throw Error(Code::kCorruptData, error.message(), {{"tensor", tensor.source}},
                  "the checkpoint itself is damaged there; fetch it again");
    }
    if (plan_.needs_calibration && importance.empty() && !tensor.reader.empty())
      deviations_.push_back({tensor.source, "no calibration token reached it, so its columns count alike"});
    weights_.release(tensor.source);
    return blocks;
  }

  // Codes and scales as they are; what would change is an error.
  Tensor carried(const plan::GgufTensor& tensor) {
    const std::variant<Tensor, QuantizedMatrix> weight = weights_.linear_weight(tensor.module);
    const auto& quantized = std::get<QuantizedMatrix>(weight);
    const auto order = interleaved_order(quantized.rows, tensor.interleaved_heads);
    Tensor blocks;
    try {
      blocks = carry_codes(*checkpoint::gguf::find_block_type(tensor.type), quantized, order);
    } catch (const Error& error) {
      if (error.code() == Code::kInternal) throw;
      throw Error(error.code(), "cannot convert without loss: " + error.message(),
                  {{"module", tensor.module}}, "use farthing quantize --format gguf for types of its own");
    }
    layers_.push_back({.name = tensor.module,
                       .method = "carried over",
                       .scheme = std::string(checkpoint::gguf::type_name(tensor.type)),
                       .sqnr_db = 300});
    return blocks;
  }

  static Tensor as_plain(const Tensor& values, const plan::GgufTensor& tensor) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      if (checkpoint::gguf::plain_type(dtype) != tensor.type) continue;
      return values.dtype() == dtype ? values : from_float32(to_float32(values), dtype);
    }
    FARTHING_CHECK(false, "{}", tensor.type);
  }

  void note(const plan::GgufTensor& tensor, const methods::BlockError& error, Clock::time_point start) {
    const double relative = error.energy > 0 ? std::sqrt(error.error / error.energy) : 0;
    layers_.push_back({.name = tensor.module.empty() ? tensor.source : tensor.module,
                       .method = method(),
                       .scheme = std::string(checkpoint::gguf::type_name(tensor.type)),
                       .mse = error.error / static_cast<double>(std::max<std::int64_t>(error.count, 1)),
                       .relative_error = relative,
                       .sqnr_db = relative > 0 ? -20 * std::log10(relative) : 300,
                       .seconds = std::chrono::duration<double>(Clock::now() - start).count()});
    reporter_.finished(fmt::format("{}  {}  err {:.4f}  sqnr {:.1f} dB", tensor.name, layers_.back().scheme,
                                   relative, layers_.back().sqnr_db));
  }

  std::string method() const { return plan_.needs_calibration ? "imatrix" : "rtn"; }

  void report_progress(std::size_t done) {
    reporter_.progress({.stage = "quantize",
                        .fraction = static_cast<double>(done) / static_cast<double>(plan_.tensors.size()),
                        .done = static_cast<std::int64_t>(done),
                        .total = static_cast<std::int64_t>(plan_.tensors.size()),
                        .detail = plan_.tensors[done - 1].name});
  }

  plan::QuantizeResult describe() const {
    plan::QuantizeResult result{.model = plan_.model_name,
                                .scheme = plan_.scheme_name,
                                .method = method(),
                                .format = "gguf",
                                .bits_per_weight = plan_.bits_per_weight,
                                .bytes_in = plan_.bytes_in,
                                .bytes_out = plan_.bytes_out,
                                .peak_host_bytes = peak_resident_bytes(),
                                .layers = layers_,
                                .ignored = plan_.ignored,
                                .resumed_blocks = resumed_units_};
    if (calibration_ != nullptr && plan_.needs_calibration) {
      result.calibration_samples = calibration_->ledger.samples;
      result.calibration_tokens = calibration_->ledger.tokens;
      result.calibration = calibration_->ledger.to_json();
    }
    for (const auto* list : {&plan_.deviations, &deviations_}) {
      for (const plan::Deviation& deviation : *list)
        result.deviations.emplace_back(deviation.module, deviation.what);
    }
    result.output = target_.final_path().string();
    result.sha256 = sha256_of_file(target_.file());
    return result;
  }

  const plan::GgufPlan& plan_;
  std::shared_ptr<const checkpoint::Checkpoint> checkpoint_;
  models::CheckpointSource weights_;
  const calibrate::CalibrationSet* calibration_;
  const GgufExportOptions& options_;
  ThreadPool& pool_;
  Reporter& reporter_;
  const CancelToken& cancel_;
  Target target_;
  Journal journal_;
  std::optional<checkpoint::Checkpoint> importance_;  // of columns, by the linear that reads them
  std::vector<plan::LayerResult> layers_;
  std::vector<plan::Deviation> deviations_;
  std::int64_t resumed_units_ = 0;
};

}  // namespace

plan::QuantizeResult export_gguf(const plan::GgufPlan& plan,
                                 const std::shared_ptr<const checkpoint::Checkpoint>& source,
                                 const calibrate::CalibrationSet* calibration,
                                 const GgufExportOptions& options, ThreadPool& pool, Reporter& reporter,
                                 const CancelToken& cancel) {
  return Export(plan, source, calibration, options, pool, reporter, cancel).run();
}

}  // namespace farthing::quantize
