use crate::{
    EncodedRow,
    collate::{NO_LOSS, labels},
};

use super::{LongRows, PrepareOptions};

/// A row as it lies in a file; all three lists have one length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreparedRow {
    /// Its number in the dataset, counted from 1.
    pub number: u64,
    /// The tokens.
    pub input_ids: Vec<i32>,
    /// The same where a token carries loss, else -100; not shifted.
    pub labels: Vec<i32>,
    /// 1 for a token and 0 for padding.
    pub attention_mask: Vec<i8>,
}

impl PreparedRow {
    /// Returns the tokens before the padding.
    pub fn tokens(&self) -> usize {
        self.attention_mask.iter().filter(|it| **it == 1).count()
    }

    /// Returns the tokens that carry loss.
    pub fn trainable_tokens(&self) -> usize {
        self.labels.iter().filter(|it| **it != NO_LOSS).count()
    }
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shaped {
    /// It fits.
    Whole(PreparedRow),
    /// Its end was cut off.
    Cut(PreparedRow),
    /// It is too long.
    TooLong,
    /// Nothing that carries loss was left when its end was cut off.
    CutToNothing,
    /// Nothing in it carries loss.
    WithoutLoss,
}

/// How rows are brought into shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) options: PrepareOptions,
    pub(super) pad_id: u32,
}

impl Shape {
    /// Cuts and pads a row.
    pub(super) fn of(&self, row: &EncodedRow) -> Shaped {
        let length = row.encoded.ids.len();
        let limit = self.options.max_length.map_or(usize::MAX, |it| it.get());
        if row.encoded.trainable_tokens() == 0 {
            return Shaped::WithoutLoss;
        }
        if length <= limit {
            return Shaped::Whole(self.filled(row, length));
        }
        if self.options.overlong != LongRows::Truncate {
            return Shaped::TooLong;
        }
        match self.filled(row, limit) {
            cut if cut.trainable_tokens() == 0 => Shaped::CutToNothing,
            cut => Shaped::Cut(cut),
        }
    }

    /// Takes the first `length` tokens and fills up.
    fn filled(&self, row: &EncodedRow, length: usize) -> PreparedRow {
        let padded = self.options.padded(length);
        let ids = row.encoded.ids.iter().take(length);
        let mut filled = PreparedRow {
            number: row.number,
            // No vocabulary reaches the sign bit.
            input_ids: ids.map(|id| id.cast_signed()).collect(),
            labels: labels(&row.encoded).take(length).collect(),
            attention_mask: vec![1; length],
        };
        filled.input_ids.resize(padded, self.pad_id.cast_signed());
        filled.labels.resize(padded, NO_LOSS);
        filled.attention_mask.resize(padded, 0);
        filled
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use llmopt_domain::{Conversation, Sample};
    use llmopt_tokenization::EncodedExample;

    use super::*;
    use crate::Padding;

    fn row(mask: &[u8]) -> EncodedRow {
        EncodedRow {
            number: 3,
            sample: Sample::of_responses(Conversation::from_pair("a", "b")),
            encoded: EncodedExample {
                ids: (10..10 + mask.len() as u32).collect(),
                loss_mask: mask.iter().map(|it| *it == 1).collect(),
            },
        }
    }

    fn shape(max_length: usize, overlong: LongRows, padding: Padding) -> Shape {
        let options = PrepareOptions {
            max_length: NonZeroUsize::new(max_length),
            overlong,
            padding,
            ..PrepareOptions::default()
        };
        Shape { options, pad_id: 7 }
    }

    fn prepared(input_ids: &[i32], labels: &[i32], attention_mask: &[i8]) -> PreparedRow {
        PreparedRow {
            number: 3,
            input_ids: input_ids.to_vec(),
            labels: labels.to_vec(),
            attention_mask: attention_mask.to_vec(),
        }
    }

    #[test]
    fn a_row_is_filled_up_on_the_right_without_loss() {
        let row = row(&[0, 1, 1]);
        let whole = |shape: Shape| match shape.of(&row) {
            Shaped::Whole(row) => row,
            other => panic!("{other:?}"),
        };
        let bare = prepared(&[10, 11, 12], &[-100, 11, 12], &[1, 1, 1]);
        assert_eq!(whole(shape(3, LongRows::Error, Padding::None)), bare);
        let four = Padding::Multiple(NonZeroUsize::new(4).unwrap());
        let filled = prepared(&[10, 11, 12, 7], &[-100, 11, 12, -100], &[1, 1, 1, 0]);
        assert_eq!(whole(shape(0, LongRows::Error, four)), filled);
        assert_eq!((filled.tokens(), filled.trainable_tokens()), (3, 2));
        let longest = whole(shape(6, LongRows::Error, Padding::MaxLength));
        assert_eq!(longest.attention_mask, [1, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn a_long_row_is_cut_only_where_that_is_asked_for() {
        let long = row(&[0, 0, 1, 1, 1]);
        let of = |overlong, limit| shape(limit, overlong, Padding::None).of(&long);
        assert_eq!(of(LongRows::Error, 4), Shaped::TooLong);
        assert_eq!(of(LongRows::Drop, 4), Shaped::TooLong);
        let cut = prepared(&[10, 11, 12, 13], &[-100, -100, 12, 13], &[1; 4]);
        assert_eq!(of(LongRows::Truncate, 4), Shaped::Cut(cut));
        assert_eq!(of(LongRows::Truncate, 2), Shaped::CutToNothing);
        let silent = shape(9, LongRows::Drop, Padding::None).of(&row(&[0, 0]));
        assert_eq!(silent, Shaped::WithoutLoss);
    }
}
