use std::{
    ffi::CStr,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use llama_cpp_sys_2 as sys;

use crate::{LlamaError, log};

/// Held while a context or adapter is made or an adapter freed: these change their model.
static CREATION: Mutex<()> = Mutex::new(());

/// Instructions that llama.cpp was compiled for or not, and that the processor has or not.
#[derive(Clone, Copy)]
struct Instructions {
    name: &'static str,
    compiled: bool,
    available: bool,
}

/// Starts llama.cpp if this process has not yet.
///
/// # Errors
/// [`LlamaError::Processor`] if its code cannot run here.
pub(crate) fn start() -> Result<(), LlamaError> {
    static MISSING: OnceLock<Option<&'static str>> = OnceLock::new();
    match MISSING.get_or_init(init) {
        None => Ok(()),
        Some(instructions) => Err(LlamaError::Processor { instructions }),
    }
}

/// Waits until no other thread changes a model.
pub(crate) fn exclusive() -> MutexGuard<'static, ()> {
    CREATION.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns which instructions llama.cpp was compiled for, as it prints them.
///
/// # Errors
/// [`LlamaError::Processor`] if its code cannot run here.
pub fn system_info() -> Result<&'static str, LlamaError> {
    static INFO: OnceLock<String> = OnceLock::new();
    start()?;
    Ok(INFO.get_or_init(|| {
        // SAFETY: the text is a static of llama.cpp that only this function, once, has it write.
        let text = unsafe { CStr::from_ptr(sys::llama_print_system_info()) };
        text.to_string_lossy().trim().to_owned()
    }))
}

/// Returns the instructions that are missing, if any.
fn init() -> Option<&'static str> {
    log::install();
    let instructions = instructions();
    let missing = instructions
        .iter()
        .find(|set| set.compiled && !set.available);
    if let Some(missing) = missing {
        return Some(missing.name);
    }
    for unused in instructions
        .iter()
        .filter(|set| !set.compiled && set.available)
    {
        tracing::warn!(
            instructions = unused.name,
            "llama.cpp was compiled without instructions that this processor has: generating is slow"
        );
    }
    // SAFETY: called once, before any other function that computes.
    unsafe { sys::llama_backend_init() };
    None
}

/// What a processor may lack: without AVX2, FMA and F16C decoding takes two to five times as long,
/// and builds with `SOURCE_DATE_EPOCH` or for another machine silently leave them out.
#[cfg(target_arch = "x86_64")]
fn instructions() -> [Instructions; 4] {
    // SAFETY: these functions return constants of the build.
    let compiled = unsafe {
        [
            sys::ggml_cpu_has_avx2(),
            sys::ggml_cpu_has_fma(),
            sys::ggml_cpu_has_f16c(),
            sys::ggml_cpu_has_bmi2(),
        ]
    };
    let available = [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("F16C", is_x86_feature_detected!("f16c")),
        ("BMI2", is_x86_feature_detected!("bmi2")),
    ];
    std::array::from_fn(|at| Instructions {
        name: available[at].0,
        compiled: compiled[at] != 0,
        available: available[at].1,
    })
}

/// Other processors are compiled for what all of them have.
#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> [Instructions; 0] {
    []
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_cpp_uses_what_the_processor_has() {
        start().unwrap();
        for set in instructions() {
            assert_eq!(set.compiled, set.available, "{}", set.name);
        }
        let info = system_info().unwrap();
        for set in instructions().iter().filter(|set| set.compiled) {
            assert!(info.contains(&format!("{} = 1", set.name)), "{info}");
        }
    }
}
