//! A dataset's rows as files to train on, to validate with and to test with, and what of the held-out rows training
//! sees all the same.

mod leaks;
mod shares;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write as _},
    ops::ControlFlow,
    path::Path,
};

use llmopt_dataset::{ReadOptions, ReadPosition, RowKey, Split, open, read_samples_at, split};
use llmopt_domain::Digest;
use serde::Serialize;

pub use leaks::{FoundLeak, LeakReport, find_leaks};
pub use shares::SplitShares;

use crate::{
    Existing, FilesError, PreparationError, Progress,
    prepared::{Staged, Stamp, Watcher, check_free, records, write_json},
};
use leaks::Held;

/// Rows after which progress is told.
const TOLD_ROWS: u64 = 1_024;

/// What is in the folder beside the rows.
const DESCRIPTION: &str = "split.json";

/// How a dataset is divided.
#[derive(Clone, Debug)]
pub struct Splitting<'a> {
    /// The dataset's file.
    pub dataset: &'a Path,
    /// How it is read.
    pub read: &'a ReadOptions,
    /// How many of all rows each split has.
    pub shares: SplitShares,
    /// What the choice of rows follows from.
    pub seed: u64,
}

/// What a division came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitReport {
    /// The digest of the dataset's file.
    pub dataset: Digest,
    /// What the choice of rows followed from.
    pub seed: u64,
    /// The shares that were asked for.
    pub shares: SplitShares,
    /// The files, by split.
    pub splits: BTreeMap<&'static str, SplitFile>,
    /// Held-out rows that are nearly the same as one that is trained on.
    pub leaks: LeakReport,
}

/// The rows of one split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SplitFile {
    /// The name of the file in the folder.
    pub file: String,
    /// Its rows.
    pub rows: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// Returns what a split is called.
fn name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Validation => "validation",
        Split::Test => "test",
    }
}

/// Divides a dataset by a seed into `train.jsonl`, `validation.jsonl` and `test.jsonl` in the new folder `output`,
/// those that have a share, with the same columns; `split.json` beside them says how it was done.
///
/// Rows that say the same go to one split. What is nearly the same may not, and is told. Keeps 152 bytes of each
/// row. `progress` is told now and then how far it is, and stops it with [`ControlFlow::Break`].
///
/// # Errors
/// [`FilesError::Preparation`] if the dataset cannot be read or a row is broken, [`FilesError::Exists`] if there is
/// something at `output`, [`FilesError::EmptySplit`] if there are too few rows, and [`FilesError::Stopped`].
pub fn split_dataset(
    splitting: &Splitting<'_>,
    output: &Path,
    progress: &mut Watcher<'_>,
) -> Result<SplitReport, FilesError> {
    check_free(output, Existing::Keep)?;
    let before = Stamp::of(splitting.dataset)?;
    let dataset = llmopt_dataset::digest(splitting.dataset).map_err(PreparationError::from)?;
    let mut pace = Pace::new(before.size_bytes, progress);
    let keys = read_keys(splitting, &mut pace)?;
    let splits = split(&keys, splitting.shares.parts(), splitting.seed);
    drop(keys);
    check_rows(splitting, &splits)?;
    let staged = Staged::folder_beside(output)?;
    let folder = staged.folder().unwrap_or(output);
    let (rows, leaks) = write_splits(splitting, &splits, folder, &mut pace)?;
    if Stamp::of(splitting.dataset)? != before {
        let path = splitting.dataset.to_owned();
        return Err(FilesError::DatasetChanged { path });
    }
    let report = SplitReport {
        dataset,
        seed: splitting.seed,
        shares: splitting.shares,
        splits: described(folder, &rows)?,
        leaks,
    };
    let description = folder.join(DESCRIPTION);
    write_json(&description, &report).map_err(|error| FilesError::write(description, error))?;
    staged.publish(output, Existing::Keep)?;
    Ok(report)
}

/// Tells of two passes over a file.
struct Pace<'a, 'b> {
    rows: u64,
    size_bytes: u64,
    progress: &'a mut Watcher<'b>,
}

impl<'a, 'b> Pace<'a, 'b> {
    fn new(size_bytes: u64, progress: &'a mut Watcher<'b>) -> Self {
        Self {
            rows: 0,
            size_bytes,
            progress,
        }
    }

    /// Says that a row was read, up to `bytes` of what both passes read.
    fn row(&mut self, bytes: u64) -> Result<(), FilesError> {
        self.rows += 1;
        let told = Progress {
            rows: self.rows,
            bytes,
            total_bytes: 2 * self.size_bytes,
        };
        match self.rows % TOLD_ROWS {
            0 if (self.progress)(told) == ControlFlow::Break(()) => Err(FilesError::Stopped),
            _ => Ok(()),
        }
    }
}

fn read_keys(
    splitting: &Splitting<'_>,
    pace: &mut Pace<'_, '_>,
) -> Result<Vec<RowKey>, FilesError> {
    let position = ReadPosition::default();
    let mut keys = Vec::new();
    let rows = read_samples_at(splitting.dataset, splitting.read, &position);
    for row in rows.map_err(PreparationError::from)? {
        let (_, sample) = row.map_err(PreparationError::from)?;
        keys.push(RowKey::of(&sample.conversation));
        pace.row(position.bytes())?;
    }
    pace.rows = 0;
    Ok(keys)
}

/// Refuses a division that leaves a split empty which has a share.
fn check_rows(splitting: &Splitting<'_>, splits: &[Split]) -> Result<(), FilesError> {
    for split in SPLITS {
        if splitting.shares.has(split) && !splits.contains(&split) {
            return Err(FilesError::EmptySplit {
                path: splitting.dataset.to_owned(),
                split: name(split),
                rows: splits.len() as u64,
            });
        }
    }
    Ok(())
}

/// Writes each row to the file of its split; returns how many there are of each, and what leaks.
fn write_splits(
    splitting: &Splitting<'_>,
    splits: &[Split],
    folder: &Path,
    pace: &mut Pace<'_, '_>,
) -> Result<(BTreeMap<&'static str, u64>, LeakReport), FilesError> {
    let mut files = Files::create(folder, splitting.shares)?;
    let mut held = Held::default();
    let position = ReadPosition::default();
    let samples = read_samples_at(splitting.dataset, splitting.read, &position);
    let samples = samples.map_err(PreparationError::from)?;
    // Under the names that they have in the file: what is split is read as the file was.
    let rows = open(splitting.dataset).map_err(PreparationError::from)?;
    for ((row, sample), split) in rows.zip(samples).zip(splits) {
        let row = row.map_err(PreparationError::from)?;
        let (number, sample) = sample.map_err(PreparationError::from)?;
        files.write(*split, &row.fields)?;
        held.add(*split, number, &sample.conversation);
        pace.row(pace.size_bytes + position.bytes())?;
    }
    let rows = files.finish()?;
    Ok((rows, held.leaks()))
}

/// The files of the splits, as they grow.
struct Files {
    files: BTreeMap<&'static str, (BufWriter<File>, u64)>,
}

impl Files {
    fn create(folder: &Path, shares: SplitShares) -> Result<Self, FilesError> {
        let mut files = BTreeMap::new();
        for split in SPLITS.into_iter().filter(|split| shares.has(*split)) {
            let path = folder.join(file_name(name(split)));
            let file = File::create(&path).map_err(|error| FilesError::write(path, error))?;
            files.insert(name(split), (BufWriter::new(file), 0));
        }
        Ok(Self { files })
    }

    fn write(&mut self, split: Split, row: &impl Serialize) -> Result<(), FilesError> {
        let name = name(split);
        let Some((file, rows)) = self.files.get_mut(name) else {
            return Ok(());
        };
        *rows += 1;
        let written = serde_json::to_writer(&mut *file, row).map_err(io::Error::from);
        let written = written.and_then(|()| file.write_all(b"\n"));
        written.map_err(|error| FilesError::write(file_name(name), error))
    }

    fn finish(self) -> Result<BTreeMap<&'static str, u64>, FilesError> {
        let mut counts = BTreeMap::new();
        for (name, (file, rows)) in self.files {
            let written = file.into_inner().map_err(io::IntoInnerError::into_error);
            let written = written.and_then(|file| file.sync_all());
            written.map_err(|error| FilesError::write(file_name(name), error))?;
            counts.insert(name, rows);
        }
        Ok(counts)
    }
}

fn file_name(split: &str) -> String {
    format!("{split}.jsonl")
}

/// Returns what the files of `folder` are.
fn described(
    folder: &Path,
    rows: &BTreeMap<&'static str, u64>,
) -> Result<BTreeMap<&'static str, SplitFile>, FilesError> {
    let records = records(folder).map_err(|error| FilesError::read(folder, error))?;
    let file = |(split, rows): (&&'static str, &u64)| {
        let file = file_name(split);
        let record = records.iter().find(|record| record.name == file)?;
        let digest = record.digest.clone();
        Some((
            *split,
            SplitFile {
                file,
                rows: *rows,
                digest,
            },
        ))
    };
    Ok(rows.iter().filter_map(file).collect())
}
