// Random damage to small valid files of every kind must end in an Error or in tensors that can be read.
#include <random>

#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/test_files.h"

namespace farthing::checkpoint {
namespace {

constexpr int kRounds = 2000;

std::string damage(std::string bytes, std::mt19937& random) {
  const auto below = [&](std::size_t limit) { return limit == 0 ? 0 : random() % limit; };
  if (below(4) == 0) bytes.resize(below(bytes.size()));
  for (std::size_t flips = below(6); flips > 0 && !bytes.empty(); --flips) {
    // Half of the damage goes to the first bytes and the last, where headers and directories are.
    const std::size_t near = std::min<std::size_t>(bytes.size(), 200);
    const std::size_t position = below(4) == 0   ? below(near)
                                 : below(4) == 0 ? bytes.size() - 1 - below(near)
                                                 : below(bytes.size());
    bytes[position] = static_cast<char>(below(3) == 0 ? bytes[position] ^ (1 << below(8)) : random());
  }
  if (!bytes.empty() && below(8) == 0)
    bytes.insert(below(bytes.size()), bytes.substr(below(bytes.size()), below(100)));
  return bytes;
}

void survive(const std::filesystem::path& file) {
  try {
    const Checkpoint checkpoint = Checkpoint::open(file);
    for (const TensorInfo& info : checkpoint.tensors()) {
      const Tensor tensor = checkpoint.read(info.name);
      all_finite(tensor);
      std::size_t streamed = 0;
      checkpoint.stream(info.name, [&](std::span<const std::byte> piece) { streamed += piece.size(); });
      EXPECT_EQ(streamed, tensor.num_bytes());
      checkpoint.release(info.name);
    }
  } catch (const Error& error) {
    EXPECT_NE(error.code(), Code::kInternal) << error.what();
  }
}

TEST(DamagedFiles, EndInAnErrorOrInTensors) {
  TemporaryFolder folder;
  for (const char* name : {"torch-zip.bin", "torch-legacy.bin", "torch-expected.safetensors"}) {
    SCOPED_TRACE(name);
    const std::string good = read_text(test_data(name));
    std::mt19937 random(20240229);
    for (int round = 0; round < kRounds; ++round) survive(folder.write(name, damage(good, random)));
  }
}

TEST(DamagedFiles, EveryCutEndsInAnError) {
  TemporaryFolder folder;
  for (const char* name : {"torch-zip.bin", "torch-legacy.bin", "torch-expected.safetensors"}) {
    const std::string good = read_text(test_data(name));
    for (std::size_t length = 0; length < good.size(); length += 7) {
      const auto file = folder.write(name, good.substr(0, length));
      EXPECT_THROW(Checkpoint::open(file), Error) << name << " cut to " << length;
    }
  }
}

}  // namespace
}  // namespace farthing::checkpoint
