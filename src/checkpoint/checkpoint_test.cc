#include "checkpoint/checkpoint.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "checkpoint/test_files.h"
#include "checkpoint/writer.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

void save_one(const fs::path& file, const std::string& name, float value) {
  save_safetensors(file, {{name, Tensor::of<float>({2}, {value, value})}});
}

std::string index_of(const std::vector<std::pair<std::string, std::string>>& weight_map) {
  Json index = {{"metadata", {{"total_size", 16}}}, {"weight_map", Json::object()}};
  for (const auto& [name, file] : weight_map) index["weight_map"][name] = file;
  return index.dump();
}

std::vector<std::string> names_of(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  for (const TensorInfo& info : checkpoint.tensors()) names.push_back(info.name);
  return names;
}

TEST(Checkpoint, OpensEveryFormInItsOrder) {
  // Each step adds the form that comes before all earlier ones.
  TemporaryFolder folder;
  const std::string pickle = pickled::whole(
      pickled::dict({{"torch", pickled::tensor(pickled::storage("FloatStorage", "0", 1), 0, {1}, {1})}}));
  const auto first_name = [&] { return Checkpoint::open(folder.path()).tensors().at(0).name; };
  folder.write("training_args.bin", "not weights");
  folder.write("old-4bit.pt", torch_zip(pickle, {std::string(4, 'x')}));
  EXPECT_EQ(first_name(), "torch");
  save_one(folder / "any.safetensors", "any", 1);
  EXPECT_EQ(first_name(), "any");
  folder.write("pytorch_model.bin", torch_zip(pickle, {std::string(4, 'x')}));
  EXPECT_EQ(first_name(), "torch");
  save_one(folder / "model-00001-of-00001.safetensors", "shard", 1);
  EXPECT_EQ(first_name(), "shard");
  save_one(folder / "gptq_model-4bit-128g.safetensors", "gptq", 1);
  EXPECT_EQ(first_name(), "gptq");
  save_one(folder / "other-1.safetensors", "indexed", 1);
  folder.write("other.safetensors.index.json", index_of({{"indexed", "other-1.safetensors"}}));
  EXPECT_EQ(first_name(), "indexed");
  folder.write("model.safetensors.index.json", index_of({{"any", "any.safetensors"}}));
  EXPECT_EQ(first_name(), "any");
  save_one(folder / "model.safetensors", "single", 1);
  EXPECT_EQ(first_name(), "single");
  EXPECT_EQ(names_of(Checkpoint::open(folder / "any.safetensors")), std::vector<std::string>{"any"});
}

TEST(Checkpoint, ReadsShardsAndConfig) {
  TemporaryFolder folder;
  save_one(folder / "model-00001-of-00002.safetensors", "b", 1);
  save_one(folder / "model-00002-of-00002.safetensors", "a", 2);
  folder.write("model.safetensors.index.json", index_of({{"b", "model-00001-of-00002.safetensors"},
                                                         {"a", "model-00002-of-00002.safetensors"}}));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(names_of(checkpoint), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(checkpoint.read("a").span<float>()[1], 2);
  EXPECT_EQ(checkpoint.total_bytes(), 16u);
  EXPECT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(checkpoint.metadata().at("format"), "pt");
  EXPECT_TRUE(checkpoint.config().empty());
  folder.write("config.json", R"({"model_type": "llama"})");
  EXPECT_EQ(checkpoint.config()["model_type"], "llama");
  folder.write("config.json", "{");
  expect_error(Code::kCorruptData, {"config.json"}, [&] { checkpoint.config(); });
}

TEST(Checkpoint, TheIndexDecidesBetweenFiles) {
  TemporaryFolder folder;
  save_one(folder / "one.safetensors", "a", 1);
  save_one(folder / "two.safetensors", "a", 2);
  expect_error(Code::kCorruptData, {"two files hold", "tensor=a", "one.safetensors", "two.safetensors"},
               [&] { Checkpoint::open(folder.path()); });
  save_safetensors(folder / "one.safetensors",
                   {{"a", Tensor::of<float>({1}, {1})}, {"b", Tensor::of<float>({1}, {1})}});
  folder.write("model.safetensors.index.json",
               index_of({{"a", "two.safetensors"}, {"b", "one.safetensors"}}));
  EXPECT_EQ(Checkpoint::open(folder.path()).read("a").span<float>()[0], 2);
}

TEST(Checkpoint, RefusesFoldersThatDoNotAddUp) {
  TemporaryFolder folder;
  const auto open = [&] { Checkpoint::open(folder.path()); };
  expect_error(Code::kNotFound, {"no such folder", "/absent"}, [] { Checkpoint::open("/absent"); });
  expect_error(Code::kNotFound, {"holds no weights", "files=none", "looked for model.safetensors"}, open);
  folder.write("tf_model.h5", "");
  folder.write("config.json", "{}");
  expect_error(Code::kNotFound, {"holds no weights", "files=config.json, tf_model.h5", "pytorch_model.bin"},
               open);

  save_one(folder / "model-00001-of-00003.safetensors", "a", 1);
  save_one(folder / "model-00003-of-00003.safetensors", "c", 1);
  expect_error(Code::kNotFound, {"shard is missing", "model-00002-of-00003.safetensors", "shards=3"}, open);
  const auto with_index = [&](const std::string& text) {
    folder.write("model.safetensors.index.json", text);
  };
  with_index(index_of(
      {{"a", "model-00001-of-00003.safetensors"}, {"b.weight", "model-00002-of-00003.safetensors"}}));
  expect_error(Code::kNotFound, {"shard is missing", "model-00002-of-00003.safetensors", "tensor=b.weight"},
               open);
  with_index(index_of(
      {{"a", "model-00001-of-00003.safetensors"}, {"b.weight", "model-00001-of-00003.safetensors"}}));
  expect_error(Code::kCorruptData,
               {"lacks a tensor", "model-00001-of-00003.safetensors", "tensor=b.weight", "index.json"}, open);
  for (const auto& [reason, text] : {std::pair{"not valid JSON", "{"},
                                     {"no weight_map", "{}"},
                                     {"no weight_map", "[]"},
                                     {"no weight_map", R"({"weight_map":{}})"},
                                     {"not a file name", R"({"weight_map":{"a":1}})"},
                                     {"out of the folder", R"({"weight_map":{"a":"../a.safetensors"}})"},
                                     {"out of the folder", R"({"weight_map":{"a":"/etc/passwd"}})"},
                                     {"out of the folder", R"({"weight_map":{"a":".."}})"}}) {
    with_index(text);
    expect_error(Code::kCorruptData, {reason, "model.safetensors.index.json"}, open);
  }
}

TEST(Checkpoint, TruncationNamesFileAndTensor) {
  TemporaryFolder folder;
  save_safetensors(folder / "model.safetensors",
                   {{"a", Tensor::of<float>({2}, {1, 2})}, {"last", Tensor::of<float>({2}, {3, 4})}});
  fs::resize_file(folder / "model.safetensors", fs::file_size(folder / "model.safetensors") - 1);
  expect_error(Code::kCorruptData,
               {"past the end of the file", "model.safetensors", "tensor=last", "truncated"},
               [&] { Checkpoint::open(folder.path()); });
}

TEST(Checkpoint, AMissingTensorNamesItsNeighbours) {
  TemporaryFolder folder;
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const char* name : {"model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.gate_proj.weight",
                           "model.norm.weight", "lm_head.weight"}) {
    tensors.emplace_back(name, Tensor::zeros(DType::kBF16, {1}));
  }
  save_safetensors(folder / "model.safetensors", tensors);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.find("model.norm"), nullptr);
  EXPECT_TRUE(checkpoint.contains("model.norm.weight"));
  expect_error(Code::kNotFound,
               {"tensor=model.layers.0.mlp.up_proj.bias", "nearest names: model.layers.0.mlp.up_proj.weight"},
               [&] { checkpoint.at("model.layers.0.mlp.up_proj.bias"); });
}

TEST(Checkpoint, CopiesWhatIsNotAligned) {
  TemporaryFolder folder;
  folder.write(
      "model.safetensors",
      safetensors(
          R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
          "x" + bytes_of(1.5f)));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  const Tensor tensor = checkpoint.read("a");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes().data()) % 4, 0u);
  EXPECT_EQ(tensor.span<float>()[0], 1.5f);
}

TEST(Checkpoint, TensorsOutliveTheCheckpoint) {
  TemporaryFolder folder;
  save_one(folder / "model.safetensors", "a", 3);
  const Tensor tensor = Checkpoint::open(folder.path()).read("a");
  EXPECT_EQ(tensor.span<float>()[0], 3);
}

TEST(Checkpoint, StreamsInBoundedPiecesAndNoticesAShrunkFile) {
  TemporaryFolder folder;
  Tensor large = Tensor::empty(DType::kI32, {3, 1000000});
  for (std::int32_t i = 0; i < 3000000; ++i) large.mutable_data<std::int32_t>()[i] = i;
  save_safetensors(folder / "model.safetensors", {{"a", large}});
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  std::string streamed;
  std::size_t largest = 0;
  checkpoint.stream("a", [&](std::span<const std::byte> piece) {
    largest = std::max(largest, piece.size());
    streamed.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  EXPECT_EQ(streamed, bytes_of(large));
  EXPECT_EQ(largest, std::size_t{4} << 20);
  fs::resize_file(folder / "model.safetensors", 1000);
  expect_error(Code::kIo, {"ends too soon", "model.safetensors"},
               [&] { checkpoint.stream("a", [](auto) {}); });
}

fs::path fixtures() {
  const char* folder = std::getenv("FARTHING_FIXTURES");
  return folder == nullptr ? fs::path() : fs::path(folder);
}

TEST(CheckpointFixtures, EveryWeightFileOpensAndReads) {
  if (fixtures().empty()) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  int count = 0;
  for (const char* group : {"fixtures/families", "fixtures/quantized"}) {
    for (const fs::directory_entry& entry : fs::directory_iterator(fixtures() / group)) {
      if (!fs::exists(entry.path() / "config.json") || entry.path().filename().string().starts_with("gguf"))
        continue;
      SCOPED_TRACE(entry.path().filename().string());
      const Checkpoint checkpoint = Checkpoint::open(entry.path());
      EXPECT_GT(checkpoint.tensors().size(), 3u);
      for (const TensorInfo& info : checkpoint.tensors()) {
        const Tensor tensor = checkpoint.read(info.name);
        // Codes kept in a floating-point type are any bits.
        EXPECT_TRUE(all_finite(tensor) || checkpoint.directory().filename().string().ends_with("storage"))
            << info.name;
        EXPECT_EQ(tensor.num_bytes(), info.num_bytes);
      }
      ++count;
    }
  }
  EXPECT_GT(count, 60);
}

TEST(CheckpointFixtures, TorchFilesHoldTheModelOfTheirConfig) {
  if (fixtures().empty()) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  for (const auto& [name, dtype, embedding] :
       {std::tuple{"opt-fp16-bin", DType::kF16, "model.decoder.embed_tokens.weight"},
        {"opt-legacy-bin", DType::kF32, "decoder.embed_tokens.weight"}}) {
    SCOPED_TRACE(name);
    const Checkpoint checkpoint = Checkpoint::open(fixtures() / "fixtures/families" / name);
    const Json config = checkpoint.config();
    const TensorInfo& info = checkpoint.at(embedding);
    EXPECT_EQ(info.dtype, dtype);
    EXPECT_EQ(info.shape, (Shape{config["vocab_size"].get<std::int64_t>(),
                                 config["word_embed_proj_dim"].get<std::int64_t>()}));
  }
}

}  // namespace
}  // namespace farthing::checkpoint
