use std::fs;

/// Returns the peak resident memory of this process in bytes; 0 where the kernel does not say.
pub(crate) fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes =
        field.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
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
