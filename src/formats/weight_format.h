// The seam between files and quantized matrices. A reader turns the tensors of a checkpoint into
// QuantizedMatrix, a writer the reverse; each format is a folder here and a row in registry.cc. Module paths
// are in the spelling of the file.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/writer.h"
#include "scheme/activation.h"
#include "scheme/scheme.h"
#include "scheme/target.h"
#include "tensor/quantized_matrix.h"

namespace farthing::formats {

/// What inspect says about one quantized module.
struct WeightDescription {
  std::int64_t rows = 0, columns = 0;
  std::string scheme;          // "W4A16", "W4A16 group 64"
  std::string layout;          // the format's word for how it is stored: "pack-quantized"
  double bits_per_weight = 0;  // over all its tensors but the bias: scales count
};

/// Some rows of a weight: first, first + step, ...
struct RowRange {
  std::int64_t first = 0, step = 1, count = 0;
};

/// Reads the quantized weights of one open checkpoint. Safe to use from several threads.
class WeightReader {
 public:
  virtual ~WeightReader() = default;

  /// The quantization method as config.json names it ("compressed-tensors"); "none" for a dense checkpoint.
  virtual std::string_view method() const = 0;

  /// Every quantized module, sorted.
  virtual std::vector<std::string> modules() const = 0;
  virtual bool is_quantized(std::string_view module) const = 0;

  /// The tensors that make up the module's weight, as they are named in the file; the bias is not among them.
  virtual std::vector<std::string> tensors_of(std::string_view module) const = 0;

  virtual scheme::Scheme scheme_of(std::string_view module) const = 0;
  virtual WeightDescription describe(std::string_view module) const = 0;

  /// Returns the module's weight. Throws kNotFound, kCorruptData or kUnsupported naming file and tensor when
  /// tensors are missing or contradict each other or the config.
  virtual QuantizedMatrix read(std::string_view module) const = 0;

  /// Returns some rows of a module that holds the weights of many experts, one below the other. Only formats
  /// with such modules have it.
  virtual QuantizedMatrix read_rows(std::string_view module, const RowRange& rows) const;

  /// Returns how activations at a quantized linear, or keys and values of the attention at path `module`, are
  /// quantized at run time; nothing where they are not.
  virtual std::optional<scheme::ActivationQuantization> activation(std::string_view module,
                                                                   scheme::ActivationSite site) const {
    (void)module;
    (void)site;
    return {};
  }
};

/// Gives the other spelling of a module's path, so that patterns in either one fit; see scheme::ModuleNames.
using OtherSpelling = std::function<std::string(std::string_view)>;

/// Returns the reader for what `config` (a whole config.json) and the tensor names say the checkpoint is.
/// Throws kUnsupported for a quantization method that no reader knows.
std::unique_ptr<WeightReader> detect(const checkpoint::Checkpoint& checkpoint, const Json& config,
                                     OtherSpelling other_spelling = {});

/// What was done to a whole model, for its config.
struct ModelQuantization {
  std::vector<scheme::ConfigGroup> groups;
  std::vector<std::string> ignore;
  std::optional<scheme::QuantizationArgs> kv_cache_scheme;
};

/// Writes quantized weights in one format. Stateless.
class WeightWriter {
 public:
  virtual ~WeightWriter() = default;

  virtual std::string_view name() const = 0;

  /// The name of the writer that a model with all of these schemes needs: another version of the same format
  /// where this one cannot hold some of them.
  virtual std::string_view name_for(std::span<const scheme::Scheme> schemes) const {
    (void)schemes;
    return name();
  }

  /// The element type in which the format stores scales that are plain numbers.
  virtual DType scale_dtype(DType model_dtype) const { return model_dtype; }

  /// Throws kUnsupported saying why, when this format cannot hold a weight [rows, columns] under `scheme`.
  virtual void check(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns) const = 0;

  /// Returns exactly what `encode` will return, before any work: the writer lays files out from it.
  virtual std::vector<checkpoint::TensorPlan> plan_tensors(const std::string& module,
                                                           const scheme::Scheme& scheme, std::int64_t rows,
                                                           std::int64_t columns, DType model_dtype) const = 0;

  /// Returns the module's tensors with their names. `weight` is what a method made under `scheme`, with
  /// scales of `scale_dtype`; throws kUnsupported for scales that this type cannot hold.
  virtual std::vector<std::pair<std::string, Tensor>> encode(const std::string& module,
                                                             const scheme::Scheme& scheme,
                                                             const QuantizedMatrix& weight,
                                                             ThreadPool& pool) const = 0;

  /// Returns the tensors that hold the calibrated numbers of a linear's inputs or of an attention's keys or
  /// values; none where scales are found at run time. Throws kUnsupported where the format has no place.
  virtual std::vector<std::pair<std::string, Tensor>> encode_activation(
      const std::string& module, scheme::ActivationSite site,
      const scheme::ActivationQuantization& quantization, DType model_dtype) const;

  /// The same before any work, for keys and values of an attention; plan_tensors has those of a linear.
  virtual std::vector<checkpoint::TensorPlan> plan_cache(const std::string& attention,
                                                         const scheme::QuantizationArgs& args,
                                                         std::int64_t num_heads, DType model_dtype) const;

  /// Returns the `quantization_config` block of config.json.
  virtual Json quantization_config(const ModelQuantization& model) const = 0;

  /// Further files for the model folder, by name.
  virtual std::vector<std::pair<std::string, Json>> side_files(const ModelQuantization& model) const {
    (void)model;
    return {};
  }
};

/// Names that `writer_for` takes, as --format spells them.
std::span<const std::string_view> writer_names();

/// Throws kInvalidArgument with the nearest name and the list.
std::unique_ptr<WeightWriter> writer_for(std::string_view format);

}  // namespace farthing::formats
