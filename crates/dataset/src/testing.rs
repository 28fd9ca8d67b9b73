use std::{env, io::Write, path::PathBuf};

use tempfile::{Builder, NamedTempFile};

/// Makes a file that holds `bytes`.
pub(crate) fn file(extension: &str, bytes: impl AsRef<[u8]>) -> NamedTempFile {
    let mut file = Builder::new().suffix(extension).tempfile().unwrap();
    file.write_all(bytes.as_ref()).unwrap();
    file
}

/// Returns where outside data lies, or `None` with a line that says so.
#[expect(
    clippy::disallowed_methods,
    reason = "outside data is found through this one variable, in tests only"
)]
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let root = env::var_os("LLMOPT_TEST_DATA");
    if root.is_none() {
        eprintln!("skipped: LLMOPT_TEST_DATA is not set");
    }
    root.map(|root| PathBuf::from(root).join(name))
}
