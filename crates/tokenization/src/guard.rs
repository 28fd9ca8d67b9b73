use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does work of the library `tokenizers`, which panics on some files of others and on some texts where it has
/// such a file: to us these are files that cannot be used.
pub(crate) fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    // Whoever called has only borrowed what the work looks at, and the library keeps nothing half done but
    // caches, which it passes by where they are locked.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("the library of tokenizers broke on what the file says".into()))
}
