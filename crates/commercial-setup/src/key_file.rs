use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use llmopt_providers::{KeySource, KeyUnavailable, ProviderKey};

/// The most that a key has, in bytes.
const LONGEST: u64 = 16 << 10;

/// A key in a file.
///
/// The file is read for every request. That costs some microseconds of a request that takes seconds, and no key is ever
/// used that was replaced, as one could be whose file was written twice within the grain of the file system's clock.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// Reads keys from the file at `path`, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Reads the key that is there now.
    ///
    /// # Errors
    /// If the file cannot be read, or has no key in it.
    pub fn read(&self) -> Result<ProviderKey, KeyUnavailable> {
        let path = self.path.display();
        let text = read(&self.path).map_err(|error| {
            let problem = format!("failed to read the key from `{path}`");
            KeyUnavailable::caused_by(problem, error)
        })?;
        ProviderKey::new(&text)
            .map_err(|error| KeyUnavailable::caused_by(format!("`{path}` has no key"), error))
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

#[async_trait]
impl KeySource for KeyFile {
    async fn key(&self) -> Result<Option<ProviderKey>, KeyUnavailable> {
        let file = self.clone();
        let read = tokio::task::spawn_blocking(move || file.read()).await;
        let read = read.map_err(|error| {
            let problem = format!("the key was not read from `{}`", self.path.display());
            KeyUnavailable::caused_by(problem, error)
        })?;
        read.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use llmopt_domain::error_chain;

    use super::*;

    #[test]
    fn a_key_is_what_the_file_has_without_the_space_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "  sk-1\n").unwrap();
        assert_eq!(
            KeyFile::new(&path).read().unwrap(),
            ProviderKey::new("sk-1").unwrap()
        );
    }

    #[test]
    fn a_file_without_a_key_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let refusal = || error_chain(&KeyFile::new(&path).read().unwrap_err());
        assert!(
            refusal().starts_with(&format!("failed to read the key from `{}`", path.display()))
        );
        for wrong in ["", " \n", "sk-canary and more"] {
            std::fs::write(&path, wrong).unwrap();
            let said = refusal();
            assert!(
                said.starts_with(&format!("`{}` has no key: ", path.display())),
                "{said}"
            );
            assert!(!said.contains("canary"), "{said}");
        }
    }
}
