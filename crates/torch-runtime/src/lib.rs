//! What needs unsafe code, or a certain moment in the process's life, to use libtorch well.
//!
//! Knows environment variables that OpenMP reads before `main`, how to make CUDA available to a
//! binary linked without it, and how to lay a tensor over mapped bytes. Does not know models.

mod cuda;
mod mapped;
mod process;

pub use cuda::load_cuda;
pub use mapped::tensor_over;
pub use process::restart_with_variables;
