use std::{num::NonZeroUsize, path::Path, thread::available_parallelism};

use llmopt_artifact::Gpt2Config;
use llmopt_dataset::{DatasetError, ReadOptions};
use llmopt_domain::{LessonKind, Overlong};
use llmopt_preparation::{
    EncodedRow, ModelLimits, PreparationError, TokenMeasurements, TokenOptions, TokenReport,
    TokenStatistics, encode_rows,
};
use llmopt_tokenization::{EncodedExample, Encoder};

use crate::{DatasetSource, ResolvedModel, ServiceError};

/// What a row must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenLimits {
    /// Longest row in tokens.
    pub(crate) max_length: usize,
    /// What happens to longer ones.
    pub(crate) overlong: Overlong,
    /// The model's vocabulary size.
    pub(crate) vocabulary: usize,
}

/// Returns what a [`token_report`] for `model` goes by, where rows of at most `max_length` tokens are trained on: at
/// most, and where it is absent, as many as the model takes.
///
/// # Errors
/// [`ServiceError::Artifact`].
pub fn token_options(
    model: &ResolvedModel,
    max_length: Option<usize>,
) -> Result<TokenOptions, ServiceError> {
    let config = Gpt2Config::read(&model.path)?;
    let context = config.n_positions;
    let mut options = TokenOptions::of(ModelLimits {
        context,
        vocabulary: config.vocab_size,
    });
    options.max_length = max_length.map_or(context, |length| length.min(context));
    Ok(options)
}

/// Tokenizes every row of `dataset`, and says what that tells of it.
///
/// `None` where a row is broken: validation says which, and what is counted without it would be something else.
///
/// # Errors
/// [`ServiceError::Dataset`] if the dataset cannot be read.
pub fn token_report(
    dataset: &DatasetSource,
    encoder: &Encoder,
    options: &TokenOptions,
) -> Result<Option<TokenReport>, ServiceError> {
    let read = dataset.options();
    match llmopt_preparation::token_report(&dataset.path, &read, encoder, threads(), options) {
        Ok(report) => Ok(Some(report)),
        Err(PreparationError::Dataset(DatasetError::Content(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Tokenizes every row of the dataset at `path`, read as `options` say, and counts.
///
/// # Errors
/// If the dataset cannot be read, or a row cannot be tokenized.
pub fn token_statistics(
    path: &Path,
    options: &ReadOptions,
    encoder: &Encoder,
    max_length: usize,
) -> Result<TokenStatistics, ServiceError> {
    let mut measurements = TokenMeasurements::new(encoder.vocabulary_size(), max_length);
    each_row(path, options, encoder, |row| {
        measurements.add(&row);
        Ok(())
    })?;
    Ok(measurements.statistics())
}

/// Tokenizes every row and refuses what cannot be trained on, with the numbers of all rows concerned.
pub(crate) fn check_tokens(
    path: &Path,
    options: &ReadOptions,
    encoder: &Encoder,
    limits: TokenLimits,
) -> Result<TokenStatistics, ServiceError> {
    let mut measurements = TokenMeasurements::new(encoder.vocabulary_size(), limits.max_length);
    let (mut overlong, mut unlabelled) = (Vec::new(), Vec::new());
    each_row(path, options, encoder, |row| {
        check_row(path, &row, limits.vocabulary)?;
        measurements.add(&row);
        // A text is cut into sequences, which lose nothing.
        let is_text = row.is_text();
        let EncodedRow {
            number, encoded, ..
        } = row;
        if encoded.trainable_tokens() == 0 {
            unlabelled.push(number);
        }
        if encoded.ids.len() > limits.max_length && !is_text {
            overlong.push(number);
        }
        Ok(())
    })?;
    let statistics = measurements.statistics();
    let path = path.to_owned();
    if !unlabelled.is_empty() {
        return Err(ServiceError::NothingToLearn {
            path,
            rows: unlabelled,
        });
    }
    let is_all = statistics.kept_rows() == 0;
    if !overlong.is_empty() && (limits.overlong == Overlong::Error || is_all) {
        return Err(ServiceError::Overlong {
            path,
            rows: overlong,
            limit: limits.max_length,
            longest: statistics.row.max,
        });
    }
    Ok(statistics)
}

/// Refuses a row that ends it all at once: of another lesson, or with a token that the model does not have.
fn check_row(path: &Path, row: &EncodedRow, vocabulary: usize) -> Result<(), ServiceError> {
    let kind = row.sample.lesson.kind();
    if !matches!(kind, LessonKind::Responses | LessonKind::Text) {
        let path = path.to_owned();
        return Err(DatasetError::OtherLesson { path, kind }.into());
    }
    check_vocabulary(path, row.number, &row.encoded, vocabulary)
}

fn threads() -> NonZeroUsize {
    available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Tokenizes every row of the dataset at `path` on all cores.
pub(crate) fn each_row(
    path: &Path,
    options: &ReadOptions,
    encoder: &Encoder,
    each: impl FnMut(EncodedRow) -> Result<(), ServiceError>,
) -> Result<(), ServiceError> {
    encode_rows(path, options, encoder, threads(), each)
}

fn check_vocabulary(
    path: &Path,
    row: u64,
    encoded: &EncodedExample,
    vocabulary: usize,
) -> Result<(), ServiceError> {
    match encoded.ids.iter().find(|&&id| id as usize >= vocabulary) {
        Some(&id) => Err(ServiceError::Vocabulary {
            path: path.to_owned(),
            row,
            id,
            vocabulary,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
