use std::panic::{AssertUnwindSafe, catch_unwind};

/// A library broke on what a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broke;

/// Does work of a library that may panic on files of others: to us these are files that cannot be read.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Broke> {
    // Whoever calls throws away what the work has left half done.
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Broke)
}
