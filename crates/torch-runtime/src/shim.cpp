// What libtorch offers in C++ only. `shim.rs` declares each function.

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>

extern "C" {

void llmopt_use_deterministic_algorithms() {
  auto &context = at::globalContext();
  context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  // Else every new tensor is filled first, against programs that read what they never wrote.
  context.setDeterministicFillUninitializedMemory(false);
}

// The most bytes that tensors took at once on a GPU; 0 where that is not known.
uint64_t llmopt_peak_gpu_bytes(int8_t index) {
  try {
    auto *allocator = dynamic_cast<c10::DeviceAllocator *>(c10::GetAllocator(c10::kCUDA));
    if (allocator == nullptr || !allocator->initialized()) {
      return 0;
    }
    const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return allocator->getDeviceStats(index).allocated_bytes[all].peak;
  } catch (...) {
    return 0;
  }
}
}
