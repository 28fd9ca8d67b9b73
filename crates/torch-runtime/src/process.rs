use std::{env, io, os::unix::process::CommandExt, process::Command};

/// What OpenMP, MKL and oneDNN read once, before `main`: threads that wait sleep instead of spinning
/// (which costs up to 3x on shared cores), and their number never changes during a run (on which the
/// order of sums, so the bytes of a result, depends). oneDNN and its PyTorch layer keep 1024 kernels
/// each, one for every shape: batches of ever new lengths would fill memory with them (1.4 GB in 50
/// bf16 steps of GPT-2 small), where those of one step are all that is used again.
///
/// `CUBLAS_WORKSPACE_CONFIG`, which many set for the sake of reproducible sums, is not among them: libtorch gives
/// cuBLAS a workspace of its own, which does it, and where the variable is set parses it again for every product, which
/// took a third of a step's time.
const VARIABLES: [(&str, &str); 6] = [
    ("OMP_WAIT_POLICY", "PASSIVE"),
    ("GOMP_SPINCOUNT", "0"),
    ("OMP_DYNAMIC", "FALSE"),
    ("MKL_DYNAMIC", "FALSE"),
    ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64"),
    ("LRU_CACHE_CAPACITY", "64"),
];

/// Replaces the process by itself with libtorch's variables set, unless they are all there.
///
/// A variable the user has set is kept. Returns only where nothing had to be done.
///
/// # Errors
/// If the executable cannot be started again.
#[expect(
    clippy::disallowed_methods,
    reason = "these variables belong to OpenMP, MKL and oneDNN and are settled before any setting is read"
)]
pub fn restart_with_variables() -> io::Result<()> {
    let missing: Vec<_> = VARIABLES
        .into_iter()
        .filter(|(name, _)| env::var_os(name).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .envs(missing)
        .exec())
}
