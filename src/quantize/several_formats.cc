#include "quantize/several_formats.h"

#include <algorithm>

#include "base/error.h"
#include "formats/weight_format.h"

namespace farthing::quantize {

std::vector<std::string> split_formats(std::string_view list) {
  std::vector<std::string> names;
  while (true) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string name(list.substr(0, comma));
    FARTHING_REQUIRE(name != "gguf", Code::kInvalidArgument, "gguf cannot share a run with other formats", {},
                     "its types are grids of their own: run farthing quantize again with --format gguf");
    formats::writer_for(name);  // throws for a name that is not known
    FARTHING_REQUIRE(std::ranges::find(names, name) == names.end(), Code::kInvalidArgument,
                     "a format is named twice", {{"format", name}});
    names.push_back(name);
    if (comma == list.size()) return names;
    list.remove_prefix(comma + 1);
  }
}

void require_formats_hold(const plan::QuantizePlan& plan, std::span<const std::string> formats) {
  std::vector<scheme::Scheme> schemes;
  for (const plan::LinearPlan& linear : plan.linears) schemes.push_back(linear.scheme);
  for (const std::string& format : formats) {
    const auto writer = formats::writer_for(formats::writer_for(format)->name_for(schemes));
    for (const plan::LinearPlan& linear : plan.linears) {
      scheme::Scheme scheme = linear.scheme;
      scheme.format.clear();  // the target's own word for it
      try {
        writer->check(scheme, linear.module.out_features, linear.module.in_features);
      } catch (const Error& error) {
        std::vector<Field> fields = {{"format", format}, {"module", linear.module.path}};
        fields.insert(fields.end(), error.fields().begin(), error.fields().end());
        throw Error(error.code(), "one of the formats cannot hold this model: " + error.message(),
                    std::move(fields), error.hint().empty() ? "leave that format out" : error.hint());
      }
    }
    FARTHING_REQUIRE(!plan.quantization.kv_cache_scheme || format == "compressed-tensors", Code::kUnsupported,
                     "one of the formats has no place for a quantized cache", {{"format", format}},
                     "leave that format out");
  }
}

std::vector<FurtherFormat> write_further_formats(const std::filesystem::path& folder,
                                                 std::span<const std::string> formats,
                                                 const std::optional<nn::ModelSpec>& spec, bool overwrite,
                                                 ThreadPool& pool, Reporter& reporter,
                                                 const CancelToken& cancel) {
  std::vector<FurtherFormat> done;
  const std::filesystem::path first = folder / formats.front();
  const checkpoint::Checkpoint source = checkpoint::Checkpoint::open(first);
  for (const std::string& format : formats.subspan(1)) {
    reporter.note(fmt::format("format       {}", format));
    try {
      ConvertResult result = convert(
          source, spec, {.output = folder / format, .format = format, .dtype = {}, .overwrite = overwrite},
          pool, reporter, cancel);
      done.push_back({format, folder / format, std::move(result)});
    } catch (const Error& error) {
      if (error.code() == Code::kInternal) throw;
      // What was made is there already; only this step has to be done again.
      throw Error(error.code(), error.message(), error.fields(),
                  fmt::format("{} is complete; go on with: farthing convert {} -o {} --format {}",
                              first.string(), first.string(), (folder / format).string(), format));
    }
  }
  return done;
}

}  // namespace farthing::quantize
