use std::{num::NonZeroUsize, path::Path, thread::available_parallelism};

use llmopt_dataset::{DatasetError, ReadOptions};
use llmopt_domain::{LessonKind, Overlong};
use llmopt_preparation::{EncodedRow, encode_rows};
use llmopt_tokenization::{EncodedExample, Encoder};
use serde::Serialize;

use crate::ServiceError;

/// What a model's tokenizer makes of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenStatistics {
    /// Rows counted.
    pub rows: u64,
    /// Tokens, prompts included.
    pub tokens: u64,
    /// Tokens with loss.
    pub trainable_tokens: u64,
    /// The shortest row in tokens.
    pub min: usize,
    /// The row in the middle.
    pub median: usize,
    /// Longer than 95 rows in 100.
    pub p95: usize,
    /// The longest row in tokens.
    pub max: usize,
    /// The longest row that is trained on, in tokens.
    pub max_length: usize,
    /// Rows that are longer.
    pub overlong_rows: u64,
    /// How many rows have which length.
    pub histogram: Vec<HistogramBar>,
}

/// The rows whose length lies in one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HistogramBar {
    /// The least length in tokens.
    pub from: usize,
    /// The greatest length in tokens.
    pub to: usize,
    /// The rows.
    pub rows: u64,
}

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
    let mut lengths = Vec::new();
    let mut trainable_tokens = 0;
    each_row(path, options, encoder, |EncodedRow { encoded, .. }| {
        lengths.push(encoded.ids.len());
        trainable_tokens += encoded.trainable_tokens() as u64;
        Ok(())
    })?;
    Ok(TokenStatistics::of_lengths(
        lengths,
        trainable_tokens,
        max_length,
    ))
}

/// Tokenizes every row and refuses what cannot be trained on, with the numbers of all rows concerned.
pub(crate) fn check_tokens(
    path: &Path,
    options: &ReadOptions,
    encoder: &Encoder,
    limits: TokenLimits,
) -> Result<TokenStatistics, ServiceError> {
    let (mut lengths, mut trainable_tokens) = (Vec::new(), 0);
    let (mut overlong, mut unlabelled) = (Vec::new(), Vec::new());
    each_row(
        path,
        options,
        encoder,
        |EncodedRow {
             number,
             sample,
             encoded,
         }| {
            let kind = sample.lesson.kind();
            if kind != LessonKind::Responses {
                let path = path.to_owned();
                return Err(DatasetError::OtherLesson { path, kind }.into());
            }
            check_vocabulary(path, number, &encoded, limits.vocabulary)?;
            lengths.push(encoded.ids.len());
            if encoded.trainable_tokens() == 0 {
                unlabelled.push(number);
            }
            if encoded.ids.len() > limits.max_length {
                overlong.push(number);
            } else {
                trainable_tokens += encoded.trainable_tokens() as u64;
            }
            Ok(())
        },
    )?;
    let path = path.to_owned();
    if !unlabelled.is_empty() {
        return Err(ServiceError::NothingToLearn {
            path,
            rows: unlabelled,
        });
    }
    let dropped = overlong.len() == lengths.len();
    if !overlong.is_empty() && (limits.overlong == Overlong::Error || dropped) {
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let limit = limits.max_length;
        return Err(ServiceError::Overlong {
            path,
            rows: overlong,
            limit,
            longest,
        });
    }
    Ok(TokenStatistics::of_lengths(
        lengths,
        trainable_tokens,
        limits.max_length,
    ))
}

/// Tokenizes every row of the dataset at `path` on all cores.
pub(crate) fn each_row(
    path: &Path,
    options: &ReadOptions,
    encoder: &Encoder,
    each: impl FnMut(EncodedRow) -> Result<(), ServiceError>,
) -> Result<(), ServiceError> {
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    encode_rows(path, options, encoder, threads, each)
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

impl TokenStatistics {
    fn of_lengths(mut lengths: Vec<usize>, trainable_tokens: u64, max_length: usize) -> Self {
        lengths.sort_unstable();
        let at = |share: f64| {
            let last = lengths.len().saturating_sub(1);
            lengths
                .get((last as f64 * share).round() as usize)
                .copied()
                .unwrap_or(0)
        };
        Self {
            rows: lengths.len() as u64,
            tokens: lengths.iter().map(|&length| length as u64).sum(),
            trainable_tokens,
            min: at(0.0),
            median: at(0.5),
            p95: at(0.95),
            max: at(1.0),
            max_length,
            overlong_rows: lengths
                .iter()
                .filter(|&&length| length > max_length)
                .count() as u64,
            histogram: histogram(&lengths),
        }
    }
}

/// Counts lengths, which are sorted, in at most ten ranges of the same width.
fn histogram(lengths: &[usize]) -> Vec<HistogramBar> {
    const BARS: usize = 10;
    let (Some(&min), Some(&max)) = (lengths.first(), lengths.last()) else {
        return Vec::new();
    };
    let width = (max - min + 1).div_ceil(BARS);
    let starts = (min..=max).step_by(width);
    starts
        .map(|from| {
            let to = from + width - 1;
            let rows = lengths.partition_point(|&length| length <= to)
                - lengths.partition_point(|&length| length < from);
            HistogramBar {
                from,
                to,
                rows: rows as u64,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_exactly_one_bar() {
        let lengths: Vec<usize> = (5..=128).collect();
        let statistics = TokenStatistics::of_lengths(lengths, 0, 100);
        let bars = &statistics.histogram;
        assert_eq!(bars.iter().map(|bar| bar.rows).sum::<u64>(), 124);
        assert!(bars.len() <= 10);
        assert!(bars.windows(2).all(|pair| pair[0].to + 1 == pair[1].from));
        assert_eq!(
            (statistics.min, statistics.max, statistics.overlong_rows),
            (5, 128, 28)
        );
    }

    #[test]
    fn one_length_gives_one_bar() {
        let statistics = TokenStatistics::of_lengths(vec![7; 3], 9, 7);
        assert_eq!(
            statistics.histogram,
            [HistogramBar {
                from: 7,
                to: 7,
                rows: 3
            }]
        );
        assert_eq!(
            (statistics.median, statistics.p95, statistics.tokens),
            (7, 7, 21)
        );
        assert_eq!(statistics.overlong_rows, 0);
    }

    #[test]
    fn no_rows_give_zeros() {
        let statistics = TokenStatistics::of_lengths(Vec::new(), 0, 8);
        assert_eq!((statistics.rows, statistics.max), (0, 0));
        assert!(statistics.histogram.is_empty());
    }
}
