#include "checkpoint/container.h"

#include "checkpoint/byte_reader.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/torch_legacy.h"
#include "checkpoint/torch_zip.h"

namespace farthing::checkpoint {

Container read_container(std::span<const std::byte> bytes, const std::filesystem::path& file,
                         const Json& first_values) {
  if (is_torch_zip(bytes)) return read_torch_zip(bytes, file);
  if (gguf::is_gguf(bytes)) return gguf::read_header(bytes, file, first_values);
  if (is_torch_legacy(bytes)) return read_torch_legacy(bytes, file);
  const std::string_view begin(reinterpret_cast<const char*>(bytes.data()),
                               std::min<std::size_t>(bytes.size(), 32));
  FARTHING_REQUIRE(!begin.starts_with("version https://git-lfs"), Code::kNotFound,
                   "file is a Git LFS pointer, not the weights", {{"file", file.string()}},
                   "run `git lfs pull` in its folder");
  FARTHING_REQUIRE(file.extension() == ".safetensors", Code::kUnsupported,
                   "file is not a weight file that is known",
                   {{"file", file.string()}, {"begins_with", printable(begin.substr(0, 8))}},
                   "expected safetensors, GGUF or what torch.save writes");
  return read_safetensors_header(bytes, file);
}

}  // namespace farthing::checkpoint
