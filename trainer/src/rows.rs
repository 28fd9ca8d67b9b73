use std::path::Path;

use llmopt_dataset::{DatasetError, read_samples};
use llmopt_domain::{ColumnMap, Conversation, LessonKind, Overlong, Sample};
use llmopt_tokenization::{EncodedExample, Encoder};

use crate::TrainerError;

/// A dataset's row, or a sequence of a text's tokens, ready to train on or to be evaluated.
#[derive(Debug)]
pub(crate) struct Row {
    /// Counted from 1.
    pub(crate) number: u64,
    /// What it says; nothing in a sequence that is not its text's first.
    pub(crate) sample: Sample,
    pub(crate) encoded: EncodedExample,
}

/// What a row must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Longest row in tokens.
    pub(crate) max_length: usize,
    pub(crate) overlong: Overlong,
    /// The model's vocabulary size.
    pub(crate) vocabulary: usize,
}

/// The rows of a dataset, and how many were left out.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    pub(crate) dropped: u64,
}

impl Rows {
    /// Reads and tokenizes the dataset at `path`, whose columns are mapped so.
    pub(crate) fn load(
        path: &Path,
        columns: &ColumnMap,
        encoder: &Encoder,
        limits: Limits,
    ) -> Result<Self, TrainerError> {
        let mut loading = Loading::default();
        for sample in read_samples(path, &columns.clone().into())? {
            let (number, sample) = sample?;
            let encoded = encoder
                .encode_sample(&sample)
                .map_err(|source| TrainerError::Row {
                    path: path.to_owned(),
                    row: number,
                    source,
                })?;
            let row = Row {
                number,
                sample,
                encoded,
            };
            check(path, &row, limits.vocabulary)?;
            loading.add(row, limits.max_length);
        }
        loading.finish(path, limits)
    }

    /// Returns the tokens of all rows, prompts included.
    pub(crate) fn tokens(&self) -> u64 {
        self.rows
            .iter()
            .map(|row| row.encoded.ids.len() as u64)
            .sum()
    }

    /// Returns the tokens with loss.
    pub(crate) fn labels(&self) -> u64 {
        self.rows
            .iter()
            .map(|row| row.encoded.trainable_tokens() as u64)
            .sum()
    }
}

/// The rows that were read so far.
#[derive(Default)]
struct Loading {
    kept: Vec<Row>,
    overlong: Vec<u64>,
    longest: usize,
}

impl Loading {
    fn add(&mut self, row: Row, max_length: usize) {
        let length = row.encoded.ids.len();
        if row.sample.lesson.kind() == LessonKind::Text {
            self.kept.extend(sequences(row, max_length));
        } else if length > max_length {
            self.longest = self.longest.max(length);
            self.overlong.push(row.number);
        } else {
            self.kept.push(row);
        }
    }

    fn finish(self, path: &Path, limits: Limits) -> Result<Rows, TrainerError> {
        if limits.overlong == Overlong::Error && !self.overlong.is_empty() {
            return Err(TrainerError::Overlong {
                path: path.to_owned(),
                rows: self.overlong,
                limit: limits.max_length,
                longest: self.longest,
            });
        }
        let rows = Rows {
            rows: self.kept,
            dropped: self.overlong.len() as u64,
        };
        match rows.labels() {
            0 => Err(TrainerError::NothingToTrain {
                path: path.to_owned(),
                rows: rows.rows.len(),
                labels: 0,
            }),
            _ => Ok(rows),
        }
    }
}

/// Refuses a row that ends it all at once: of another lesson, or with a token that the model does not have.
fn check(path: &Path, row: &Row, vocabulary: usize) -> Result<(), TrainerError> {
    let kind = row.sample.lesson.kind();
    if !matches!(kind, LessonKind::Responses | LessonKind::Text) {
        let path = path.to_owned();
        return Err(DatasetError::OtherLesson { path, kind }.into());
    }
    let mut ids = row.encoded.ids.iter();
    match ids.find(|&&id| id as usize >= vocabulary) {
        Some(&id) => Err(TrainerError::Vocabulary {
            row: row.number,
            id,
            vocabulary,
        }),
        None => Ok(()),
    }
}

/// Cuts a text into the sequences that it is trained in.
fn sequences(row: Row, max_length: usize) -> impl Iterator<Item = Row> {
    let (number, lesson) = (row.number, row.sample.lesson.clone());
    let mut first = Some(row.sample);
    let rest = move || Sample {
        conversation: Conversation::new(Vec::new()),
        lesson: lesson.clone(),
    };
    let sequences = row.encoded.sequences(max_length).into_iter();
    sequences.map(move |encoded| Row {
        number,
        sample: first.take().unwrap_or_else(&rest),
        encoded,
    })
}
