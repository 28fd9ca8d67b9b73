use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use llmopt_artifact::{AdapterFolder, ModelFolder};
use llmopt_domain::Digest;
use llmopt_gguf::{WeightType, write_adapter, write_model};
use parking_lot::Mutex;

use crate::{InferenceError, remembered::RememberedDigests};

/// Counts what changes the contents of converted files but not their names.
const FORMAT: u32 = 1;

/// Enough for the file times of network file systems.
const SETTLING: Duration = Duration::from_secs(2);

/// The files of a tokenizer that decide which token has which id.
const TOKENIZER_FILES: [&str; 6] = [
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

/// A folder with models and adapters in llama.cpp's format, each named for what it was made from: a
/// name is never wrong, whatever becomes of the folders, and models with the same weights share one.
pub(crate) struct ConvertedFiles {
    folder: PathBuf,
    weights: WeightType,
    digests: RememberedDigests,
    /// Held while a file is written, so that those who want the same wait for it.
    writing: Mutex<()>,
}

impl ConvertedFiles {
    /// Makes the folder if need be.
    ///
    /// # Errors
    /// If that is not possible.
    pub(crate) fn open(folder: &Path, weights: WeightType) -> Result<Self, InferenceError> {
        fs::create_dir_all(folder).map_err(InferenceError::io("create", folder))?;
        Ok(Self {
            folder: folder.to_owned(),
            weights,
            digests: RememberedDigests::new(folder, SETTLING),
            writing: Mutex::new(()),
        })
    }

    /// Returns the digest of a model folder; all of its bytes are read only when they changed.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn digest(&self, model: &ModelFolder) -> Result<Digest, InferenceError> {
        let failed = InferenceError::io("list", model.path());
        self.digests
            .get(model.path(), failed, || Ok(model.digest()?))
    }

    /// Returns the file with the weights of `model`, whose digest is `digest`.
    ///
    /// It holds a vocabulary, too, which nothing reads: the model's own if it has one, so that
    /// adapters that bring theirs do not each need a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn model(
        &self,
        model: &ModelFolder,
        digest: &Digest,
        tokenizer: &Path,
    ) -> Result<PathBuf, InferenceError> {
        let (tokenizer, digest) = if has_tokenizer(model.path()) {
            (model.path(), digest.clone())
        } else {
            let parts = [digest.clone(), digest_of(tokenizer, &TOKENIZER_FILES)?];
            (tokenizer, of_all(&parts))
        };
        self.file(&format!("model-{}", self.weights), &digest, |path| {
            Ok(write_model(model, tokenizer, self.weights, path)?)
        })
    }

    /// Returns the file with an adapter.
    ///
    /// # Errors
    /// If the adapter cannot be opened or the file not be written.
    pub(crate) fn adapter(&self, folder: &Path) -> Result<PathBuf, InferenceError> {
        let adapter = AdapterFolder::open(folder)?;
        let files = ["adapter_config.json", "adapter_model.safetensors"];
        let digest = digest_of(folder, &files)?;
        self.file("adapter", &digest, |path| {
            Ok(write_adapter(&adapter, path)?)
        })
    }

    fn file(
        &self,
        kind: &str,
        digest: &Digest,
        write: impl FnOnce(&Path) -> Result<(), InferenceError>,
    ) -> Result<PathBuf, InferenceError> {
        let hex = digest.to_string();
        let hex = hex.strip_prefix("sha256:").unwrap_or(&hex);
        let path = self.folder.join(format!("{kind}-{hex}-v{FORMAT}.gguf"));
        if path.is_file() {
            return Ok(path);
        }
        let _writing = self.writing.lock();
        if !path.is_file() {
            write(&path)?;
        }
        Ok(path)
    }
}

fn has_tokenizer(folder: &Path) -> bool {
    folder.join("tokenizer.json").is_file() || folder.join("vocab.json").is_file()
}

/// Computes the digest over the contents of files, of which some may be absent.
fn digest_of(folder: &Path, files: &[&str]) -> Result<Digest, InferenceError> {
    let mut digests = Vec::new();
    for file in files {
        let path = folder.join(file);
        digests.push(if path.is_file() {
            let digest = File::open(&path).and_then(Digest::of_reader);
            digest.map_err(InferenceError::io("read", &path))?
        } else {
            Digest::of_bytes(b"")
        });
    }
    Ok(of_all(&digests))
}

fn of_all(digests: &[Digest]) -> Digest {
    let all: Vec<String> = digests.iter().map(Digest::to_string).collect();
    Digest::of_bytes(all.join("\n").as_bytes())
}
