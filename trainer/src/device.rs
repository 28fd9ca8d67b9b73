use llmopt_config::Device as Wanted;
use llmopt_torch_runtime::{Cuda, load_cuda, use_deterministic_algorithms};
use tch::Device;

use crate::TrainerError;

/// Makes the GPU available, if `wanted` allows for one. Comes before anything asks whether there is one: the answer is
/// cached.
///
/// # Errors
/// [`TrainerError::NoGpu`] where nothing else is wanted.
pub fn open_device(wanted: Wanted) -> Result<(), TrainerError> {
    if wanted == Wanted::Cpu {
        return Ok(());
    }
    let cuda = load_cuda();
    let reason = match &cuda {
        Cuda::Loaded if tch::Cuda::is_available() => return Ok(()),
        Cuda::Loaded => "libtorch finds no GPU that it can use".to_owned(),
        Cuda::Broken(message) => format!("libtorch's CUDA does not load ({message})"),
        Cuda::NotInstalled => "the libtorch in use has no CUDA".to_owned(),
    };
    match (wanted, cuda) {
        (Wanted::Cuda, _) => return Err(TrainerError::NoGpu { reason }),
        // As chosen with that libtorch, and the record of the training says what it ran on.
        (_, Cuda::NotInstalled) => tracing::trace!("{reason}: training on the processor"),
        _ => tracing::warn!("{reason}: training on the processor"),
    }
    Ok(())
}

/// Returns the first GPU where CUDA is loaded and has one, else the CPU. On either, the same steps give the
/// same bytes from then on.
pub fn pick_device() -> Device {
    let device = Device::cuda_if_available();
    if device.is_cuda() {
        use_deterministic_algorithms();
    }
    device
}

/// Returns the device's name in events and records.
pub(crate) fn device_name(device: Device) -> &'static str {
    if device.is_cuda() { "cuda" } else { "cpu" }
}
