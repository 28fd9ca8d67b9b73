//! Batches: which rows are computed together, and how they are laid beside each other.

use std::num::NonZeroUsize;

use llmopt_tokenization::EncodedExample;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng as _},
};
use thiserror::Error;

/// The label of a token without loss, as `torch.nn.CrossEntropyLoss` and `transformers` ignore it.
pub const NO_LOSS: i32 = -100;

/// Rows of like length are looked for among so many batches at a time: the more, the less padding, and the less
/// chance in what stands together.
const BATCHES_PER_BUCKET: usize = 32;

/// How much is in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// So many rows; the last batch may have fewer.
    Rows(NonZeroUsize),
    /// At most so many tokens, padding included.
    Tokens(NonZeroUsize),
}

/// Divides rows into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPlan {
    /// How much is in a batch.
    pub size: BatchSize,
    /// Batches are as long as their longest row, rounded up to a multiple of this many tokens.
    pub multiple: NonZeroUsize,
    /// What the order follows from.
    pub seed: u64,
    /// Which pass over the rows it is, from 0: each has an order of its own.
    pub epoch: u64,
}

/// Why rows cannot be divided into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    /// A row does not fit into a batch alone.
    #[error(
        "row {} has {padded} tokens with its padding: expected at most {budget} in a batch; allow more, or shorten the row",
        .index + 1
    )]
    RowAboveBudget {
        /// The row's position, from 0.
        index: usize,
        /// Its tokens, padding included.
        padded: usize,
        /// The most that a batch may have.
        budget: usize,
    },
}

impl BatchPlan {
    /// Divides rows of these `lengths`, in tokens, into batches of positions: every row is in one batch, once.
    ///
    /// Rows are shuffled, sorted by length in buckets of some batches each, and the batches are shuffled again. The
    /// same seed, epoch and lengths give the same batches; which rows share a bucket depends on the lengths' number
    /// only.
    ///
    /// # Errors
    /// [`BatchError::RowAboveBudget`].
    pub fn batches(&self, lengths: &[usize]) -> Result<Vec<Vec<usize>>, BatchError> {
        self.check(lengths)?;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(self.epoch);
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        shuffle(&mut order, &mut random);
        let mut batches = Vec::new();
        for bucket in order.chunks_mut(self.bucket_rows(lengths)) {
            bucket.sort_by_key(|row| lengths[*row]);
            self.cut(bucket, lengths, &mut batches);
        }
        shuffle(&mut batches, &mut random);
        Ok(batches)
    }

    fn check(&self, lengths: &[usize]) -> Result<(), BatchError> {
        let BatchSize::Tokens(budget) = self.size else {
            return Ok(());
        };
        let budget = budget.get();
        let padded = |length: &usize| self.padded(*length);
        let above = lengths.iter().position(|length| padded(length) > budget);
        above.map_or(Ok(()), |index| {
            let padded = self.padded(lengths[index]);
            Err(BatchError::RowAboveBudget {
                index,
                padded,
                budget,
            })
        })
    }

    fn padded(&self, length: usize) -> usize {
        length.next_multiple_of(self.multiple.get())
    }

    /// Returns how many rows are in a bucket.
    fn bucket_rows(&self, lengths: &[usize]) -> usize {
        let rows = match self.size {
            BatchSize::Rows(rows) => rows.get(),
            BatchSize::Tokens(budget) => {
                let tokens: usize = lengths.iter().map(|length| self.padded(*length)).sum();
                let mean = tokens / lengths.len().max(1);
                budget.get() / mean.max(1)
            }
        };
        rows.max(1).saturating_mul(BATCHES_PER_BUCKET)
    }

    /// Cuts rows that are sorted by length into batches.
    fn cut(&self, sorted: &[usize], lengths: &[usize], batches: &mut Vec<Vec<usize>>) {
        let mut batch = Vec::new();
        for &row in sorted {
            if !self.takes(batch.len() + 1, lengths[row]) {
                batches.push(std::mem::take(&mut batch));
            }
            batch.push(row);
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
    }

    /// Returns whether so many rows, the longest of `length` tokens, are a batch.
    fn takes(&self, rows: usize, length: usize) -> bool {
        match self.size {
            BatchSize::Rows(most) => rows <= most.get(),
            BatchSize::Tokens(budget) => rows.saturating_mul(self.padded(length)) <= budget.get(),
        }
    }
}

/// Shuffles as Fisher and Yates do.
fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        // The remainder's bias is below the number of items / 2^64.
        items.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
}

/// Lays rows beside each other, padded on the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collator {
    /// What rows are filled up with.
    pub pad_id: u32,
    /// Batches are as long as their longest row, rounded up to a multiple of this many tokens.
    pub multiple: NonZeroUsize,
}

/// Rows beside each other: three tables of `rows` times `length`, row after row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The rows.
    pub rows: usize,
    /// The tokens of each row, padding included.
    pub length: usize,
    /// The tokens.
    pub input_ids: Vec<u32>,
    /// The same where a token carries loss, else [`NO_LOSS`]; not shifted, as `transformers` wants it.
    pub labels: Vec<i32>,
    /// 1 for a token and 0 for padding.
    pub attention_mask: Vec<i8>,
}

impl Collator {
    /// Pads `rows` to one length.
    pub fn collate(&self, rows: &[&EncodedExample]) -> Batch {
        let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        let mut batch = Batch {
            rows: rows.len(),
            length: longest.next_multiple_of(self.multiple.get()),
            ..Batch::default()
        };
        rows.iter().for_each(|row| batch.push(row, self.pad_id));
        batch
    }
}

impl Batch {
    fn push(&mut self, row: &EncodedExample, pad_id: u32) {
        let end = self.input_ids.len() + self.length;
        self.input_ids.extend(&row.ids);
        self.input_ids.resize(end, pad_id);
        self.labels.extend(labels(row));
        self.labels.resize(end, NO_LOSS);
        self.attention_mask
            .resize(end - self.length + row.ids.len(), 1);
        self.attention_mask.resize(end, 0);
    }
}

/// Returns the labels of a row. No vocabulary reaches the sign bit.
pub(crate) fn labels(row: &EncodedExample) -> impl Iterator<Item = i32> + '_ {
    let tokens = row.ids.iter().zip(&row.loss_mask);
    tokens.map(|(id, has_loss)| match has_loss {
        true => id.cast_signed(),
        false => NO_LOSS,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn plan(size: BatchSize, multiple: usize, seed: u64) -> BatchPlan {
        BatchPlan {
            size,
            multiple: count(multiple),
            seed,
            epoch: 0,
        }
    }

    fn any_size() -> impl Strategy<Value = BatchSize> {
        prop_oneof![
            (1_usize..20).prop_map(|rows| BatchSize::Rows(count(rows))),
            (128_usize..2_000).prop_map(|tokens| BatchSize::Tokens(count(tokens))),
        ]
    }

    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        prop::collection::vec(1_usize..120, 0..500)
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_batch_and_no_batch_is_too_large(
            lengths in lengths(), size in any_size(), multiple in 1_usize..9, seed: u64
        ) {
            let plan = plan(size, multiple, seed);
            let batches = plan.batches(&lengths).unwrap();
            for batch in &batches {
                prop_assert!(!batch.is_empty());
                let longest = batch.iter().map(|row| lengths[*row]).max().unwrap();
                match size {
                    BatchSize::Rows(most) => prop_assert!(batch.len() <= most.get()),
                    BatchSize::Tokens(most) => prop_assert!(
                        batch.len() * longest.next_multiple_of(multiple) <= most.get()
                    ),
                }
            }
            let mut rows = batches.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        }

        #[test]
        fn the_batches_follow_from_seed_and_epoch(lengths in lengths(), size in any_size(), seed: u64) {
            let plan = plan(size, 1, seed);
            prop_assert_eq!(plan.batches(&lengths), plan.batches(&lengths));
            // Where no row is longer than another nothing is sorted: 30 rows are in the same order by chance once
            // in 10^32.
            let alike = [1; 30];
            let other = [BatchPlan { seed: seed ^ 1, ..plan }, BatchPlan { epoch: 1, ..plan }];
            for other in other {
                prop_assert_ne!(plan.batches(&alike), other.batches(&alike));
            }
        }

        #[test]
        fn which_rows_share_a_bucket_does_not_depend_on_their_lengths(
            one in prop::collection::vec(1_usize..120, 200), rows in 1_usize..4, seed: u64
        ) {
            let plan = plan(BatchSize::Rows(count(rows)), 1, seed);
            // Where all lengths are the same, nothing is sorted: batches are the permutation, cut.
            let buckets = |lengths: &[usize]| {
                let mut order: Vec<usize> = (0..lengths.len()).collect();
                shuffle(&mut order, &mut ChaCha8Rng::seed_from_u64(seed));
                order.chunks(rows * BATCHES_PER_BUCKET).map(<[_]>::to_vec).collect::<Vec<_>>()
            };
            let buckets = buckets(&one);
            for batch in plan.batches(&one).unwrap() {
                let of = |row: &usize| buckets.iter().position(|bucket| bucket.contains(row));
                let first = of(&batch[0]);
                prop_assert!(batch.iter().all(|row| of(row) == first));
            }
        }

        #[test]
        fn padding_is_on_the_right_and_carries_no_loss(
            masks in prop::collection::vec(prop::collection::vec(any::<bool>(), 1..40), 1..8),
            multiple in 1_usize..9
        ) {
            let row = |mask: &Vec<bool>| EncodedExample {
                ids: (1..=mask.len() as u32).collect(),
                loss_mask: mask.clone(),
            };
            let rows: Vec<_> = masks.iter().map(row).collect();
            let collator = Collator { pad_id: 0, multiple: count(multiple) };
            let batch = collator.collate(&rows.iter().collect::<Vec<_>>());
            prop_assert_eq!(batch.rows, rows.len());
            prop_assert_eq!(batch.length % multiple, 0);
            for (index, row) in rows.iter().enumerate() {
                let table = index * batch.length..(index + 1) * batch.length;
                let length = row.ids.len();
                let (ids, padding) = batch.input_ids[table.clone()].split_at(length);
                prop_assert_eq!(ids, &row.ids[..]);
                prop_assert!(padding.iter().all(|id| *id == 0));
                let (labels, padding) = batch.labels[table.clone()].split_at(length);
                for (at, label) in labels.iter().enumerate() {
                    let expected = if row.loss_mask[at] { at as i32 + 1 } else { NO_LOSS };
                    prop_assert_eq!(*label, expected);
                }
                prop_assert!(padding.iter().all(|label| *label == NO_LOSS));
                let (mask, padding) = batch.attention_mask[table].split_at(length);
                prop_assert!(mask.iter().all(|it| *it == 1) && padding.iter().all(|it| *it == 0));
            }
        }
    }

    #[test]
    fn buckets_save_most_of_the_padding() {
        let lengths: Vec<usize> = (0..4_096).map(|i| 1 + i * 7_919 % 512).collect();
        let tokens: usize = lengths.iter().sum();
        let padded = |batches: Vec<Vec<usize>>| -> usize {
            let padded = |batch: &Vec<usize>| {
                let longest = batch.iter().map(|row| lengths[*row]).max().unwrap();
                longest * batch.len()
            };
            batches.iter().map(padded).sum()
        };
        let by_length = plan(BatchSize::Rows(count(8)), 1, 3);
        let of_buckets = padded(by_length.batches(&lengths).unwrap()) - tokens;
        let rows: Vec<usize> = (0..lengths.len()).collect();
        let in_order = padded(rows.chunks(8).map(<[_]>::to_vec).collect()) - tokens;
        assert!(of_buckets * 10 < in_order, "{of_buckets}, {in_order}");
    }

    #[test]
    fn a_row_above_the_budget_is_named() {
        let plan = plan(BatchSize::Tokens(count(16)), 8, 0);
        let refused = plan.batches(&[3, 17, 40]).unwrap_err();
        let expected = "row 2 has 24 tokens with its padding: expected at most 16 in a batch";
        assert!(refused.to_string().starts_with(expected), "{refused}");
        assert_eq!(plan.batches(&[3, 16]).map(|it| it.len()), Ok(2));
    }

    #[test]
    fn nothing_is_no_batch() {
        let plan = plan(BatchSize::Rows(count(3)), 8, 0);
        assert_eq!(plan.batches(&[]), Ok(Vec::new()));
    }

    #[test]
    fn batches_are_the_same_in_every_release() {
        let plan = plan(BatchSize::Rows(count(3)), 1, 7);
        let batches = plan.batches(&[5, 1, 4, 2, 3, 9, 8]).unwrap();
        assert_eq!(batches, [vec![5], vec![1, 3, 4], vec![2, 0, 6]]);
    }
}
