#include "checkpoint/pickle.h"

#include <gtest/gtest.h>

#include "checkpoint/test_files.h"

namespace farthing::checkpoint::pickle {
namespace {

using namespace std::string_literals;

class PickleTest : public testing::Test {
 protected:
  const Value& load(std::string bytes) {
    bytes_ = std::move(bytes);
    unpickler_.emplace(as_span(bytes_), "w.bin");
    return unpickler_->load();
  }
  void refuse(Code code, const std::vector<std::string>& texts, const std::string& bytes) {
    expect_error(code, texts, [&] { load(bytes); });
  }
  std::string bytes_;
  std::optional<Unpickler> unpickler_;
};

TEST_F(PickleTest, ReadsPlainValues) {
  // pickle.dumps({"i": [1, 300, -70000, 1 << 40, -1], "f": 1.5, "t": (None, True, False, ()), "s": {2}, "b":
  // 1 << 100}, 2) in its parts.
  const std::string list = std::string("](K\x01M\x2c\x01J") + bytes_of(std::int32_t{-70000}) +
                           std::string("\x8a\x06\0\0\0\0\0\x01\x8a\x01\xff", 11) + "e";
  const std::string number = std::string("G\x3f\xf8\0\0\0\0\0\0", 9);
  const Value& top =
      load(pickled::whole(pickled::dict({{"i", list},
                                         {"f", number},
                                         {"t", "(N\x88\x89)t"},
                                         {"b", "\x8a\x0d" + std::string(12, '\0') + "\x10"}})));
  const auto& items = top.get<Dict>()->items;
  ASSERT_EQ(items.size(), 4u);
  std::vector<std::int64_t> integers;
  for (const Ref item : items[0].second->get<List>()->items) integers.push_back(*item->get<std::int64_t>());
  EXPECT_EQ(integers, (std::vector<std::int64_t>{1, 300, -70000, std::int64_t{1} << 40, -1}));
  EXPECT_EQ(*items[1].second->get<double>(), 1.5);
  EXPECT_EQ(items[2].second->get<Tuple>()->items.size(), 4u);
  EXPECT_NE(items[3].second->get<Opaque>(), nullptr);
}

TEST_F(PickleTest, ReadsProtocol4) {
  // A frame, short text, memoize and stack_global, as pickle.dumps(.., 4) writes them.
  const std::string frame = "\x80\x04\x95" + bytes_of(std::uint64_t{60});
  const Value& top = load(frame +
                          "\x8c\x0b"
                          "collections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94(\x8c\x01k\x94K\x07u.");
  EXPECT_EQ(*top.get<Dict>()->items.at(0).second->get<std::int64_t>(), 7);
}

TEST_F(PickleTest, MemoKeepsIdentity) {
  // d = {}; x = (d, d); d["k"] = 1 afterwards shows in both.
  const Value& top = load("\x80\x02}q\x01h\x01\x86h\x01X\x01\0\0\0kK\x01s0."s);
  const auto& items = top.get<Tuple>()->items;
  EXPECT_EQ(items[0], items[1]);
  EXPECT_EQ(items[0]->get<Dict>()->items.size(), 1u);
}

TEST_F(PickleTest, BuildsTensorViews) {
  const Value& top =
      load(pickled::whole(pickled::tensor(pickled::storage("HalfStorage", "7", 100), 5, {2, 3}, {1, 2})));
  const auto* view = top.get<TensorView>();
  ASSERT_NE(view, nullptr);
  EXPECT_EQ(view->dtype, DType::kF16);
  EXPECT_EQ(view->offset, 5u);
  EXPECT_EQ(view->shape, (Shape{2, 3}));
  EXPECT_EQ(view->strides, (Shape{1, 2}));
  EXPECT_EQ(view->storage->get<Storage>()->key, "7");
  EXPECT_EQ(unpickler_->storages().size(), 1u);
}

TEST_F(PickleTest, BuildsTensorsOfTypesWithoutStorageClass) {
  const std::string storage =
      pickled::tuple({pickled::text("storage"), pickled::global("torch.storage", "UntypedStorage"),
                      pickled::text("0"), pickled::text("cpu"), pickled::integer(6)}) +
      "Q";
  const std::string arguments = pickled::tuple(
      {storage, pickled::integer(0), pickled::counts({6}), pickled::counts({1}), "\x89",
       pickled::global("collections", "OrderedDict") + ")R", pickled::global("torch", "float8_e4m3fn")});
  const Value& top =
      load(pickled::whole(pickled::global("torch._utils", "_rebuild_tensor_v3") + arguments + "R"));
  EXPECT_EQ(top.get<TensorView>()->dtype, DType::kF8E4M3);
}

TEST_F(PickleTest, ParametersAreTheirTensors) {
  const std::string tensor = pickled::tensor(pickled::storage("FloatStorage", "0", 1), 0, {1}, {1});
  const Value& top = load(pickled::whole(
      pickled::global("torch._utils", "_rebuild_parameter") +
      pickled::tuple({tensor, "\x88", pickled::global("collections", "OrderedDict") + ")R"}) + "R"));
  EXPECT_NE(top.get<TensorView>(), nullptr);
}

TEST_F(PickleTest, RefusesEveryNameThatIsNotATensor) {
  for (const auto& [module, name] : {std::pair{"os", "system"},
                                     {"posix", "system"},
                                     {"builtins", "eval"},
                                     {"__builtin__", "exec"},
                                     {"subprocess", "Popen"},
                                     {"torch", "load"},
                                     {"torch.hub", "load"},
                                     {"collections", "OrderedDict.fromkeys"},
                                     {"torch._utils", "_rebuild_tensor_v2.__globals__"},
                                     {"", ""},
                                     {"torch.nn.modules.linear", "Linear"}}) {
    SCOPED_TRACE(name);
    const std::vector<std::string> texts = {"names something that is not a tensor",
                                            fmt::format("global={}.{}", module, name), "w.bin",
                                            "nothing in a checkpoint is executed"};
    refuse(Code::kUnsupported, texts,
           pickled::whole(pickled::global(module, name) +
                          pickled::tuple({pickled::text("touch /tmp/owned")}) + "R"));
    refuse(Code::kUnsupported, texts, pickled::whole(pickled::text(module) + pickled::text(name) + "\x93"));
  }
}

TEST_F(PickleTest, RefusesWhatMakesNoTensor) {
  const auto damaged = Code::kCorruptData;
  const std::string ordered = pickled::global("collections", "OrderedDict");
  const std::string rebuild = pickled::global("torch._utils", "_rebuild_tensor_v2");
  const std::string storage = pickled::storage("FloatStorage", "0", 4);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"something that is not a function is called", pickled::text("x") + ")R"},
      {"something that is not a function is called", ordered + pickled::text("x") + "R"},
      {"OrderedDict is called with arguments", ordered + pickled::tuple({pickled::integer(1)}) + "R"},
      {"_rebuild_tensor_v2 is called with arguments", rebuild + ")R"},
      {"_rebuild_tensor_v2 is called with arguments",
       rebuild + pickled::tuple({storage, pickled::integer(-1), pickled::counts({1}), pickled::counts({1})}) +
           "R"},
      {"_rebuild_tensor_v2 is called with arguments",
       rebuild + pickled::tuple({storage, pickled::integer(0), pickled::counts({-1}), pickled::counts({1})}) +
           "R"},
      {"_rebuild_tensor_v2 is called with arguments",
       rebuild +
           pickled::tuple({storage, pickled::integer(0), pickled::counts({1}), pickled::counts({1, 1})}) +
           "R"},
      {"_rebuild_tensor_v2 is called with arguments",
       rebuild +
           pickled::tuple({storage, pickled::integer(0), pickled::counts(std::vector<int>(65, 1)),
                           pickled::counts(std::vector<int>(65, 1))}) +
           "R"},
      {"FloatStorage is called",
       pickled::global("torch", "FloatStorage") + pickled::tuple({pickled::integer(1)}) + "R"},
      {"attributes are set on something that is not a dictionary", pickled::integer(1) + "}b"},
      {"attributes are set on something that is not a dictionary",
       pickled::tensor(storage, 0, {1}, {1}) + "}b"},
      {"a persistent id is not a storage",
       pickled::tuple({pickled::text("module"), pickled::text("x")}) + "Q"},
      {"a persistent id is not a storage", pickled::text("storage") + "Q"},
      {"items are appended to something that is not a list",
       "}K\x01"
       "a"},
      {"items are set on something that is not a dictionary", "]K\x01K\x01s"},
      {"items are set on something that is not a dictionary", "}(K\x01u"},
      {"items are added to something that is not a set", "](K\x01\x90"},
      {"its stack is empty", ""},
      {"its stack is empty", "0"},
      {"its stack is empty", "K\x01(\x85"},
      {"a mark is missing", "t"},
      {"recalls a value that it never kept", "h\x05"},
      {"a global has no name", "K\x01K\x02\x93"},
  };
  for (const auto& [reason, body] : cases) {
    SCOPED_TRACE(reason);
    refuse(damaged, {"pickle cannot be read", reason, "w.bin"}, pickled::whole(body));
  }
}

TEST_F(PickleTest, RefusesOpcodesThatWeightsDoNotNeed) {
  // Instances, extension registry, text numbers, persistent text ids, out-of-band buffers, newer NEWOBJ.
  for (const char opcode : {'i', 'o', '\x82', '\x83', '\x84', 'P',    'I',    'L',    'F',    'S',    'V',
                            'p', 'g', '2',    'l',    'd',    '\x92', '\x96', '\x97', '\x98', '\xff', '\0'}) {
    refuse(Code::kCorruptData, {"has no use in weights"}, pickled::whole(std::string(1, opcode) + "abc\n"));
  }
}

TEST_F(PickleTest, RefusesTruncatedPickles) {
  const std::string whole = pickled::whole(
      pickled::dict({{"w", pickled::tensor(pickled::storage("FloatStorage", "0", 4), 0, {2, 2}, {2, 1})}}));
  EXPECT_NO_THROW(load(whole));
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_THROW(load(whole.substr(0, length)), Error) << length;
  refuse(Code::kCorruptData, {"file ends too soon", "needs=4294967295"}, "\x80\x02X\xff\xff\xff\xff...");
}

TEST_F(PickleTest, BoundsDepthAndMemory) {
  const auto damaged = Code::kCorruptData;
  refuse(damaged, {"nested too deeply"}, pickled::whole(std::string(100000, '(')));
  refuse(damaged, {"too many values"}, pickled::whole([] {
           std::string bytes;
           for (int i = 0; i < 5000000; ++i) bytes += "}0";
           return bytes;
         }()));
  refuse(damaged, {"stack is too deep"}, pickled::whole(std::string(2000000, ')')));
  refuse(damaged, {"memo is too large"}, pickled::whole([] {
           std::string bytes = "N";
           for (int i = 0; i < 5000000; ++i) bytes += "r" + bytes_of(i);
           return bytes;
         }()));
  refuse(
      damaged, {"impossibly long"}, "\x80\x02" + [] {
        std::string bytes = "Nq\x01";
        for (int i = 0; i < 25000000; ++i)
          bytes +=
              "h\x01"
              "0";
        return bytes;
      }());
  // A memo index of four billion takes one entry, and a tower of doubled tuples only grows by one value a
  // step.
  EXPECT_NO_THROW(load(pickled::whole("Nr\xff\xff\xff\xff")));
  std::string tower = "N";
  for (int i = 0; i < 100; ++i) tower += "q\x01h\x01\x86";
  EXPECT_NO_THROW(load(pickled::whole(tower)));
  std::string deep = "N";
  for (int i = 0; i < 1000000; ++i) deep += "\x85";
  EXPECT_NO_THROW(load(pickled::whole(deep)));
}

}  // namespace
}  // namespace farthing::checkpoint::pickle
