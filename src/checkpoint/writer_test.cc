#include "checkpoint/writer.h"

#include <csignal>
#include <thread>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/directory.h"
#include "checkpoint/test_files.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

// Bytes that depend on name and position.
Tensor filled(const TensorPlan& plan) {
  Tensor tensor = Tensor::empty(plan.dtype, plan.shape);
  std::size_t state = std::hash<std::string>()(plan.name);
  for (std::byte& byte : tensor.mutable_bytes()) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(state >> 56);
  }
  return tensor;
}

std::vector<TensorPlan> small_plan() {
  return {{"a.codes", DType::kU8, {3}},
          {"a.scale", DType::kBF16, {3, 1}},
          {"b", DType::kF32, {2, 2}},
          {"c", DType::kI64, {2}},
          {"empty", DType::kF16, {0, 4}}};
}

std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> result;
  for (const std::string& name : list_files(folder)) result[name] = read_text(folder / name);
  return result;
}

std::map<std::string, std::string> written_in_order(const std::vector<TensorPlan>& plan,
                                                    const std::vector<std::size_t>& order,
                                                    const WriterOptions& options) {
  TemporaryFolder folder;
  CheckpointWriter writer(folder.path(), plan, options);
  for (const std::size_t i : order) writer.write(plan[i].name, filled(plan[i]));
  writer.finish();
  return contents(folder.path());
}

TEST(Writer, EveryElementTypeComesBack) {
  std::vector<TensorPlan> plan;
  for (const char* name :
       {"BOOL", "U8",  "I8",  "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
        "I16",  "U16", "F16", "BF16",    "I32",     "U32",     "F32",         "C64",
        "F64",  "I64", "U64", "F4",      "F6_E2M3", "F6_E3M2"}) {
    plan.push_back({name, *parse_dtype(name), {3, 8}});
  }
  TemporaryFolder folder;
  CheckpointWriter writer(folder.path(), plan);
  for (const TensorPlan& tensor : plan) writer.write(tensor.name, filled(tensor));
  writer.finish();
  EXPECT_EQ(writer.file_names(), std::vector<std::string>{"model.safetensors"});
  EXPECT_EQ(writer.total_bytes(), fs::file_size(folder / "model.safetensors"));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  for (const TensorPlan& tensor : plan) {
    const Tensor back = checkpoint.read(tensor.name);
    EXPECT_EQ(back.dtype(), tensor.dtype);
    EXPECT_EQ(back.shape(), tensor.shape);
    EXPECT_EQ(bytes_of(back), bytes_of(filled(tensor)));
    EXPECT_EQ(checkpoint.at(tensor.name).offset %
                  std::max<std::uint64_t>(1, static_cast<std::uint64_t>(dtype_bits(tensor.dtype)) / 8),
              0u);
  }
}

TEST(Writer, LaysOutByElementSizeThenPlan) {
  TemporaryFolder folder;
  { const CheckpointWriter writer(folder.path(), small_plan()); }
  const std::string file = read_text(folder / "model.safetensors");
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"c":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
      R"("b":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]},"a.scale":{"dtype":"BF16","shape":[3,1],"data_offsets":[32,38]},)"
      R"("empty":{"dtype":"F16","shape":[0,4],"data_offsets":[38,38]},"a.codes":{"dtype":"U8","shape":[3],"data_offsets":[38,41]}})";
  EXPECT_EQ(file.substr(8, header.size()), header);
  EXPECT_EQ((file.size() - 41) % 8, 0u);
}

TEST(Writer, OrderOfWritingDoesNotShow) {
  for (const std::uint64_t shard_bytes : {std::uint64_t{1000}, std::uint64_t{20}, std::uint64_t{1}}) {
    const WriterOptions options{.shard_bytes = shard_bytes};
    const auto forwards = written_in_order(small_plan(), {0, 1, 2, 3, 4}, options);
    EXPECT_EQ(forwards, written_in_order(small_plan(), {4, 2, 0, 3, 1}, options));
    EXPECT_EQ(forwards.contains("model.safetensors.index.json"), shard_bytes != 1000);
  }
}

TEST(Writer, ShardsAndTheirIndex) {
  TemporaryFolder folder;
  CheckpointWriter writer(folder.path(), small_plan(), {.shard_bytes = 20});
  for (const TensorPlan& tensor : small_plan()) writer.write(tensor.name, filled(tensor));
  writer.finish();
  EXPECT_EQ(list_files(folder.path()),
            (std::vector<std::string>{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                      "model-00003-of-00003.safetensors", "model.safetensors.index.json"}));
  EXPECT_EQ(read_text(folder / "model.safetensors.index.json"), R"({
  "metadata": {
    "total_size": 41
  },
  "weight_map": {
    "a.codes": "model-00001-of-00003.safetensors",
    "a.scale": "model-00001-of-00003.safetensors",
    "b": "model-00002-of-00003.safetensors",
    "c": "model-00003-of-00003.safetensors",
    "empty": "model-00003-of-00003.safetensors"
  }
}
)");
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  for (const TensorPlan& tensor : small_plan())
    EXPECT_EQ(bytes_of(checkpoint.read(tensor.name)), bytes_of(filled(tensor)));
}

TEST(Writer, CopiesATensorInPieces) {
  const Checkpoint source = Checkpoint::open(test_data("torch-zip.bin"));
  TemporaryFolder folder;
  CheckpointWriter writer(folder.path(), {{"t", source.at("permuted").dtype, source.at("permuted").shape}});
  writer.write_stream("t", [&](const ByteSink& sink) { source.stream("permuted", sink); });
  writer.finish();
  EXPECT_EQ(bytes_of(Checkpoint::open(folder.path()).read("t")), bytes_of(source.read("permuted")));
}

TEST(Writer, HoldsTheCallerToThePlan) {
  TemporaryFolder folder;
  CheckpointWriter writer(folder.path(), {{"a", DType::kF32, {2}}});
  expect_error(Code::kInternal, {"a is F32 [3], planned F32 [2]"},
               [&] { writer.write("a", Tensor::zeros(DType::kF32, {3})); });
  expect_error(Code::kInternal, {"a is I32 [2]"},
               [&] { writer.write("a", Tensor::zeros(DType::kI32, {2})); });
  expect_error(Code::kInternal, {"b was not planned"},
               [&] { writer.write("b", Tensor::zeros(DType::kF32, {2})); });
  expect_error(Code::kInternal, {"0 of the planned 8 bytes"},
               [&] { writer.write_stream("a", [](const ByteSink&) {}); });
  const std::vector<std::byte> nine(9);
  expect_error(Code::kInternal, {"more than the planned 8 bytes"},
               [&] { writer.write_stream("a", [&](const ByteSink& sink) { sink(nine); }); });
  expect_error(Code::kInternal, {"a was planned and not written"}, [&] { writer.finish(); });
  const std::vector<TensorPlan> twice = {{"a", DType::kF32, {2}}, {"a", DType::kF32, {2}}};
  for (const std::uint64_t shard_bytes : {1, 1000}) {
    expect_error(Code::kInvalidArgument, {"twice", "tensor=a"},
                 [&] { CheckpointWriter(folder / "twice", twice, {.shard_bytes = shard_bytes}); });
  }
}

TEST(Writer, ResumeNeedsTheSamePlan) {
  TemporaryFolder folder;
  const WriterOptions shards{.shard_bytes = 20, .resume = true};
  { const CheckpointWriter first(folder.path(), small_plan(), shards); }
  EXPECT_NO_THROW(CheckpointWriter(folder.path(), small_plan(), shards));
  expect_error(Code::kInvalidArgument, {"holds weights already"},
               [&] { CheckpointWriter(folder.path(), small_plan(), {.shard_bytes = 20}); });
  expect_error(Code::kInvalidArgument, {"another plan", "model-00001-of-00003.safetensors", "--resume"},
               [&] { CheckpointWriter(folder.path(), small_plan(), {.resume = true}); });
  std::vector<TensorPlan> changed = small_plan();
  changed[3].shape = {1, 2};
  expect_error(Code::kInvalidArgument, {"another plan", "model-00003-of-00003.safetensors"},
               [&] { CheckpointWriter(folder.path(), changed, shards); });

  fs::remove(folder / "model-00002-of-00003.safetensors");
  CheckpointWriter resumed(folder.path(), small_plan(), shards);
  resumed.mark_written("a.codes");
  EXPECT_TRUE(resumed.is_written("a.codes"));
  EXPECT_FALSE(resumed.is_written("b"));
  expect_error(Code::kCorruptData, {"is gone", "model-00002-of-00003.safetensors", "tensor=b"},
               [&] { resumed.mark_written("b"); });
}

TEST(Writer, RefusesWhatTheDiskCannotHold) {
  TemporaryFolder folder;
  const std::vector<TensorPlan> plan = {{"a", DType::kU8, {std::int64_t{1} << 50}}};
  expect_error(Code::kResources, {"disk is too full", "needed_bytes=1125899906", "free_bytes="},
               [&] { CheckpointWriter(folder.path(), plan, {}); });
  EXPECT_TRUE(list_files(folder.path()).empty());
}

// Runs `work` in a child process and returns how it ended.
template <typename Work>
int in_child(Work&& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 1;
    try {
      code = work();
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<TensorPlan> large_plan() {
  std::vector<TensorPlan> plan;
  for (int i = 0; i < 24; ++i) plan.push_back({fmt::format("layer.{}", i), DType::kBF16, {64, 1024}});
  return plan;
}

constexpr std::uint64_t kShardBytes = 1'000'000;

// A file size limit stands for the full disk: both make a write fail in the middle of a tensor.
TEST(Writer, AFullDiskKeepsWhatWasWritten) {
  TemporaryFolder folder;
  const std::vector<TensorPlan> plan = large_plan();
  const int ended = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    CheckpointWriter writer(folder.path(), plan, {.shard_bytes = kShardBytes});
    const rlimit limit{500'000, 500'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    for (int i = 0; i < 3; ++i)
      writer.write(plan[static_cast<std::size_t>(i)].name, filled(plan[static_cast<std::size_t>(i)]));
    try {
      for (const TensorPlan& tensor : plan) writer.write(tensor.name, filled(tensor));
    } catch (const Error& error) {
      const std::string text = error.what();
      return error.code() == Code::kResources &&
                     text.find("model-00001-of-00004.safetensors") != std::string::npos &&
                     text.find("free_bytes=") != std::string::npos
                 ? 4
                 : 2;
    }
    return 3;
  });
  EXPECT_EQ(ended, 4);
  CheckpointWriter resumed(folder.path(), plan, {.shard_bytes = kShardBytes, .resume = true});
  for (std::size_t i = 0; i < plan.size(); ++i) {
    i < 3 ? resumed.mark_written(plan[i].name) : resumed.write(plan[i].name, filled(plan[i]));
  }
  resumed.finish();
  std::vector<std::size_t> order(plan.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = order.size() - 1 - i;
  EXPECT_EQ(contents(folder.path()), written_in_order(plan, order, {.shard_bytes = kShardBytes}));
}

TEST(Writer, AFullDiskShowsWhenSpaceIsReserved) {
  TemporaryFolder folder;
  const int ended = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{500'000, 500'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      CheckpointWriter writer(folder.path(), large_plan());
    } catch (const Error& error) {
      return error.code() == Code::kResources ? 4 : 2;
    }
    return 3;
  });
  EXPECT_EQ(ended, 4);
}

TEST(Writer, AKilledRunGoesOnToTheSameBytes) {
  const std::vector<TensorPlan> plan = large_plan();
  const WriterOptions options{.shard_bytes = kShardBytes, .resume = true};
  std::vector<std::size_t> order(plan.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto expected = written_in_order(plan, order, options);
  TemporaryFolder folder;
  const fs::path output = folder / "out", journal = folder / "journal";
  const auto run = [&] {
    const std::string done = path_exists(journal) ? read_text(journal) : "";
    CheckpointWriter writer(output, plan, options);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      if (i < done.size()) {
        writer.mark_written(plan[i].name);
        continue;
      }
      writer.write(plan[i].name, filled(plan[i]));
      writer.sync();
      write_text_atomically(journal, std::string(i + 1, 'x'));
    }
    writer.finish();
    return 0;
  };
  // Each child gets a little longer, so that kills fall into creation, writing and the journal alike.
  int kills = 0;
  for (int microseconds = 200;; microseconds = microseconds * 5 / 4) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(run());
    std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ++kills;
  }
  EXPECT_GT(kills, 3);
  EXPECT_EQ(contents(output), expected);
}

TEST(SaveSafetensors, ReplacesWholeFiles) {
  TemporaryFolder folder;
  save_safetensors(folder / "x.safetensors", {{"old", Tensor::of<float>({1}, {1})}});
  save_safetensors(
      folder / "x.safetensors",
      {{"ids", Tensor::of<std::int64_t>({1, 2}, {5, 6})}, {"logits", Tensor::of<float>({1}, {0.5})}},
      {{"note", "a \"quoted\" \u00e9"}});
  const Checkpoint file = load_safetensors(folder / "x.safetensors");
  EXPECT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.read("ids").span<std::int64_t>()[1], 6);
  EXPECT_EQ(file.metadata().at("note"), "a \"quoted\" \u00e9");
  EXPECT_EQ(list_files(folder.path()), std::vector<std::string>{"x.safetensors"});
  expect_error(Code::kNotFound, {"cannot create file"},
               [&] { save_safetensors(folder / "no/x.safetensors", {}); });
}

}  // namespace
}  // namespace farthing::checkpoint
