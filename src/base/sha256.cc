#include "base/sha256.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <openssl/evp.h>

#include "base/error.h"
#include "base/file.h"

namespace farthing {

struct Sha256::Context {
  Context() : handle(EVP_MD_CTX_new()) { start(); }
  ~Context() { EVP_MD_CTX_free(handle); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void start() { FARTHING_CHECK(EVP_DigestInit_ex(handle, EVP_sha256(), nullptr) == 1); }

  EVP_MD_CTX* handle;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  FARTHING_CHECK(EVP_DigestUpdate(context_->handle, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::finish() {
  std::array<unsigned char, 32> digest;
  FARTHING_CHECK(EVP_DigestFinal_ex(context_->handle, digest.data(), nullptr) == 1);
  context_->start();
  std::string result;
  for (const unsigned char byte : digest) result += fmt::format("{:02x}", byte);
  return result;
}

std::string sha256_of(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.finish();
}

std::string sha256_of_file(const std::filesystem::path& file) {
  constexpr std::uint64_t kPieceBytes = 1 << 20;
  const PositionalFile source(file, PositionalFile::Mode::kRead);
  const std::uint64_t size = source.size();
  std::vector<std::byte> piece(std::min(kPieceBytes, size));
  Sha256 hash;
  for (std::uint64_t offset = 0; offset < size; offset += piece.size()) {
    const std::span<std::byte> part(piece.data(), std::min<std::uint64_t>(piece.size(), size - offset));
    source.read_at(offset, part);
    hash.update(part);
  }
  return hash.finish();
}

}  // namespace farthing
