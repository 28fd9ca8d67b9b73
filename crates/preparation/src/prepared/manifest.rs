use std::{collections::BTreeMap, fs, io, path::Path};

use llmopt_dataset::digest;
use llmopt_domain::{ColumnMap, Digest};
use llmopt_tokenization::Encoder;
use serde::{Deserialize, Serialize};

use super::{FilesError, PrepareOptions, Preparing};
use crate::PreparationError;

/// What this release writes. A file of the same inputs that another release writes otherwise has another number.
pub(super) const FORMAT_VERSION: u32 = 1;

/// The file beside the rows that says what they are.
pub(super) const MANIFEST: &str = "manifest.json";

/// What lies in the folder of a prepared dataset, and what it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// How the files are laid out.
    pub format_version: u32,
    /// What they were made from.
    pub inputs: Inputs,
    /// What came out.
    pub summary: Summary,
    /// The other files of the folder.
    pub files: Vec<FileRecord>,
}

/// Everything that prepared rows depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The digest of the dataset's file.
    pub dataset: Digest,
    /// What the file's name ends with, from its first dot on: it decides how some files are read.
    pub suffix: String,
    /// The digests of the tokenizer's files and of the chat template, as they would be published.
    pub tokenizer: BTreeMap<String, Digest>,
    /// Which columns stand for those that are recognised.
    #[serde(default, skip_serializing_if = "ColumnMap::is_empty")]
    pub columns: ColumnMap,
    /// What rows are made into.
    pub options: PrepareOptions,
    /// The release that read and tokenized them.
    pub code_version: String,
}

/// What a preparation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The rows that were written.
    pub rows: u64,
    /// Rows that were left out because they are too long.
    pub dropped_rows: u64,
    /// Rows whose ends were cut off.
    pub truncated_rows: u64,
    /// Rows that were left out because nothing to learn was left when their ends were cut off.
    pub emptied_rows: u64,
    /// The tokens that were written, without padding.
    pub tokens: u64,
    /// Those that carry loss.
    pub trainable_tokens: u64,
    /// The padding.
    pub padding_tokens: u64,
    /// The longest row that was written, without padding.
    pub longest: u64,
}

/// A file of a prepared dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name in the folder.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

impl Inputs {
    /// Takes the digests of everything that the rows of `dataset` depend on.
    pub(super) fn of(preparing: &Preparing<'_>) -> Result<Self, FilesError> {
        let Preparing {
            dataset,
            read,
            encoder,
            options,
            ..
        } = *preparing;
        let digest = digest(dataset).map_err(PreparationError::from)?;
        let name = dataset.file_name().unwrap_or_default().to_string_lossy();
        let suffix = name.split_once('.').map_or("", |(_, suffix)| suffix);
        Ok(Self {
            dataset: digest,
            suffix: suffix.to_lowercase(),
            tokenizer: tokenizer_digests(encoder)?,
            columns: read.columns.clone(),
            options,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// Returns the digest that stands for all of them.
    pub fn key(&self) -> Digest {
        // Strings, numbers and digests always are JSON.
        let json = serde_json::to_vec(&(FORMAT_VERSION, self)).unwrap_or_default();
        Digest::of_bytes(&json)
    }
}

/// Returns the digests of the files that a published model would have of `encoder`, from which the same ids are
/// given: so they change when ids may.
fn tokenizer_digests(encoder: &Encoder) -> Result<BTreeMap<String, Digest>, FilesError> {
    let folder =
        tempfile::tempdir().map_err(|error| FilesError::write(tempfile::env::temp_dir(), error))?;
    encoder.save(folder.path()).map_err(FilesError::Tokenizer)?;
    let digests = records(folder.path()).map_err(|error| FilesError::read(folder.path(), error))?;
    let digests = digests.into_iter().map(|file| (file.name, file.digest));
    Ok(digests.collect())
}

/// Returns the files of a folder, by name.
pub(crate) fn records(folder: &Path) -> io::Result<Vec<FileRecord>> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        records.push(FileRecord {
            name: entry.file_name().to_string_lossy().into_owned(),
            size_bytes: entry.metadata()?.len(),
            digest: Digest::of_reader(fs::File::open(entry.path())?)?,
        });
    }
    records.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(records)
}

impl Manifest {
    pub(super) fn read(folder: &Path) -> Result<Self, FilesError> {
        let path = folder.join(MANIFEST);
        let bytes = fs::read(&path).map_err(|error| FilesError::read(&path, error))?;
        serde_json::from_slice(&bytes).map_err(|error| FilesError::Damaged {
            path: folder.to_owned(),
            what: format!("its {MANIFEST} is not what is written there ({error})"),
        })
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), FilesError> {
        let path = folder.join(MANIFEST);
        write_json(&path, self).map_err(|error| FilesError::write(path, error))
    }

    /// Checks that the files of `folder` are those that the manifest names.
    pub(super) fn check(&self, folder: &Path) -> Result<(), FilesError> {
        let damaged = |what| FilesError::Damaged {
            path: folder.to_owned(),
            what,
        };
        for file in &self.files {
            let path = folder.join(&file.name);
            let digest = match fs::File::open(&path).and_then(Digest::of_reader) {
                Ok(digest) => digest,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(damaged(format!("`{}` is missing", file.name)));
                }
                Err(error) => return Err(FilesError::read(path, error)),
            };
            if digest != file.digest {
                return Err(damaged(format!("`{}` is not what was written", file.name)));
            }
        }
        Ok(())
    }
}

/// Writes a value as JSON that people can read, and waits until it is on the disk.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    serde_json::to_writer_pretty(&mut file, value)?;
    file.sync_all()
}
