//! What needs unsafe code, or a certain moment in the process's life, to use libtorch well.
//!
//! Knows environment variables that OpenMP reads before `main`, how to make CUDA available to a
//! binary linked without it, how to have it compute the same bits each time, and how to lay a tensor over
//! mapped bytes. Does not know models.

mod cuda;
mod mapped;
mod process;
mod shim;

pub use cuda::{Cuda, load_cuda};
pub use mapped::tensor_over;
pub use process::restart_with_variables;
pub use shim::{peak_gpu_memory_bytes, use_deterministic_algorithms};
