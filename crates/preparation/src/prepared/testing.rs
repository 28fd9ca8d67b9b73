//! What several tests of prepared datasets need.

use std::{
    fs,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use llmopt_dataset::ReadOptions;
use llmopt_tokenization::{Encoder, train_bpe};
use tempfile::TempDir;

use super::{
    Existing, FilesError, Manifest, PrepareOptions, PreparedRow, Preparing, read_prepared,
    tokenize_dataset,
};

/// A folder of its own with a dataset and a tokenizer.
pub(super) struct Workplace {
    folder: TempDir,
    pub(super) dataset: PathBuf,
    pub(super) read: ReadOptions,
    pub(super) encoder: Encoder,
    pub(super) options: PrepareOptions,
    pub(super) threads: NonZeroUsize,
}

fn trained(folder: &Path, size: usize) -> Encoder {
    let text = "how much is it, it is so much";
    train_bpe([text.to_owned()].into_iter(), size, folder).unwrap();
    Encoder::open(folder, None).unwrap()
}

impl Workplace {
    /// Makes one of so many rows.
    pub(super) fn new(rows: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self {
            dataset: folder.path().join("rows.jsonl"),
            read: ReadOptions::default(),
            encoder: trained(folder.path(), 270),
            options: PrepareOptions::default(),
            threads: NonZeroUsize::new(2).unwrap(),
            folder,
        };
        place.write_rows(rows);
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write_rows(&self, count: usize) {
        let line = |i| {
            format!("{{\"prompt\": \"how much is {i} or {i}\", \"response\": \"it is {i}\"}}\n")
        };
        fs::write(&self.dataset, (1..=count).map(line).collect::<String>()).unwrap();
    }

    pub(super) fn use_template(&mut self, source: &str) {
        self.encoder = Encoder::open(self.folder.path(), Some(source)).unwrap();
    }

    pub(super) fn train_tokenizer(&mut self, size: usize) {
        self.encoder = trained(self.folder.path(), size);
    }

    pub(super) fn preparing(&self) -> Preparing<'_> {
        Preparing {
            dataset: &self.dataset,
            read: &self.read,
            encoder: &self.encoder,
            options: self.options,
            threads: self.threads,
        }
    }

    pub(super) fn tokenize(&self, name: &str) -> Result<Manifest, FilesError> {
        let mut go_on = |_| ControlFlow::Continue(());
        tokenize_dataset(
            &self.preparing(),
            &self.path(name),
            Existing::Keep,
            &mut go_on,
        )
    }

    /// The rows of a prepared dataset.
    pub(super) fn rows(&self, name: &str) -> Vec<PreparedRow> {
        let prepared = read_prepared(&self.path(name)).unwrap();
        prepared.rows().map(Result::unwrap).collect()
    }

    /// The names in the folder, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}
