#include "kernels/device.h"

#include <charconv>

#include "base/error.h"

namespace farthing::kernels {
namespace {

Device parse_cuda(const std::string& text) {
  Device device{DeviceType::kCuda, 0};
  if (text != "cuda") {
    const char* begin = text.data() + 5;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(begin, end, device.index);
    FARTHING_REQUIRE(error == std::errc() && stop == end && *begin != '-', Code::kInvalidArgument,
                     "the number of the device is not a number", {{"device", text}}, "write it as in cuda:0");
  }
  FARTHING_REQUIRE(built_with_cuda(), Code::kUnsupported, "this program was built without CUDA",
                   {{"device", text}}, "use --device cpu, or build with FARTHING_CUDA=ON");
  const std::vector<DeviceFacts> found = list_accelerators();
  FARTHING_REQUIRE(!found.empty(), Code::kUnsupported, "no CUDA device can be used here", {{"device", text}},
                   "check the driver with `farthing doctor`, or use --device cpu");
  FARTHING_REQUIRE(device.index < static_cast<int>(found.size()), Code::kUnsupported,
                   "there is no such CUDA device", {{"device", text}, {"devices", found.size()}},
                   "`farthing doctor` lists them");
  return device;
}

}  // namespace

Device parse_device(const std::string& text) {
  if (text == "cpu") return {};
  if (text == "cuda" || text.starts_with("cuda:")) return parse_cuda(text);
  FARTHING_REQUIRE(text == "auto", Code::kInvalidArgument, "not a device", {{"device", text}},
                   "use auto, cpu, cuda or cuda:N");
  const std::vector<DeviceFacts> found = list_accelerators();
  return found.empty() ? Device{} : found.front().device;
}

}  // namespace farthing::kernels
