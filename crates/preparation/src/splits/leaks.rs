use std::path::Path;

use llmopt_dataset::{Leak, ReadOptions, RowKey, Sketches, Split, leaks, read_samples};
use llmopt_domain::Conversation;
use serde::Serialize;

use super::name;
use crate::PreparationError;

/// Leaks that a report names.
const NAMED: usize = 100;

/// Held-out rows that training sees: what is measured on them is memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LeakReport {
    /// The rows that are trained on.
    pub train_rows: u64,
    /// The rows that are held out.
    pub held_out_rows: u64,
    /// Held-out rows that are the same as one that is trained on.
    pub same: u64,
    /// Held-out rows that are nearly the same as one that is trained on: a similarity of 0.73 or more.
    pub near: u64,
    /// The first of them.
    pub leaks: Vec<FoundLeak>,
}

/// A held-out row that is the same as one that is trained on, or nearly so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundLeak {
    /// The split that holds it out.
    pub split: &'static str,
    /// Its number in the file that was read, counted from 1.
    pub row: u64,
    /// The number of the most similar row that is trained on, in the file that was read.
    pub train_row: u64,
    /// The share of their words that both have, five in a row each; 1 where they are the same.
    pub similarity: f64,
}

impl LeakReport {
    /// Returns how many held-out rows are seen in training.
    pub fn total(&self) -> u64 {
        self.same + self.near
    }
}

/// Finds the rows of the dataset `held_out` that are the same as one of the dataset `train`, or nearly so; both are read as `read` says. Keeps 152
/// bytes of each row.
///
/// # Errors
/// [`PreparationError::Dataset`] if either cannot be read or a row is broken.
pub fn find_leaks(
    train: &Path,
    held_out: &Path,
    read: &ReadOptions,
) -> Result<LeakReport, PreparationError> {
    let mut held = Held::default();
    for (path, split) in [(train, Split::Train), (held_out, Split::Validation)] {
        for row in read_samples(path, read)? {
            let (number, sample) = row?;
            held.add(split, number, &sample.conversation);
        }
    }
    Ok(held.leaks())
}

/// What is kept of rows until all were seen.
#[derive(Default)]
pub(super) struct Held {
    train: Rows,
    held_out: Rows,
}

#[derive(Default)]
struct Rows {
    sketches: Sketches,
    /// The split and the number of each.
    places: Vec<(Split, u64)>,
}

impl Held {
    pub(super) fn add(&mut self, split: Split, number: u64, row: &Conversation) {
        let rows = match split {
            Split::Train => &mut self.train,
            Split::Validation | Split::Test => &mut self.held_out,
        };
        let key = RowKey::of(row).short();
        // Beyond four billion rows none is kept, of either.
        if rows.sketches.add(key, row).is_some() {
            rows.places.push((split, number));
        }
    }

    pub(super) fn leaks(self) -> LeakReport {
        let (train, held_out) = (self.train, self.held_out);
        let found = leaks(train.sketches, held_out.sketches);
        let (same, near): (Vec<&Leak>, Vec<&Leak>) =
            found.iter().partition(|leak| leak.similarity.is_none());
        let named = found.iter().take(NAMED).filter_map(|leak| {
            let (split, row) = held_out.places.get(leak.row)?;
            let (_, train_row) = train.places.get(leak.trained)?;
            Some(FoundLeak {
                split: name(*split),
                row: *row,
                train_row: *train_row,
                similarity: leak.similarity.map_or(1.0, |it| it.value()),
            })
        });
        LeakReport {
            train_rows: train.places.len() as u64,
            held_out_rows: held_out.places.len() as u64,
            same: same.len() as u64,
            near: near.len() as u64,
            leaks: named.collect(),
        }
    }
}
