use std::fs;

use tch::Device;

/// Returns the peak resident memory of this process in bytes; 0 where the kernel does not say.
pub(crate) fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes =
        field.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// Returns the most bytes that tensors took at once on `device`, if that is a GPU.
pub(crate) fn peak_gpu_memory_bytes(device: Device) -> Option<u64> {
    match device {
        Device::Cuda(index) => {
            llmopt_torch_runtime::peak_gpu_memory_bytes(i8::try_from(index).ok()?)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_grows_with_what_is_touched() {
        let before = peak_memory_bytes();
        let touched = vec![1_u8; 256 << 20];
        assert!(
            peak_memory_bytes() >= before.max(256 << 20),
            "{}",
            touched[touched.len() / 2]
        );
    }
}
