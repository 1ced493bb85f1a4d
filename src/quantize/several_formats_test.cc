#include "quantize/several_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/test_files.h"
#include "formats/weight_format.h"
#include "quantize/pipeline.h"
#include "scheme/quantizer.h"

namespace farthing::quantize {
namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;
using testing::ElementsAre;
using testing::HasSubstr;

const fs::path kModel = fs::path(FARTHING_SOURCE_DIR) / "models" / "tiny-llava-21m";

std::string problem(const std::function<void()>& action) {
  try {
    action();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(SeveralFormats, NamesAreSplitAndChecked) {
  EXPECT_THAT(split_formats("compressed-tensors,gptq"), ElementsAre("compressed-tensors", "gptq"));
  EXPECT_THAT(problem([] { split_formats("gptq,gguf"); }), HasSubstr("gguf"));
  EXPECT_THAT(problem([] { split_formats("gptq,gptq"); }), HasSubstr("twice"));
  EXPECT_THAT(problem([] { split_formats("gptq,"); }), HasSubstr("unknown format"));
  EXPECT_THAT(problem([] { split_formats("gptq,autoawk"); }), HasSubstr("unknown format"));
}

class SeveralFormatsOfTheDemo : public testing::Test {
 protected:
  plan::QuantizePlan plan(const plan::RecipeFlags& flags, const std::string& format) const {
    const Json config = source_->config();
    return plan::make_plan(*source_, config, models::declare(models::Config(config)),
                           plan::recipe_from_flags(flags, true), {.format = format, .model_name = "tiny"});
  }

  std::shared_ptr<const Checkpoint> source_ = std::make_shared<const Checkpoint>(Checkpoint::open(kModel));
  checkpoint::TemporaryFolder folder_;
  ThreadPool pool_{2};
  Reporter silent_;
};

TEST_F(SeveralFormatsOfTheDemo, EveryFolderHoldsTheSameValues) {
  plan::RecipeFlags flags;
  flags.method = "rtn";
  const plan::QuantizePlan plan = this->plan(flags, "compressed-tensors");
  const std::vector<std::string> formats = {"compressed-tensors", "gptq", "awq"};
  require_formats_hold(plan, std::span(formats).subspan(1));
  run(plan, source_, nullptr, {.output = folder_ / "compressed-tensors"}, pool_, silent_, CancelToken());
  const auto further =
      write_further_formats(folder_.path(), formats, plan.spec, false, pool_, silent_, CancelToken());
  ASSERT_EQ(further.size(), 2u);
  const Checkpoint first = Checkpoint::open(folder_ / "compressed-tensors");
  const auto expected = formats::detect(first, first.config());
  for (const FurtherFormat& other : further) {
    SCOPED_TRACE(other.format);
    EXPECT_TRUE(other.result.lossless);
    const Checkpoint checkpoint = Checkpoint::open(other.output);
    const auto reader = formats::detect(checkpoint, checkpoint.config());
    ASSERT_EQ(reader->modules().size(), expected->modules().size());
    const std::string module = reader->modules().front();
    const Tensor a = scheme::dequantize(expected->read(module), pool_);
    const Tensor b = scheme::dequantize(reader->read(module), pool_);
    EXPECT_TRUE(std::ranges::equal(a.span<float>(), b.span<float>()));
  }
}

TEST_F(SeveralFormatsOfTheDemo, AFormatThatCannotHoldItIsNamedBeforeTheWork) {
  plan::RecipeFlags flags;
  flags.scheme = "W8A8";
  const std::vector<std::string> gptq = {"gptq"};
  EXPECT_THAT(problem([&] { require_formats_hold(plan(flags, "compressed-tensors"), gptq); }),
              HasSubstr("format=gptq"));
}

}  // namespace
}  // namespace farthing::quantize
