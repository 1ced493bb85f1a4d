// SHA-256 (FIPS 180-4), for the hashes that reports print and resumed runs compare.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace farthing {

/// Hashes bytes as they come.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }

  /// Returns the 64 lower-case hexadecimal digits of everything so far. The hash is then as new.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256_of(std::string_view text);

/// Hashes a whole file in bounded memory. Throws kNotFound or kIo.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace farthing
