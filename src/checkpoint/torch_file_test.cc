#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/test_files.h"
#include "checkpoint/torch_legacy.h"
#include "checkpoint/torch_zip.h"

namespace farthing::checkpoint {
namespace {

Container parse(const std::string& bytes) {
  return read_container(as_span(bytes), "w.bin");
}

// What torch wrote reads as the same tensors in safetensors: all types, shared storages, offsets, strides, a
// parameter.
void expect_twins(const Checkpoint& torch, const Checkpoint& twin) {
  ASSERT_EQ(torch.tensors().size(), twin.tensors().size());
  for (const TensorInfo& info : twin.tensors()) {
    SCOPED_TRACE(info.name);
    const Tensor ours = torch.read(info.name), expected = twin.read(info.name);
    EXPECT_EQ(dtype_name(ours.dtype()), dtype_name(expected.dtype()));
    EXPECT_EQ(ours.shape(), expected.shape());
    EXPECT_EQ(bytes_of(ours), bytes_of(expected));
    std::string streamed;
    torch.stream(info.name, [&](std::span<const std::byte> piece) {
      streamed.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    });
    EXPECT_EQ(streamed, bytes_of(expected));
    torch.release(info.name);
    EXPECT_EQ(bytes_of(torch.read(info.name)), bytes_of(expected));
  }
}

TEST(TorchFiles, ReadWhatTorchWrites) {
  const Checkpoint twin = Checkpoint::open(test_data("torch-expected.safetensors"));
  for (const char* name : {"torch-zip.bin", "torch-legacy.bin"}) {
    SCOPED_TRACE(name);
    const Checkpoint torch = Checkpoint::open(test_data(name));
    expect_twins(torch, twin);
    EXPECT_EQ(torch.at("tied").offset, torch.at("float32").offset);
    EXPECT_LT(torch.total_bytes(), twin.total_bytes()) << "shared storages count once";
    EXPECT_EQ(torch.at("transposed").strides, (Shape{1, 6}));
    EXPECT_TRUE(torch.at("float32").strides.empty());
  }
}

const std::string kWeights(16, '\x01');

std::string one_tensor(const std::string& tensor) {
  return pickled::whole(pickled::dict({{"w", tensor}}));
}
std::string plain_tensor() {
  return pickled::tensor(pickled::storage("FloatStorage", "0", 4), 0, {2, 2}, {2, 1});
}

TEST(TorchFiles, ReadZip64AndWrappedDictionaries) {
  for (const bool zip64 : {false, true})
    EXPECT_EQ(parse(torch_zip(one_tensor(plain_tensor()), {kWeights}, zip64)).tensors.size(), 1u);
  const std::string inner = pickled::dict({{"w", plain_tensor()}});
  for (const char* wrapper : {"state_dict", "model", "module", "model_state_dict"}) {
    EXPECT_EQ(
        parse(torch_zip(pickled::whole(pickled::dict({{"epoch", "K\x03"}, {wrapper, inner}})), {kWeights}))
            .tensors.at(0)
            .name,
        "w");
  }
}

TEST(TorchFiles, RefuseTensorsOutsideTheirStorage) {
  const auto refuse = [](const std::string& message, const std::string& tensor) {
    SCOPED_TRACE(message);
    expect_error(Code::kCorruptData, {message, "tensor=w", "w.bin"},
                 [&] { parse(torch_zip(one_tensor(tensor), {kWeights})); });
  };
  const std::string storage = pickled::storage("FloatStorage", "0", 4);
  refuse("outside its storage", pickled::tensor(storage, 1, {2, 2}, {2, 1}));
  refuse("outside its storage", pickled::tensor(storage, 0, {2, 2}, {3, 1}));
  refuse("outside its storage", pickled::tensor(storage, 2147483647, {1}, {1}));
  refuse("outside its storage", pickled::tensor(storage, 0, {2, 2, 2}, {2147483647, 2147483647, 2147483647}));
  refuse("storage is shorter", pickled::tensor(pickled::storage("FloatStorage", "0", 5), 0, {1}, {1}));
  refuse("storage is shorter",
         pickled::tensor(pickled::storage("FloatStorage", "0", 2147483647), 0, {1}, {1}));
  refuse("larger than its file", pickled::tensor(storage, 0, {2147483647, 2147483647}, {0, 0}));
  refuse("larger than its file",
         pickled::tensor(storage, 0, {2147483647, 2147483647, 2147483647, 0, 2147483647}, {0, 0, 0, 0, 0}));
  EXPECT_NO_THROW(parse(torch_zip(one_tensor(pickled::tensor(storage, 3, {0, 7}, {9, 9})), {kWeights})));
}

TEST(TorchFiles, RefuseDamagedArchives) {
  const std::string good = torch_zip(one_tensor(plain_tensor()), {kWeights});
  const auto damaged = Code::kCorruptData;
  expect_error(damaged, {"no directory at its end", "w.bin"},
               [&] { parse(good.substr(0, good.size() - 30)); });
  expect_error(damaged, {"a storage is missing", "storage=0"},
               [&] { parse(torch_zip(one_tensor(plain_tensor()), {})); });
  expect_error(damaged, {"entry twice", "entry=a/x"}, [&] {
    parse(zip_archive({{"a/x", ""}, {"a/x", ""}}));
  });
  expect_error(Code::kUnsupported, {"not a PyTorch checkpoint", "data.pkl"}, [&] {
    parse(zip_archive({{"word/document.xml", "<w/>"}}));
  });
  expect_error(Code::kUnsupported, {"compressed", "entry=archive/data.pkl"}, [&] {
    parse(zip_archive({{"archive/data.pkl", "x"}}, false, 8));
  });
  expect_error(Code::kUnsupported, {"byte order", "byteorder=big"}, [&] {
    parse(zip_archive(
        {{"m/data.pkl", one_tensor(plain_tensor())}, {"m/data/0", kWeights}, {"m/byteorder", "big"}}));
  });
  std::string directory_far_away = good;
  directory_far_away.replace(good.size() - 6, 4, "\xf0\xff\xff\x7f");
  expect_error(damaged, {"file ends too soon"}, [&] { parse(directory_far_away); });
  std::string long_entry = good;
  long_entry.replace(good.find("PK\x01\x02") + 20, 8, std::string("\xff\xff\xff\x7f\xff\xff\xff\x7f"));
  expect_error(damaged, {"past the end", "entry=archive/data.pkl"}, [&] { parse(long_entry); });
}

TEST(TorchFiles, RefuseWhatHoldsNoTensors) {
  for (const std::string& top :
       {std::string("K\x01"), pickled::dict({}), pickled::dict({{"a", "K\x01"}}), std::string("]"),
        pickled::dict({{"model", pickled::dict({{"model", "N"}})}})}) {
    expect_error(Code::kUnsupported, {"no dictionary of tensors", "w.bin"},
                 [&] { parse(torch_zip(pickled::whole(top), {})); });
  }
  expect_error(Code::kCorruptData, {"names a tensor twice", "tensor=w"}, [&] {
    parse(
        torch_zip(pickled::whole(pickled::dict({{"w", plain_tensor()}, {"w", plain_tensor()}})), {kWeights}));
  });
  expect_error(Code::kUnsupported, {"global=os.system"}, [&] {
    parse(torch_zip(
        pickled::whole(pickled::global("os", "system") + pickled::tuple({pickled::text("id")}) + "R"), {}));
  });
}

std::string legacy(const std::string& object, const std::string& keys, const std::string& storages,
                   const std::string& little = "\x88") {
  return "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + pickled::whole("M\xe9\x03") +
         pickled::whole(pickled::dict({{"protocol_version", "M\xe9\x03"}, {"little_endian", little}})) +
         pickled::whole(object) + pickled::whole(keys) + storages;
}

TEST(TorchFiles, ReadAndRefuseLegacyFiles) {
  const std::string object = pickled::dict({{"w", plain_tensor()}});
  const std::string keys = "](" + pickled::text("0") + "e";
  const std::string storage = bytes_of(std::int64_t{4}) + kWeights;
  EXPECT_EQ(parse(legacy(object, keys, storage)).tensors.at(0).num_bytes, 16u);
  const auto refuse = [](Code code, const std::string& text, const std::string& bytes) {
    SCOPED_TRACE(text);
    expect_error(code, {text, "w.bin"}, [&] { parse(bytes); });
  };
  refuse(Code::kUnsupported, "byte order", legacy(object, keys, storage, "\x89"));
  refuse(Code::kCorruptData, "no tensor uses", legacy(object, "](" + pickled::text("9") + "e", storage));
  refuse(Code::kCorruptData, "no list of storages", legacy(object, "}", storage));
  refuse(Code::kCorruptData, "a storage is missing", legacy(object, "]", ""));
  refuse(Code::kCorruptData, "impossible length",
         legacy(object, keys, bytes_of(std::int64_t{-4}) + kWeights));
  refuse(Code::kCorruptData, "impossible length",
         legacy(object, keys, bytes_of(std::int64_t{1} << 62) + kWeights));
  refuse(Code::kCorruptData, "file ends too soon", legacy(object, keys, storage.substr(0, 20)));
  refuse(Code::kCorruptData, "storage is shorter",
         legacy(object, keys, bytes_of(std::int64_t{3}) + kWeights));
}

TEST(TorchFiles, RefuseOtherKindsOfFiles) {
  expect_error(Code::kUnsupported, {"not a weight file that is known", "begins_with=<html>"},
               [] { parse("<html>"); });
  expect_error(Code::kNotFound, {"Git LFS pointer", "git lfs pull"},
               [] { parse("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"); });
  expect_error(Code::kUnsupported, {"not a weight file that is known"}, [] { parse(""); });
}

}  // namespace
}  // namespace farthing::checkpoint
