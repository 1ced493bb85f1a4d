#include "checkpoint/gguf/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/blocks.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/test_files.h"

namespace farthing::checkpoint::gguf {
namespace {

using testing::HasSubstr;

// What a reader needs of a Llama with one block.
Metadata small_llama() {
  return {
      {"general.architecture", std::string("llama")},   {"llama.block_count", std::uint32_t{1}},
      {"llama.embedding_length", std::uint32_t{32}},    {"llama.feed_forward_length", std::uint32_t{64}},
      {"llama.attention.head_count", std::uint32_t{2}}, {"llama.attention.layer_norm_rms_epsilon", 1e-5f}};
}

class GgufWriter : public testing::Test {
 protected:
  std::string problem(const Metadata& metadata, std::vector<PlannedTensor> tensors) {
    try {
      const Writer writer(folder_ / "refused.gguf", metadata, std::move(tensors));
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  TemporaryFolder folder_;
};

TEST_F(GgufWriter, MetadataComesBackWithItsTypes) {
  Metadata metadata = small_llama();
  metadata.emplace_back("a.bool", true);
  metadata.emplace_back("a.signed", std::int32_t{-5});
  metadata.emplace_back("a.bytes", std::vector<std::uint8_t>{0, 255});
  metadata.emplace_back("a.numbers", std::vector<std::int32_t>{1, -2});
  metadata.emplace_back("a.floats", std::vector<float>{0.5f});
  metadata.emplace_back("a.texts", std::vector<std::string>{"", "\xE2\x96\x81x"});
  Writer writer(folder_ / "m.gguf", metadata, {});
  writer.finish();
  const Json read = read_metadata(folder_ / "m.gguf");
  EXPECT_EQ(read["general.architecture"], "llama");
  EXPECT_EQ(read["a.bool"], true);
  EXPECT_EQ(read["a.signed"], -5);
  EXPECT_EQ(read["a.bytes"], Json::array({0, 255}));
  EXPECT_EQ(read["a.numbers"], Json::array({1, -2}));
  EXPECT_EQ(read["a.floats"], Json::array({0.5}));
  EXPECT_EQ(read["a.texts"], Json::array({"", "\xE2\x96\x81x"}));
}

// Random bytes of any type and shape: written, found at an aligned place, written again from what was read.
TEST_F(GgufWriter, WriteReadWriteGivesTheSameFile) {
  Mt19937 random(1);
  constexpr std::string_view kTypes[] = {"F32", "F16", "BF16", "Q4_0", "Q8_0", "Q4_K", "Q6_K", "IQ4_XS"};
  for (int round = 0; round < 40; ++round) {
    std::vector<PlannedTensor> planned;
    std::vector<std::string> contents;
    const std::int64_t count = random.randint(1, 5);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::string_view type = kTypes[random.randrange(std::ssize(kTypes))];
      const BlockType* block = find_block_type(type);
      const std::int64_t columns = (block != nullptr ? block->values : 1) * random.randint(1, 3);
      Shape shape = {random.randint(1, 5), columns};
      if (random.randrange(3) == 0) shape.insert(shape.begin(), random.randint(1, 3));
      planned.push_back({fmt::format("blk.{}.x.weight", i), type_of_name(type), shape});
      std::string bytes(stored_bytes(planned.back().type, shape), '\0');
      for (char& byte : bytes) byte = static_cast<char>(random.next());
      contents.push_back(std::move(bytes));
    }
    Writer writer(folder_ / "a.gguf", small_llama(), planned);
    for (std::size_t i = planned.size(); i-- > 0;)  // in any order
      writer.write(planned[i].name, std::as_bytes(std::span(contents[i])));
    writer.finish();
    const std::string file = read_text(folder_ / "a.gguf");
    EXPECT_EQ(file.size(), writer.file_bytes());

    const Checkpoint read = Checkpoint::open(folder_ / "a.gguf");
    Writer again(folder_ / "b.gguf", small_llama(), planned);
    for (std::size_t i = 0; i < planned.size(); ++i) {
      const TensorInfo& info = read.at(planned[i].name);
      EXPECT_EQ(info.shape, planned[i].shape);
      EXPECT_EQ(info.offset % 32, 0u);
      const std::uint64_t size = info.block_type != 0 ? info.stored_bytes : info.num_bytes;
      again.write(planned[i].name, std::as_bytes(std::span(file.data() + info.offset, size)));
    }
    again.finish();
    EXPECT_TRUE(read_text(folder_ / "b.gguf") == file);
  }
}

// The first shard has all metadata; what a config says of tensors may be known from the others only.
TEST_F(GgufWriter, ShardsAreOneModel) {
  const std::string zeros(32 * 32 * 4, '\0');
  const auto write = [&](const std::string& name, const Metadata& metadata, const std::string& tensor) {
    Writer writer(folder_ / name, metadata, {{tensor, 0, {32, 32}}});
    writer.write(tensor, std::as_bytes(std::span(zeros)));
    writer.finish();
  };
  write("x-00001-of-00002.gguf", small_llama(), "token_embd.weight");
  write("x-00002-of-00002.gguf", {{"split.no", std::uint32_t{1}}}, "output.weight");
  for (const std::string name : {"", "x-00001-of-00002.gguf", "x-00002-of-00002.gguf"}) {
    SCOPED_TRACE(name);
    const Checkpoint whole = Checkpoint::open(name.empty() ? folder_.path() : folder_ / name);
    EXPECT_TRUE(whole.contains("lm_head.weight") && whole.contains("model.embed_tokens.weight"));
    EXPECT_EQ(whole.config()["tie_word_embeddings"], false);
    EXPECT_EQ(whole.config()["vocab_size"], 32);
  }
  write("mmproj-x.gguf", small_llama(), "v.patch_embd.weight");  // no part of the text model
  EXPECT_EQ(Checkpoint::open(folder_.path()).tensors().size(), 2u);
  std::filesystem::remove(folder_ / "x-00002-of-00002.gguf");
  try {
    Checkpoint::open(folder_ / "x-00001-of-00002.gguf");
    FAIL() << "a shard is missing";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("x-00002-of-00002.gguf"));
  }
}

TEST_F(GgufWriter, PlansThatCannotBeAreRefused) {
  EXPECT_THAT(problem({{"a", true}, {"a", false}}, {}), HasSubstr("key is used twice"));
  EXPECT_THAT(problem({}, {{"x", 0, {2}}, {"x", 0, {2}}}), HasSubstr("name is used twice"));
  EXPECT_THAT(problem({}, {{"x", type_of_name("Q4_K"), {2, 255}}}), HasSubstr("whole blocks"));
  EXPECT_THAT(problem({}, {{"x", 0, {1, 1, 1, 1, 1}}}), HasSubstr("shape"));
  EXPECT_THAT(problem({}, {{std::string(64, 'x'), 0, {1}}}), HasSubstr("name"));
}

}  // namespace
}  // namespace farthing::checkpoint::gguf
