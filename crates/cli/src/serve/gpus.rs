use std::sync::OnceLock;

use llmopt_service::{Gpu, GpuProbe};
use nvml_wrapper::{Device, Nvml, error::NvmlError};

/// The driver's library, where only that is installed and not what programs are built with.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// Asks NVIDIA's driver, which is looked for at the first question.
#[derive(Default)]
pub(crate) struct NvmlGpuProbe {
    driver: OnceLock<Option<Nvml>>,
}

impl NvmlGpuProbe {
    fn driver(&self) -> Option<&Nvml> {
        let find = || match Nvml::builder().lib_path(LIBRARY.as_ref()).init() {
            Ok(driver) => Some(driver),
            Err(error) => {
                tracing::debug!(%error, "no GPU is looked at");
                None
            }
        };
        self.driver.get_or_init(find).as_ref()
    }
}

impl GpuProbe for NvmlGpuProbe {
    fn probe(&self) -> Option<Vec<Gpu>> {
        let driver = self.driver()?;
        let devices = 0..driver.device_count().ok()?;
        let gpus: Result<Vec<Gpu>, NvmlError> = devices
            .map(|index| read(&driver.device_by_index(index)?))
            .collect();
        match gpus {
            Ok(gpus) => Some(gpus).filter(|gpus| !gpus.is_empty()),
            Err(error) => {
                tracing::warn!(%error, "the GPUs do not say what they do");
                None
            }
        }
    }
}

fn read(device: &Device<'_>) -> Result<Gpu, NvmlError> {
    let memory = device.memory_info()?;
    Ok(Gpu {
        name: device.name()?,
        memory_bytes: memory.total,
        memory_used_bytes: memory.used,
        // Devices that are split do not tell it.
        utilization: device
            .utilization_rates()
            .ok()
            .map(|rates| f64::from(rates.gpu) / 100.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_driver_there_is_no_gpu_and_with_one_each_has_memory() {
        let has_driver = std::path::Path::new("/proc/driver/nvidia").exists();
        let gpus = NvmlGpuProbe::default().probe();
        assert!(gpus.is_none() || has_driver, "{gpus:?}");
        for gpu in gpus.into_iter().flatten() {
            assert!(gpu.memory_bytes > 0 && gpu.memory_used_bytes <= gpu.memory_bytes);
        }
    }
}
