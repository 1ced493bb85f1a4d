#include "checkpoint/safetensors.h"

#include <chrono>

#include <gtest/gtest.h>

#include "checkpoint/test_files.h"

namespace farthing::checkpoint {
namespace {

Container parse(const std::string& bytes) {
  return read_safetensors_header(as_span(bytes), "w.safetensors");
}

TEST(Safetensors, ReadsTheExampleOfTheFormat) {
  const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  )";
  ASSERT_EQ(header.size(), 56u);
  const Container container = parse(safetensors(header, std::string("\0\0\x80?\0\0\0@", 8)));
  ASSERT_EQ(container.tensors.size(), 1u);
  const TensorInfo& info = container.tensors[0];
  EXPECT_EQ(info.name, "a");
  EXPECT_EQ(info.dtype, DType::kF32);
  EXPECT_EQ(info.shape, Shape{2});
  EXPECT_EQ(info.offset, 64u);
  EXPECT_EQ(info.num_bytes, 8u);
}

TEST(Safetensors, AcceptsWhatTheReferenceParserAccepts) {
  EXPECT_TRUE(parse(safetensors("{}")).tensors.empty());
  EXPECT_EQ(parse(safetensors(R"({"__metadata__":{"format":"pt","a":""}})")).metadata.at("format"), "pt");
  EXPECT_TRUE(parse(safetensors(R"({"__metadata__":null})")).tensors.empty());
  // Any order of offsets, scalars, empty tensors, a header without padding, escaped and non-ASCII names.
  const Container mixed =
      parse(safetensors("{\"b\\u00e9\":{\"data_offsets\":[4,6],\"dtype\":\"F16\",\"shape\":[]},\"a\":{"
                        "\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]},"
                        "\"e\":{\"dtype\":\"I64\",\"shape\":[0,5],\"data_offsets\":[4,4]},\"f\":{\"dtype\":"
                        "\"F4\",\"shape\":[3,2],\"data_offsets\":[6,9]}}",
                        "123456789"));
  EXPECT_EQ(mixed.tensors.size(), 4u);
  EXPECT_EQ(mixed.tensors[0].name, "b\xc3\xa9");
}

TEST(Safetensors, ReadsEveryElementType) {
  for (const char* name :
       {"BOOL", "U8",  "I8",  "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
        "I16",  "U16", "F16", "BF16",    "I32",     "U32",     "F32",         "C64",
        "F64",  "I64", "U64", "F4",      "F6_E2M3", "F6_E3M2"}) {
    const auto dtype = parse_dtype(name);
    ASSERT_TRUE(dtype) << name;
    const int bytes = dtype_bits(*dtype);  // of 8 elements
    const Container container = parse(
        safetensors(fmt::format(R"({{"t":{{"dtype":"{}","shape":[8],"data_offsets":[0,{}]}}}})", name, bytes),
                    std::string(static_cast<std::size_t>(bytes), '\0')));
    EXPECT_EQ(container.tensors[0].dtype, *dtype) << name;
  }
}

struct Hostile {
  const char* why;
  std::string bytes;
  Code code;
  std::vector<std::string> texts;  // what the error says
};

std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets,
                const std::string& name = "bad") {
  return fmt::format(R"({{"{}":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", name, dtype, shape,
                     offsets);
}

std::string two(const std::string& first, const std::string& second) {
  return fmt::format(
      R"({{"first":{{"dtype":"U8","shape":[4],"data_offsets":{}}},"second":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
      first, second);
}

TEST(Safetensors, RefusesHostileHeaders) {
  const std::string eight(8, 'x');
  const std::string sixty_five = fmt::format("[{}]", fmt::join(std::vector<int>(65, 1), ","));
  const auto damaged = Code::kCorruptData;
  const std::vector<Hostile> cases = {
      {"empty file", "", damaged, {"file ends too soon", "w.safetensors"}},
      {"half a length", "\x08", damaged, {"file ends too soon"}},
      {"header of 4 GB", bytes_of(std::uint64_t{4} << 30) + "{}", damaged, {"impossibly long", "4294967296"}},
      {"header of 2^64", std::string(8, '\xff') + "{}", damaged, {"impossibly long"}},
      {"header past the end",
       bytes_of(std::uint64_t{100}) + "{}",
       damaged,
       {"file ends too soon", "truncated"}},
      {"not an object", safetensors("[]"), damaged, {"not a JSON object"}},
      {"leading space", safetensors(" {}"), damaged, {"not a JSON object"}},
      {"not JSON", safetensors("{\"a\":"), damaged, {"not valid JSON", "w.safetensors"}},
      {"NUL after the object", safetensors(std::string("{}\0", 3)), damaged, {"not valid JSON", "NUL"}},
      {"text after the object", safetensors("{}{}"), damaged, {"not valid JSON"}},
      {"not UTF-8", safetensors("{\"\xff\xfe\":{}}"), damaged, {"not valid JSON"}},
      {"unpaired surrogate", safetensors("{\"\\ud800\":{}}"), damaged, {"not valid JSON"}},
      {"deep nesting", safetensors("{\"a\":" + std::string(100000, '[')), damaged, {"tensor=a"}},
      {"tensor is a number", safetensors(R"({"bad":5})"), damaged, {"tensor=bad"}},
      {"tensor is null", safetensors(R"({"bad":null})"), damaged, {"tensor=bad"}},
      {"name comes twice",
       safetensors(
           R"({"bad":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"bad":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
           eight),
       damaged,
       {"names a tensor twice", "tensor=bad"}},
      {"key comes twice",
       safetensors(R"({"bad":{"dtype":"U8","dtype":"I8","shape":[8],"data_offsets":[0,8]}})", eight),
       damaged,
       {"key twice", "key=dtype"}},
      {"metadata key twice",
       safetensors(R"({"__metadata__":{"a":"1","a":"2"}})"),
       damaged,
       {"key twice", "key=a"}},
      {"metadata not text", safetensors(R"({"__metadata__":{"a":1}})"), damaged, {"__metadata__", "key=a"}},
      {"metadata nested", safetensors(R"({"__metadata__":{"a":{}}})"), damaged, {"__metadata__", "key=a"}},
      {"unknown key",
       safetensors(R"({"bad":{"dtype":"U8","shape":[8],"data_offsets":[0,8],"more":"x"}})", eight),
       damaged,
       {"tensor=bad", "key=more"}},
      {"key missing",
       safetensors(R"({"bad":{"dtype":"U8","shape":[8]}})", eight),
       damaged,
       {"lacks", "tensor=bad"}},
      {"unknown dtype",
       safetensors(one("F7", "[8]", "[0,8]"), eight),
       Code::kUnsupported,
       {"element type", "tensor=bad", "dtype=F7"}},
      {"dtype is a number", safetensors(R"({"bad":{"dtype":3}})"), damaged, {"tensor=bad", "key=dtype"}},
      {"negative dimension",
       safetensors(one("U8", "[-8]", "[0,8]"), eight),
       damaged,
       {"negative", "tensor=bad", "value=-8"}},
      {"fraction",
       safetensors(one("U8", "[8.5]", "[0,8]"), eight),
       damaged,
       {"not a whole number", "tensor=bad"}},
      {"number beyond 64 bits",
       safetensors(one("U8", "[99999999999999999999]", "[0,8]"), eight),
       damaged,
       {"tensor=bad"}},
      {"dimension of 2^63",
       safetensors(one("U8", "[9223372036854775808]", "[0,8]"), eight),
       damaged,
       {"not possible", "tensor=bad"}},
      {"product overflows",
       safetensors(one("F32", "[4294967296,4294967296]", "[0,8]"), eight),
       damaged,
       {"shape is not possible", "tensor=bad"}},
      {"bytes overflow",
       safetensors(one("F64", "[2305843009213693952]", "[0,8]"), eight),
       damaged,
       {"impossibly large", "tensor=bad"}},
      {"65 dimensions",
       safetensors(one("U8", sixty_five, "[0,8]"), eight),
       damaged,
       {"too many numbers", "tensor=bad"}},
      {"size is not the product",
       safetensors(one("F32", "[3]", "[0,8]"), eight),
       damaged,
       {"do not fit", "tensor=bad", "expected_bytes=12", "bytes=8"}},
      {"half a byte",
       safetensors(one("F4", "[3]", "[0,1]"), "x"),
       damaged,
       {"does not end on a byte", "tensor=bad"}},
      {"end before begin",
       safetensors(one("U8", "[8]", "[8,0]"), eight),
       damaged,
       {"begin and an end", "tensor=bad"}},
      {"three offsets",
       safetensors(one("U8", "[8]", "[0,8,8]"), eight),
       damaged,
       {"begin and an end", "tensor=bad"}},
      {"past the end",
       safetensors(one("U8", "[9]", "[0,9]"), eight),
       damaged,
       {"past the end", "tensor=bad", "w.safetensors"}},
      {"far past the end",
       safetensors(one("U8", "[8]", "[9223372036854775799,9223372036854775807]"), eight),
       damaged,
       {"past the end", "tensor=bad"}},
      {"overlap",
       safetensors(two("[0,4]", "[2,6]"), eight),
       damaged,
       {"tensors overlap", "tensor=second", "after=first", "w.safetensors"}},
      {"same place", safetensors(two("[0,4]", "[0,4]"), "1234"), damaged, {"tensors overlap"}},
      {"hole",
       safetensors(two("[0,4]", "[5,9]"), "123456789"),
       damaged,
       {"belong to no tensor", "tensor=second"}},
      {"hole at the begin",
       safetensors(one("U8", "[4]", "[4,8]"), eight),
       damaged,
       {"belong to no tensor", "tensor=bad"}},
      {"more data than tensors",
       safetensors(one("U8", "[4]", "[0,4]"), eight),
       damaged,
       {"longer than its tensors", "w.safetensors"}},
  };
  for (const Hostile& hostile : cases) {
    SCOPED_TRACE(hostile.why);
    expect_error(hostile.code, hostile.texts, [&] { parse(hostile.bytes); });
  }
}

TEST(Safetensors, TenThousandTensorsTakeMilliseconds) {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  for (int i = 0; i < 10000; ++i) {
    header += fmt::format(
        R"(,"model.layers.{}.mlp.experts.{}.gate_proj.weight":{{"dtype":"U8","shape":[1,1],"data_offsets":[{},{}]}})",
        i / 100, i % 100, i, i + 1);
  }
  const std::string file = safetensors(header + "}", std::string(10000, '\0'));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(parse(file).tensors.size(), 10000u);
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - begin;
  RecordProperty("milliseconds", fmt::format("{:.1f}", spent.count()));
  EXPECT_LT(spent.count(), 1000) << "quadratic?";
}

}  // namespace
}  // namespace farthing::checkpoint
