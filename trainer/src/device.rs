use tch::Device;

/// Returns the first GPU where CUDA is loaded and has one, else the CPU.
pub fn pick_device() -> Device {
    Device::cuda_if_available()
}
