#include "checkpoint/gguf/gguf.h"

#include <cstring>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/blocks.h"

namespace farthing::checkpoint::gguf {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Writes the container as its specification says, tensors with the fastest dimension first.
class Builder {
 public:
  template <typename T>
  static std::string number(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }
  static std::string text(const std::string& value) { return number<std::uint64_t>(value.size()) + value; }

  void add(const std::string& key, std::uint32_t type, const std::string& value) {
    values_ += text(key) + number(type) + value;
    ++num_values_;
  }
  void count(const std::string& key, std::uint32_t value) { add(key, 4, number(value)); }

  void tensor(const std::string& name, std::vector<std::uint64_t> dims, std::uint32_t type,
              const std::string& bytes) {
    infos_ += text(name) + number(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t size : dims) infos_ += number(size);
    infos_ += number(type) + number<std::uint64_t>(data_.size());
    data_ += bytes;
    data_.resize((data_.size() + 31) / 32 * 32);
    ++num_tensors_;
  }

  std::string bytes() const {
    std::string file =
        "GGUF" + number<std::uint32_t>(3) + number(num_tensors_) + number(num_values_) + values_ + infos_;
    file.resize((file.size() + 31) / 32 * 32);
    return file + data_;
  }

 private:
  std::uint64_t num_tensors_ = 0, num_values_ = 0;
  std::string values_, infos_, data_;
};

std::string floats(std::int64_t count) {
  std::string bytes;
  for (std::int64_t i = 0; i < count; ++i) bytes += Builder::number(static_cast<float>(i));
  return bytes;
}

// A Llama with the tensors that matter here: hidden size 8, two heads.
Builder small_model() {
  Builder builder;
  builder.add("general.architecture", 8, Builder::text("llama"));
  builder.count("llama.block_count", 1);
  builder.count("llama.embedding_length", 8);
  builder.count("llama.feed_forward_length", 32);
  builder.count("llama.attention.head_count", 2);
  builder.count("llama.attention.head_count_kv", 1);
  builder.add("tokenizer.ggml.tokens", 9,
              Builder::number<std::uint32_t>(8) + Builder::number<std::uint64_t>(2) + Builder::text("a") +
                  Builder::text("b"));
  builder.tensor("token_embd.weight", {8, 2}, 0, floats(16));
  builder.tensor("blk.0.attn_q.weight", {8, 8}, 0, floats(64));
  builder.tensor("blk.0.ffn_down.weight", {32, 8}, 8, std::string(8 * 34, '\x01'));
  return builder;
}

class Gguf : public testing::Test {
 protected:
  Gguf() : file_(fs::path(testing::TempDir()) / fmt::format("gguf_{}.gguf", ::getpid())) {}
  ~Gguf() override { fs::remove(file_); }

  Checkpoint open(const std::string& bytes) {
    std::ofstream(file_, std::ios::binary) << bytes;
    return Checkpoint::open(file_);
  }

  std::string problem(const std::string& bytes) {
    try {
      const Checkpoint checkpoint = open(bytes);
      for (const TensorInfo& info : checkpoint.tensors()) checkpoint.read(info.name);
      return "";
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Code::kCorruptData || error.code() == Code::kUnsupported) << error.what();
      return error.what();
    }
  }

  fs::path file_;
};

TEST_F(Gguf, NamesShapesAndConfigAreThoseOfHuggingFace) {
  const Checkpoint checkpoint = open(small_model().bytes());
  const Json config = checkpoint.config();
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_EQ(config["hidden_size"], 8);
  EXPECT_EQ(config["num_key_value_heads"], 1);
  EXPECT_EQ(config["vocab_size"], 2);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(checkpoint.at("model.embed_tokens.weight").shape, Shape({2, 8}));
  EXPECT_EQ(checkpoint.at("model.layers.0.mlp.down_proj.weight").shape, Shape({8, 32}));
  EXPECT_EQ(checkpoint.read("model.layers.0.mlp.down_proj.weight").dtype(), DType::kF32);
}

TEST_F(Gguf, TokensKeepTheirQuotesAndBackslashes) {
  Builder builder = small_model();
  const auto texts = [](const std::vector<std::string>& items) {
    std::string bytes = Builder::number<std::uint32_t>(8) + Builder::number<std::uint64_t>(items.size());
    for (const std::string& item : items) bytes += Builder::text(item);
    return bytes;
  };
  builder.add("tokenizer.ggml.model", 8, Builder::text("gpt2"));
  builder.add("tokenizer.ggml.pre", 8, Builder::text("gpt-2"));
  builder.add("tokenizer.ggml.tokens", 9, texts({"\"", "\\", "\"\\"}));
  builder.add("tokenizer.ggml.merges", 9, texts({"\" \\"}));
  builder.add("tokenizer.ggml.token_type", 9,
              Builder::number<std::uint32_t>(5) + Builder::number<std::uint64_t>(3) +
                  Builder::number<std::int32_t>(1) + Builder::number<std::int32_t>(1) +
                  Builder::number<std::int32_t>(1));
  open(builder.bytes());
  const Json metadata = read_metadata(file_);
  EXPECT_EQ(metadata["tokenizer.ggml.tokens"][2], "\"\\");
  EXPECT_EQ(metadata["tokenizer.ggml.merges"][0], "\" \\");
}

TEST_F(Gguf, RowsOfHeadsArePutBackInOrder) {
  const Tensor query = open(small_model().bytes()).read("model.layers.0.self_attn.q_proj.weight");
  std::vector<int> rows;
  for (std::int64_t row = 0; row < 8; ++row)
    rows.push_back(static_cast<int>(query.data<float>()[row * 8] / 8));
  EXPECT_EQ(rows, std::vector<int>({0, 2, 1, 3, 4, 6, 5, 7}));
}

// Two experts of 4 x 8 in a stack, and stacks that lie about how many there are.
TEST_F(Gguf, StacksOfExpertsComeApart) {
  const auto with_experts = [](std::vector<std::uint64_t> dims, const std::string& bytes) {
    Builder builder = small_model();
    builder.count("llama.expert_count", 2);
    builder.count("llama.expert_used_count", 1);
    builder.tensor("blk.0.ffn_up_exps.weight", std::move(dims), 0, bytes);
    return builder.bytes();
  };
  const Checkpoint checkpoint = open(with_experts({8, 4, 2}, floats(64)));
  EXPECT_EQ(checkpoint.config()["model_type"], "mixtral");
  const Tensor second = checkpoint.read("model.layers.0.block_sparse_moe.experts.1.w3.weight");
  EXPECT_EQ(second.shape(), Shape({4, 8}));
  EXPECT_EQ(second.data<float>()[0], 32);
  EXPECT_THAT(problem(with_experts({8, 0, 1ull << 60}, "")), HasSubstr("stack of experts"));
  EXPECT_THAT(problem(with_experts({8, 4, 1 << 20}, floats(64))), HasSubstr("outside"));
}

TEST_F(Gguf, AnyBytesAreBlocksOfEveryType) {
  for (std::uint32_t id = 0; id < 64; ++id) {
    const BlockType* type = find_block_type(id);
    if (type == nullptr) continue;
    Builder builder = small_model();
    builder.tensor("x", {static_cast<std::uint64_t>(type->values)}, id,
                   std::string(static_cast<std::size_t>(type->bytes), '\xFF'));
    EXPECT_EQ(open(builder.bytes()).read("x").numel(), type->values) << type->name;
  }
}

TEST_F(Gguf, StreamingGivesWhatReadingDoes) {
  const Checkpoint checkpoint = open(small_model().bytes());
  for (const TensorInfo& info : checkpoint.tensors()) {
    std::vector<std::byte> bytes;
    checkpoint.stream(info.name, [&](std::span<const std::byte> piece) {
      bytes.insert(bytes.end(), piece.begin(), piece.end());
    });
    EXPECT_TRUE(std::ranges::equal(bytes, checkpoint.read(info.name).bytes())) << info.name;
  }
}

TEST_F(Gguf, FilesCutAnywhereAreRefused) {
  const std::string whole = small_model().bytes();
  ASSERT_EQ(problem(whole), "");
  for (std::size_t size = 4; size < whole.size() - 32; size += 3)
    EXPECT_NE(problem(whole.substr(0, size)), "") << size;
}

TEST_F(Gguf, HeadersThatLieAreRefused) {
  const auto with = [](auto change) {
    Builder builder = small_model();
    change(builder);
    return builder.bytes();
  };
  const auto huge = Builder::number(~std::uint64_t{0});
  std::string file = small_model().bytes();
  EXPECT_THAT(problem(std::string(file).replace(4, 4, Builder::number<std::uint32_t>(9))),
              HasSubstr("version"));
  EXPECT_THAT(problem(std::string(file).replace(8, 8, huge)), HasSubstr("count"));
  EXPECT_THAT(problem(std::string(file).replace(16, 8, huge)), HasSubstr("count"));
  EXPECT_THAT(problem(std::string(file).replace(24, 8, huge)), HasSubstr("name"));
  EXPECT_THAT(problem(with([](Builder& b) { b.count("general.alignment", 0); })), HasSubstr("alignment"));
  EXPECT_THAT(problem(with([](Builder& b) { b.tensor("x", {}, 0, ""); })), HasSubstr("dimensions"));
  EXPECT_THAT(problem(with([](Builder& b) { b.tensor("x", {33}, 8, std::string(68, 'x')); })),
              HasSubstr("blocks"));
  EXPECT_THAT(problem(with([](Builder& b) { b.tensor("x", {1ull << 60}, 0, ""); })), HasSubstr("shape"));
  EXPECT_THAT(problem(with([](Builder& b) {
                b.tensor("x", {1ull << 40, 1ull << 40}, 0, "");
              })),
              HasSubstr("impossible shape"));
  EXPECT_THAT(problem(with([](Builder& b) { b.tensor("x", {1 << 20}, 0, "x"); })), HasSubstr("outside"));
  EXPECT_THAT(problem(with([](Builder& b) { b.tensor("x", {4}, 99, "x"); })), HasSubstr("unknown type"));
  EXPECT_THAT(problem(with([](Builder& b) { b.tensor("x", {512}, 16, std::string(66, 'x')); })),
              HasSubstr("outside"));
  EXPECT_THAT(problem(with([](Builder& b) { b.tensor("x", {128}, 29, std::string(28, 'x')); })),
              HasSubstr("blocks"));
  EXPECT_THAT(problem(with([](Builder& b) {
                b.tensor("blk.0.attn_k.weight", {8, 3}, 0, floats(24));
              })),
              HasSubstr("heads"));
  EXPECT_THAT(problem(with([](Builder& b) { b.add("a", 77, ""); })), HasSubstr("type"));
}

}  // namespace
}  // namespace farthing::checkpoint::gguf
