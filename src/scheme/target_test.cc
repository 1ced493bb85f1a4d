#include "scheme/target.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace farthing::scheme {
namespace {

const ModuleNames kDown{.names = {"model.layers.3.mlp.down_proj"}, .class_name = "Linear"};

TEST(Target, ExpressionIsAnchoredAtTheStartOnly) {
  EXPECT_TRUE(matches("re:.*down_proj$", kDown));
  EXPECT_TRUE(matches("re:model\\.layers", kDown));
  EXPECT_FALSE(matches("re:down_proj", kDown));
  EXPECT_FALSE(matches("re:.*(q|k|v|o|gate|up)_proj$", kDown));
  EXPECT_TRUE(matches("re:(?P<name>.*)_proj", kDown));
  EXPECT_TRUE(matches("re:", kDown));
}

TEST(Target, NamesAndClassesAreExact) {
  EXPECT_TRUE(matches("Linear", kDown));
  EXPECT_FALSE(matches("linear", kDown));
  EXPECT_TRUE(matches("model.layers.3.mlp.down_proj", kDown));
  EXPECT_FALSE(matches("down_proj", kDown));
  EXPECT_FALSE(matches("", kDown));
}

TEST(Target, EitherSpellingFits) {
  const ModuleNames module{
      .names = {"language_model.model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"},
      .class_name = "Linear"};
  EXPECT_TRUE(matches("re:language_model\\.model", module));
  EXPECT_TRUE(matches("re:model\\.language_model", module));
  EXPECT_TRUE(matches("model.language_model.layers.0.mlp.up_proj", module));
}

TEST(Target, SaysWhatIsWrongWithAnExpression) {
  try {
    Target target("re:.*(q|k_proj");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find(".*(q|k_proj"), std::string::npos);
  }
}

TEST(Target, ExpressionThatBacktracksForeverIsRefused) {
  const ModuleNames module{.names = {std::string(60, 'a') + "!"}, .class_name = ""};
  EXPECT_THROW(matches("re:(a+)+$", module), Error);
}

TEST(TargetTable, PrefersNameThenExpressionThenClass) {
  TargetTable table;
  table.add(std::vector<std::string>{"Linear"});
  table.add(std::vector<std::string>{"re:.*proj$"});
  table.add(std::vector<std::string>{"model.layers.3.mlp.down_proj"});
  table.add(std::vector<std::string>{"re:.*down_proj$"});
  EXPECT_EQ(table.find(kDown), 2u);
  EXPECT_EQ(table.find({.names = {"model.layers.4.mlp.down_proj"}, .class_name = "Linear"}),
            3u);  // sorted before .*proj
  EXPECT_EQ(table.find({.names = {"model.layers.4.mlp.up_proj"}, .class_name = "Linear"}), 1u);
  EXPECT_EQ(table.find({.names = {"lm_head"}, .class_name = "Linear"}), 0u);
  EXPECT_EQ(table.find({.names = {"model.norm"}, .class_name = "LlamaRMSNorm"}), std::nullopt);
}

}  // namespace
}  // namespace farthing::scheme
