// What device.h answers in a program built without CUDA.
#include "kernels/device.h"

namespace farthing::kernels {

bool built_with_cuda() {
  return false;
}

std::vector<DeviceFacts> list_accelerators() {
  return {};
}

Stream::Stream(Device device) : device_(device) {
  FARTHING_CHECK(device.type == DeviceType::kCpu, "parse_device gives no other device in this program");
}

Stream::~Stream() = default;

void Stream::synchronize() {}

}  // namespace farthing::kernels
