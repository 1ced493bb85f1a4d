// Devices as the rest of the house sees them. The CPU is always there; the CUDA part is compiled from
// kernels/cuda, or from kernels/no_cuda when the toolkit is absent, so that no shared code needs an #ifdef.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace farthing::kernels {

struct Device {
  DeviceType type = DeviceType::kCpu;
  int index = 0;
};

struct DeviceFacts {
  Device device;
  std::string name;
  std::int64_t memory_bytes = 0;
};

/// True if this program was built with the CUDA backend.
bool built_with_cuda();

/// The accelerators that can be used right now (none in a program built without CUDA, or without a driver).
std::vector<DeviceFacts> list_accelerators();

/// Reads "auto", "cpu", "cuda" or "cuda:1". Throws kInvalidArgument for another word, and kUnsupported with
/// the reason when CUDA is asked for and not there.
Device parse_device(const std::string& text);

/// A queue of work on a device. On the CPU everything is done when a call returns, and this is empty.
class Stream {
 public:
  explicit Stream(Device device = {});
  ~Stream();  // NOLINT(performance-trivially-destructible): a device has something to give back
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  Device device() const { return device_; }
  void synchronize();

 private:
  Device device_;
  void* handle_ = nullptr;
};

}  // namespace farthing::kernels
