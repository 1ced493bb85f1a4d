// Any weight that a format takes: written, read and written again it gives the same bytes.
#include "formats/test_module.h"

namespace farthing::formats {
namespace {

class RoundTrip : public ModuleTest {
 protected:
  template <typename T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[static_cast<std::ptrdiff_t>(random_() % values.size())];
  }

  scheme::Scheme random_scheme() {
    scheme::QuantizationArgs args{.num_bits = one_of({2, 3, 4, 5, 6, 7, 8}),
                                  .symmetric = one_of({true, false})};
    const std::int64_t group = one_of<std::int64_t>({-1, 16, 32, 64, 96, 128});
    args.strategy = group > 0 ? scheme::Strategy::kGroup : scheme::Strategy::kChannel;
    if (group > 0) args.group_size = group;
    return {.weights = args};
  }

  static bool takes(const WeightWriter& writer, const scheme::Scheme& scheme, std::int64_t rows,
                    std::int64_t columns) {
    try {
      writer.check(scheme, rows, columns);
      return true;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kUnsupported);
      return false;
    }
  }

  std::mt19937 random_{11};
};

TEST_F(RoundTrip, OfRandomShapesGroupsAndBits) {
  std::map<std::string_view, int> taken;
  for (int round = 0; round < 400; ++round) {
    const scheme::Scheme scheme = random_scheme();
    const std::int64_t rows = one_of<std::int64_t>({1, 8, 24, 32, 64, 96}),
                       columns = one_of<std::int64_t>({16, 32, 64, 72, 96, 128, 192, 256});
    const std::string_view name = writer_names()[random_() % writer_names().size()];
    const auto writer = writer_for(name);
    if (!takes(*writer, scheme, rows, columns)) continue;
    ++taken[name];
    SCOPED_TRACE(fmt::format("{} {} [{}, {}]", name, scheme::describe(scheme), rows, columns));
    const QuantizedMatrix weight = this->round(
        *writer, scheme, random_weight(rows, columns, one_of({DType::kBF16, DType::kF16}), random_()));
    const Tensors written = writer->encode(kTestModule, scheme, weight, pool_);
    const auto reader = reader_of(written, config_of(*writer, scheme));
    ASSERT_TRUE(reader->is_quantized(kTestModule));
    const QuantizedMatrix read = reader->read(kTestModule);
    EXPECT_TRUE(std::ranges::equal(read.codes.bytes(), weight.codes.bytes()));
    expect_same(written, writer->encode(kTestModule, scheme, read, pool_));
  }
  for (const char* name : {"compressed-tensors", "awq", "gptq", "gptq_v2"}) EXPECT_GT(taken[name], 2) << name;
}

}  // namespace
}  // namespace farthing::formats
