use std::{collections::BTreeMap, num::NonZeroUsize, path::Path};

use llmopt_dataset::{ReadOptions, read_samples};
use llmopt_tokenization::Encoder;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde::Serialize;

use super::{
    FilesError, PreparedRow, read_prepared,
    shape::{Shape, Shaped},
};
use crate::{PreparationError, encode::encode};

/// Which rows are tokenized again.
#[derive(Clone, Copy, Debug)]
pub struct SampleOfRows<'a> {
    /// The dataset that was prepared.
    pub dataset: &'a Path,
    /// How it is read.
    pub read: &'a ReadOptions,
    /// How many rows are looked at; all where there are fewer.
    pub rows: NonZeroUsize,
    /// Which rows those are follows from it.
    pub seed: u64,
}

/// What tokenizing rows again came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenizationReport {
    /// The rows that were looked at.
    pub checked_rows: u64,
    /// The rows that are there.
    pub prepared_rows: u64,
    /// The rows that are another today, by their numbers.
    pub differences: Vec<RowDifference>,
}

/// A row that is not what was prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RowDifference {
    /// Its number in the dataset, counted from 1.
    pub row: u64,
    /// What is different.
    #[serde(flatten)]
    pub difference: Difference,
}

/// How a row differs from what was prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Difference {
    /// The dataset has no such row, or it would be left out.
    Missing,
    /// It has another number of tokens, padding included.
    Length {
        /// What was prepared.
        prepared: u64,
        /// What it is now.
        now: u64,
    },
    /// A token is another.
    Token {
        /// Its position, from 0.
        position: u64,
        /// What was prepared.
        prepared: i32,
        /// What it is now.
        now: i32,
    },
    /// A token carries loss only in one of them.
    Label {
        /// Its position, from 0.
        position: u64,
        /// What was prepared.
        prepared: i32,
        /// What it is now.
        now: i32,
    },
    /// A token is padding only in one of them.
    Attention {
        /// Its position, from 0.
        position: u64,
    },
}

/// Tokenizes some rows of the dataset again and holds them against the prepared dataset at `path`.
///
/// Says of each row the first thing that is different: lengths, then tokens, labels, padding. The options are those
/// that rows were prepared with, as the files say them.
///
/// # Errors
/// As [`read_prepared`], and [`FilesError::Preparation`] if the dataset cannot be read or a row cannot be tokenized.
pub fn validate_tokenization(
    path: &Path,
    encoder: &Encoder,
    sample: &SampleOfRows<'_>,
) -> Result<TokenizationReport, FilesError> {
    let prepared = read_prepared(path)?;
    let shape = Shape {
        options: prepared.options,
        pad_id: encoder.pad_token_id(),
    };
    let (mut looked_at, prepared_rows) = draw(prepared.rows(), sample)?;
    let mut report = TokenizationReport {
        checked_rows: looked_at.len() as u64,
        prepared_rows,
        differences: Vec::new(),
    };
    let mut note = |row, difference| report.differences.push(RowDifference { row, difference });
    for read in read_samples(sample.dataset, sample.read).map_err(PreparationError::from)? {
        if looked_at.is_empty() {
            break;
        }
        let (number, row) = read.map_err(PreparationError::from)?;
        let Some(prepared) = looked_at.remove(&number) else {
            continue;
        };
        let now = shape.of(&encode(sample.dataset, encoder, Ok((number, row)))?);
        if let Some(difference) = difference(&prepared, &now) {
            note(number, difference);
        }
    }
    for row in looked_at.into_keys() {
        note(row, Difference::Missing);
    }
    Ok(report)
}

/// Draws so many rows at random (Vitter, "Random sampling with a reservoir", algorithm R); returns them by number,
/// and how many there are.
fn draw(
    rows: impl Iterator<Item = Result<PreparedRow, FilesError>>,
    sample: &SampleOfRows<'_>,
) -> Result<(BTreeMap<u64, PreparedRow>, u64), FilesError> {
    let mut random = ChaCha8Rng::seed_from_u64(sample.seed);
    let (mut drawn, mut count) = (Vec::new(), 0_u64);
    for row in rows {
        let row = row?;
        count += 1;
        if drawn.len() < sample.rows.get() {
            drawn.push(row);
        } else if let Ok(place) = usize::try_from(random.next_u64() % count)
            && let Some(drawn) = drawn.get_mut(place)
        {
            *drawn = row;
        }
    }
    let drawn = drawn.into_iter().map(|row| (row.number, row)).collect();
    Ok((drawn, count))
}

fn difference(prepared: &PreparedRow, now: &Shaped) -> Option<Difference> {
    let (Shaped::Whole(now) | Shaped::Cut(now)) = now else {
        return Some(Difference::Missing);
    };
    if prepared.input_ids.len() != now.input_ids.len() {
        return Some(Difference::Length {
            prepared: prepared.input_ids.len() as u64,
            now: now.input_ids.len() as u64,
        });
    }
    let token = first(&prepared.input_ids, &now.input_ids);
    let token = token.map(|(position, prepared, now)| Difference::Token {
        position,
        prepared,
        now,
    });
    let label = || {
        let label = first(&prepared.labels, &now.labels)?;
        let (position, prepared, now) = label;
        Some(Difference::Label {
            position,
            prepared,
            now,
        })
    };
    let attention = || {
        let (position, ..) = first(&prepared.attention_mask, &now.attention_mask)?;
        Some(Difference::Attention { position })
    };
    token.or_else(label).or_else(attention)
}

/// Returns the first position at which two lists differ, and what is there.
fn first<T: Copy + PartialEq>(one: &[T], other: &[T]) -> Option<(u64, T, T)> {
    let mut pairs = (0..).zip(one.iter().zip(other));
    pairs
        .find(|(_, (one, other))| one != other)
        .map(|(position, (one, other))| (position, *one, *other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepared::testing::Workplace;

    fn sample(place: &Workplace, rows: usize) -> SampleOfRows<'_> {
        SampleOfRows {
            dataset: &place.dataset,
            read: &place.read,
            rows: NonZeroUsize::new(rows).unwrap(),
            seed: 3,
        }
    }

    fn check(place: &Workplace, rows: usize) -> TokenizationReport {
        validate_tokenization(&place.path("out"), &place.encoder, &sample(place, rows)).unwrap()
    }

    #[test]
    fn what_was_prepared_is_what_rows_are_today() {
        let place = Workplace::new(1_200);
        place.tokenize("out").unwrap();
        let report = check(&place, 50);
        assert_eq!((report.checked_rows, report.prepared_rows), (50, 1_200));
        assert_eq!(report.differences, []);
        assert_eq!(check(&place, 5_000).checked_rows, 1_200);
    }

    #[test]
    fn rows_that_became_others_are_told_by_their_numbers() {
        let place = Workplace::new(20);
        place.tokenize("out").unwrap();
        let rows = std::fs::read_to_string(&place.dataset).unwrap();
        let changed = rows.replace("much is 4 ", "many is 4 ");
        assert_ne!(changed, rows);
        let mut lines: Vec<&str> = changed.lines().collect();
        lines.pop();
        std::fs::write(&place.dataset, lines.join("\n")).unwrap();
        let report = check(&place, 100);
        let rows: Vec<_> = report.differences.iter().map(|it| it.row).collect();
        assert_eq!(rows, [4, 20]);
        assert!(matches!(
            report.differences[0].difference,
            Difference::Token { .. } | Difference::Length { .. }
        ));
        assert_eq!(report.differences[1].difference, Difference::Missing);
    }

    #[test]
    fn another_weight_is_another_label() {
        let place = Workplace::new(0);
        let row = |weight| {
            format!(
                r#"{{"messages": [{{"role": "user", "content": "a"}}, {{"role": "assistant", "content": "b", "weight": {weight}}}, {{"role": "user", "content": "c"}}, {{"role": "assistant", "content": "d"}}]}}"#
            )
        };
        std::fs::write(&place.dataset, row(1)).unwrap();
        place.tokenize("out").unwrap();
        std::fs::write(&place.dataset, row(0)).unwrap();
        let [
            RowDifference {
                row: 1,
                difference: Difference::Label { prepared, now, .. },
            },
        ] = check(&place, 9).differences[..]
        else {
            panic!("{:?}", check(&place, 9))
        };
        assert!(prepared >= 0 && now == -100, "{prepared}, {now}");
    }

    #[test]
    fn another_sample_follows_from_another_seed() {
        let place = Workplace::new(300);
        place.tokenize("out").unwrap();
        let drawn = |seed| {
            let rows = read_prepared(&place.path("out")).unwrap().rows();
            let sample = SampleOfRows {
                seed,
                ..sample(&place, 10)
            };
            draw(rows, &sample)
                .unwrap()
                .0
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }
}
