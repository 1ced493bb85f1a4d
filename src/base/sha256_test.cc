#include "base/sha256.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

namespace farthing {
namespace {

// FIPS 180-4 examples.
constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256Test, KnownAnswers) {
  EXPECT_EQ(sha256_of(""), kEmpty);
  EXPECT_EQ(sha256_of("abc"), kAbc);
}

TEST(Sha256Test, PiecesGiveTheSameAndFinishStartsAnew) {
  Sha256 hash;
  hash.update("a");
  hash.update("bc");
  EXPECT_EQ(hash.finish(), kAbc);
  EXPECT_EQ(hash.finish(), kEmpty);
}

TEST(Sha256Test, Files) {
  const auto file = std::filesystem::temp_directory_path() / fmt::format("farthing-sha256-{}", ::getpid());
  for (const std::size_t size : {std::size_t{0}, std::size_t{3}, std::size_t{(1 << 20) + 1}}) {
    const std::string text(size, 'x');
    write_text_atomically(file, text);
    EXPECT_EQ(sha256_of_file(file), sha256_of(text)) << size;
  }
  std::filesystem::remove(file);
  EXPECT_THROW(sha256_of_file(file), Error);
}

}  // namespace
}  // namespace farthing
