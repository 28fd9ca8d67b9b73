use tch::Device;

/// Returns the first GPU where CUDA is loaded and has one, else the CPU.
pub fn pick_device() -> Device {
    Device::cuda_if_available()
}

/// Returns the device's name in events and records.
pub(crate) fn device_name(device: Device) -> &'static str {
    if device.is_cuda() { "cuda" } else { "cpu" }
}
