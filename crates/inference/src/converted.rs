use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process,
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

/// A file that nobody has written to for so long is nobody's: writing goes on without a pause.
const ABANDONED: Duration = Duration::from_secs(600);

/// The files of a tokenizer that decide which token has which id.
const TOKENIZER_FILES: [&str; 6] = [
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

/// The files of an adapter.
const ADAPTER_FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

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
    /// Makes the folder if need be, and removes what a process that died had begun to write.
    ///
    /// # Errors
    /// If that is not possible.
    pub(crate) fn open(folder: &Path, weights: WeightType) -> Result<Self, InferenceError> {
        fs::create_dir_all(folder).map_err(InferenceError::io("create", folder))?;
        sweep(folder).map_err(InferenceError::io("tidy", folder))?;
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

    /// Returns the file with the weights in `folder`, whose digest is `digest`.
    ///
    /// It holds a vocabulary, too, which nothing reads: the model's own if it has one, so that
    /// adapters that bring theirs do not each need a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn model(
        &self,
        folder: &Path,
        digest: &Digest,
        tokenizer: &Path,
    ) -> Result<PathBuf, InferenceError> {
        let other = (!has_tokenizer(folder)).then_some(tokenizer);
        let with_tokenizer = |digest: &Digest| match other {
            Some(other) => Ok(of_all(&[
                digest.clone(),
                digest_of(other, &TOKENIZER_FILES)?,
            ])),
            None => Ok::<_, InferenceError>(digest.clone()),
        };
        let source = Source {
            kind: format!("model-{}", self.weights),
            folder,
            digest: with_tokenizer(digest)?,
        };
        let digest = || with_tokenizer(&ModelFolder::open(folder)?.digest()?);
        self.file(&source, digest, |path| {
            let model = ModelFolder::open(folder)?;
            Ok(write_model(
                &model,
                other.unwrap_or(folder),
                self.weights,
                path,
            )?)
        })
    }

    /// Returns the file with the adapter in `folder`.
    ///
    /// # Errors
    /// If the adapter cannot be opened or the file not be written.
    pub(crate) fn adapter(&self, folder: &Path) -> Result<PathBuf, InferenceError> {
        let digest = || digest_of(folder, &ADAPTER_FILES);
        let source = Source {
            kind: "adapter".to_owned(),
            folder,
            digest: digest()?,
        };
        self.file(&source, digest, |path| {
            Ok(write_adapter(&AdapterFolder::open(folder)?, path)?)
        })
    }

    /// Returns the file for `source`, written unless it is there. It gets its name only if the digest
    /// is what it was: else the folder may have changed while it was read.
    fn file(
        &self,
        source: &Source<'_>,
        digest: impl FnOnce() -> Result<Digest, InferenceError>,
        write: impl Fn(&Path) -> Result<(), InferenceError>,
    ) -> Result<PathBuf, InferenceError> {
        let path = self.folder.join(source.file_name());
        if path.is_file() {
            return Ok(path);
        }
        let _writing = self.writing.lock();
        if path.is_file() {
            return Ok(path);
        }
        let partial = path.with_extension(format!("{}.partial", process::id()));
        if let Err(error) = write(&partial) {
            let _ = fs::remove_file(&partial);
            if !is_full(&error) {
                return Err(error);
            }
            // The others can be made again; those in use stay so until they are not.
            self.remove_all()?;
            if let Err(error) = write(&partial) {
                let _ = fs::remove_file(&partial);
                return Err(error);
            }
        }
        if digest()? != source.digest {
            fs::remove_file(&partial).map_err(InferenceError::io("remove", &partial))?;
            let folder = source.folder.to_owned();
            return Err(InferenceError::Changing { folder });
        }
        fs::rename(&partial, &path).map_err(InferenceError::io("rename", &partial))?;
        Ok(path)
    }

    fn remove_all(&self) -> Result<(), InferenceError> {
        let remove = || -> io::Result<()> {
            for entry in fs::read_dir(&self.folder)? {
                let path = entry?.path();
                if path.extension().is_some_and(|it| it == "gguf") {
                    fs::remove_file(path)?;
                }
            }
            Ok(())
        };
        remove().map_err(InferenceError::io("make room in", &self.folder))
    }
}

/// Whether the disk's being full is what an error comes of.
fn is_full(error: &InferenceError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            )
        {
            return true;
        }
        cause = error.source();
    }
    false
}

fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_partial = path.extension().is_some_and(|it| it == "partial");
        if is_partial && age(&path)? > ABANDONED {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Returns how long ago a file was written to; zero where that is in the future.
fn age(path: &Path) -> io::Result<Duration> {
    let written = fs::metadata(path)?.modified()?;
    Ok(written.elapsed().unwrap_or_default())
}

/// What a file is made from.
struct Source<'a> {
    kind: String,
    folder: &'a Path,
    digest: Digest,
}

impl Source<'_> {
    fn file_name(&self) -> String {
        let digest = self.digest.to_string();
        let hex = digest.strip_prefix("sha256:").unwrap_or(&digest);
        format!("{}-{hex}-v{FORMAT}.gguf", self.kind)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_costs_the_other_files_and_leaves_nothing_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let files = ConvertedFiles::open(folder.path(), WeightType::F32).unwrap();
        let other = folder.path().join("other.gguf");
        fs::write(&other, "content").unwrap();
        let source = Source {
            kind: "model".to_owned(),
            folder: Path::new("/models/a"),
            digest: Digest::of_bytes(b"a"),
        };
        let digest = || Ok(Digest::of_bytes(b"a"));
        let full = |path: &Path| {
            let full = io::Error::from(ErrorKind::StorageFull);
            Err(InferenceError::io("write", path)(full))
        };
        // Room comes of the other file.
        let while_there_is_another = |path: &Path| {
            fs::write(path, "half").unwrap();
            if other.exists() { full(path) } else { Ok(()) }
        };
        let path = files.file(&source, digest, while_there_is_another).unwrap();
        fs::remove_file(path).unwrap();
        let always = |path: &Path| {
            fs::write(path, "half").unwrap();
            full(path)
        };
        let error = files.file(&source, digest, always).unwrap_err();
        assert!(is_full(&error), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_made_from_a_folder_that_changed_meanwhile_gets_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let files = ConvertedFiles::open(folder.path(), WeightType::F32).unwrap();
        let source = Source {
            kind: "model".to_owned(),
            folder: Path::new("/models/a"),
            digest: Digest::of_bytes(b"before"),
        };
        let write =
            |path: &Path| fs::write(path, "content").map_err(InferenceError::io("write", path));
        let error = files
            .file(&source, || Ok(Digest::of_bytes(b"after")), write)
            .unwrap_err();
        assert!(error.to_string().contains("`/models/a` changed"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let path = files
            .file(&source, || Ok(Digest::of_bytes(b"before")), write)
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "content");
        let again = files.file(&source, || panic!("it is there"), |_| panic!("it is there"));
        assert_eq!(again.unwrap(), path);
    }
}
