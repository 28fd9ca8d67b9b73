use std::sync::Once;

unsafe extern "C" {
    fn llmopt_use_deterministic_algorithms();
    fn llmopt_peak_gpu_bytes(index: i8) -> u64;
}

/// Has libtorch compute the same bits from the same inputs, whenever and wherever a process of this libtorch
/// does so on such a device. What it has no such way for fails from now on.
///
/// It is for GPUs, where the order of sums may otherwise depend on which threads come first: the gradients of
/// attention can then differ in their last bits from run to run. On a CPU it changes nothing that a trainer computes.
pub fn use_deterministic_algorithms() {
    static ONCE: Once = Once::new();
    // SAFETY: it sets two flags of libtorch's global context. They are plain fields, and `Once` has no two
    // threads write them at a time.
    ONCE.call_once(|| unsafe { llmopt_use_deterministic_algorithms() });
}

/// Returns the most bytes that tensors took at once on the GPU of `index`, without what CUDA itself and the
/// allocator's reserves take; `None` where there is no such GPU or nothing was computed on it.
pub fn peak_gpu_memory_bytes(index: i8) -> Option<u64> {
    // SAFETY: it only reads counters, under the allocator's own lock, and catches what libtorch throws.
    let bytes = unsafe { llmopt_peak_gpu_bytes(index) };
    (bytes > 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn what_depends_on_the_order_of_threads_is_refused_from_then_on() {
        let index = Tensor::from_slice(&[1_i64, 1]);
        let twice = || {
            Tensor::zeros([4], (Kind::Float, Device::Cpu)).f_put(
                &index,
                &Tensor::from_slice(&[2_f32, 3.0]),
                false,
            )
        };
        assert!(twice().is_ok());
        use_deterministic_algorithms();
        let error = twice().unwrap_err().to_string();
        assert!(error.contains("deterministic"), "{error}");
    }

    #[test]
    fn without_a_gpu_there_is_no_peak_of_its_memory() {
        assert_eq!(peak_gpu_memory_bytes(127), None);
    }
}
