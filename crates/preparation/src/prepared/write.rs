use std::{
    fs::{self, File},
    num::NonZeroUsize,
    ops::ControlFlow,
    path::Path,
    time::SystemTime,
};

use llmopt_dataset::{DatasetError, ReadOptions, ReadPosition, read_samples_at};
use llmopt_domain::LessonKind;
use llmopt_tokenization::Encoder;
use serde_json::json;

use super::{
    Existing, FilesError, Inputs, Manifest, PrepareOptions, PreparedFormat, PreparedRow, Summary,
    columns::{Group, Header, features, schema},
    manifest::{FORMAT_VERSION, records, write_json},
    output::{ARROW_FILE, Staged, check_free},
    shape::{Shape, Shaped},
    sink::Sink,
};
use crate::{EncodedRow, PreparationError, encode::encode_samples};

/// Rows after which progress is told.
const TOLD_ROWS: u64 = 256;

/// What is prepared, and how.
#[derive(Clone, Copy)]
pub struct Preparing<'a> {
    /// The dataset's file.
    pub dataset: &'a Path,
    /// How it is read.
    pub read: &'a ReadOptions,
    /// Whose tokens and template.
    pub encoder: &'a Encoder,
    /// What rows are made into.
    pub options: PrepareOptions,
    /// How many threads tokenize.
    pub threads: NonZeroUsize,
}

/// How far a preparation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The rows that were tokenized.
    pub rows: u64,
    /// The bytes of the dataset's file that were read.
    pub bytes: u64,
    /// Its size.
    pub total_bytes: u64,
}

/// Whom progress is told, and who may stop it.
pub(crate) type Watcher<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Writes the rows of a dataset, as tokens, to `output`: a folder, or one file where that ends in `.parquet` and is
/// to be Parquet. Takes constant memory; the same inputs give the same bytes, whatever the number of threads.
///
/// Either everything is there in the end or nothing, whatever happens in between. `progress` is told now and then
/// how far it is, and stops it with [`ControlFlow::Break`].
///
/// # Errors
/// [`FilesError::Preparation`] if the dataset cannot be read or a row cannot be tokenized, and for rows that are
/// preferences or labels of answers, of which tokens keep nothing; [`FilesError::Overlong`],
/// [`FilesError::NothingToLearn`], [`FilesError::Exists`] and their kin; [`FilesError::Stopped`].
pub fn tokenize_dataset(
    preparing: &Preparing<'_>,
    output: &Path,
    existing: Existing,
    progress: &mut Watcher<'_>,
) -> Result<Manifest, FilesError> {
    preparing.options.check()?;
    check_free(output, existing)?;
    let before = Stamp::of(preparing.dataset)?;
    let inputs = Inputs::of(preparing)?;
    let (staged, manifest) = stage(preparing, inputs, (output, before), progress)?;
    staged.publish(output, existing)?;
    Ok(manifest)
}

/// Writes everything under a temporary name beside `output`; `before` is how the dataset was when the digests in
/// `inputs` were taken.
pub(super) fn stage(
    preparing: &Preparing<'_>,
    inputs: Inputs,
    (output, before): (&Path, Stamp),
    progress: &mut Watcher<'_>,
) -> Result<(Staged, Manifest), FilesError> {
    let format = preparing.options.format;
    let staged = Staged::beside(output, format)?;
    let summary = write_rows(preparing, &staged.rows(format), progress)?;
    if Stamp::of(preparing.dataset)? != before {
        let path = preparing.dataset.to_owned();
        return Err(FilesError::DatasetChanged { path });
    }
    let mut manifest = Manifest {
        format_version: FORMAT_VERSION,
        inputs,
        summary,
        files: Vec::new(),
    };
    if let Some(folder) = staged.folder() {
        if format == PreparedFormat::Arrow {
            write_description(folder, &manifest)?;
        }
        let files = records(folder);
        manifest.files = files.map_err(|error| FilesError::read(folder, error))?;
        manifest.write(folder)?;
    }
    Ok((staged, manifest))
}

/// Tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size_bytes: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Result<Self, FilesError> {
        let metadata = fs::metadata(path).map_err(|source| {
            let path = path.to_owned();
            PreparationError::from(DatasetError::Read { path, source })
        })?;
        Ok(Self {
            size_bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

/// Writes what makes a folder one that `datasets.load_from_disk` opens.
fn write_description(folder: &Path, manifest: &Manifest) -> Result<(), FilesError> {
    let key = manifest.inputs.key();
    let info = json!({
        "citation": "",
        "description": "",
        "features": features(),
        "homepage": "",
        "license": "",
    });
    let state = json!({
        "_data_files": [{"filename": ARROW_FILE}],
        "_fingerprint": key.short(),
        "_format_columns": null,
        "_format_kwargs": {},
        "_format_type": null,
        "_output_all_columns": false,
        "_split": null,
    });
    for (name, value) in [("dataset_info.json", info), ("state.json", state)] {
        let path = folder.join(name);
        write_json(&path, &value).map_err(|error| FilesError::write(path, error))?;
    }
    Ok(())
}

fn write_rows(
    preparing: &Preparing<'_>,
    path: &Path,
    progress: &mut Watcher<'_>,
) -> Result<Summary, FilesError> {
    let mut writing = Writing::new(preparing, path)?;
    let (position, total_bytes) = (
        ReadPosition::default(),
        Stamp::of(preparing.dataset)?.size_bytes,
    );
    let samples = read_samples_at(preparing.dataset, preparing.read, &position);
    let samples = samples.map_err(PreparationError::from)?;
    let (encoder, threads) = (preparing.encoder, preparing.threads);
    let mut rows = 0;
    encode_samples(preparing.dataset, samples, encoder, threads, |row| {
        rows += 1;
        writing.row(&row?)?;
        let told = Progress {
            rows,
            bytes: position.bytes(),
            total_bytes,
        };
        match rows % TOLD_ROWS {
            0 if progress(told).is_break() => Err(FilesError::Stopped),
            _ => Ok(()),
        }
    })?;
    writing.finish()
}

/// Rows on their way into a file.
struct Writing<'a> {
    dataset: &'a Path,
    path: &'a Path,
    shape: Shape,
    sink: Sink,
    group: Group,
    summary: Summary,
    overlong: Vec<u64>,
    unlabelled: Vec<u64>,
    /// The longest row of the dataset.
    longest: usize,
}

impl<'a> Writing<'a> {
    fn new(preparing: &Preparing<'a>, path: &'a Path) -> Result<Self, FilesError> {
        let options = preparing.options;
        let pad_id = preparing.encoder.pad_token_id();
        let header = Header {
            format_version: FORMAT_VERSION,
            options,
            pad_id,
        };
        let schema = schema(&header).map_err(|error| FilesError::write(path, error))?;
        let file = File::create(path).map_err(|error| FilesError::write(path, error))?;
        let sink = Sink::new(file, options.format, schema.clone());
        Ok(Self {
            dataset: preparing.dataset,
            path,
            shape: Shape { options, pad_id },
            sink: sink.map_err(|error| FilesError::write(path, error))?,
            group: Group::new(schema),
            summary: Summary::default(),
            overlong: Vec::new(),
            unlabelled: Vec::new(),
            longest: 0,
        })
    }

    fn row(&mut self, row: &EncodedRow) -> Result<(), FilesError> {
        check_lesson(self.dataset, row)?;
        self.longest = self.longest.max(row.encoded.ids.len());
        match self.shape.of(row) {
            Shaped::Whole(row) => return self.add(&row),
            Shaped::Cut(row) => {
                self.summary.truncated_rows += 1;
                return self.add(&row);
            }
            Shaped::CutToNothing => self.summary.emptied_rows += 1,
            Shaped::TooLong => self.overlong.push(row.number),
            Shaped::WithoutLoss => self.unlabelled.push(row.number),
        }
        Ok(())
    }

    fn add(&mut self, row: &PreparedRow) -> Result<(), FilesError> {
        let summary = &mut self.summary;
        let tokens = row.tokens() as u64;
        summary.rows += 1;
        summary.tokens += tokens;
        summary.trainable_tokens += row.trainable_tokens() as u64;
        summary.padding_tokens += row.input_ids.len() as u64 - tokens;
        summary.longest = summary.longest.max(tokens);
        self.group.push(row);
        match self.group.is_full() {
            true => self.write_group(),
            false => Ok(()),
        }
    }

    fn write_group(&mut self) -> Result<(), FilesError> {
        let group = self.group.finish().map_err(std::io::Error::other);
        let written = group.and_then(|group| self.sink.write(&group));
        written.map_err(|error| FilesError::write(self.path, error))
    }

    fn finish(mut self) -> Result<Summary, FilesError> {
        self.refuse()?;
        if !self.group.is_empty() {
            self.write_group()?;
        }
        self.summary.dropped_rows = self.overlong.len() as u64;
        let finished = self.sink.finish();
        finished.map_err(|error| FilesError::write(self.path, error))?;
        Ok(self.summary)
    }

    /// Refuses a dataset of which rows cannot be written, and one of which nothing is left.
    fn refuse(&mut self) -> Result<(), FilesError> {
        let path = self.dataset.to_owned();
        if !self.unlabelled.is_empty() {
            let rows = std::mem::take(&mut self.unlabelled);
            return Err(FilesError::NothingToLearn { path, rows });
        }
        let is_refused = self.shape.options.overlong == super::LongRows::Error;
        if !self.overlong.is_empty() && (is_refused || self.summary.rows == 0) {
            return Err(FilesError::Overlong {
                path,
                rows: std::mem::take(&mut self.overlong),
                limit: self.shape.options.max_length.map_or(0, NonZeroUsize::get),
                longest: self.longest,
            });
        }
        match self.summary.rows {
            0 => Err(FilesError::NothingToLearn {
                path,
                rows: Vec::new(),
            }),
            _ => Ok(()),
        }
    }
}

/// Refuses rows of which tokens and labels do not say what is to be learnt.
fn check_lesson(dataset: &Path, row: &EncodedRow) -> Result<(), FilesError> {
    let kind = row.sample.lesson.kind();
    match kind {
        LessonKind::Responses | LessonKind::Text => Ok(()),
        LessonKind::Preference | LessonKind::Label => {
            let path = dataset.to_owned();
            Err(PreparationError::from(DatasetError::OtherLesson { path, kind }).into())
        }
    }
}

#[cfg(test)]
mod tests;
