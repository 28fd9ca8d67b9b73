use llmopt_tokenization::EncodedExample;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    lengths::{LengthCounts, TokenLengths},
    vocabulary::{UsedIds, VocabularyUse},
};
use crate::EncodedRow;

/// What a model's tokenizer makes of a dataset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct TokenStatistics {
    /// Rows that could be tokenized.
    pub rows: u64,
    /// Tokens, prompts included.
    pub tokens: u64,
    /// Tokens with loss.
    pub trainable_tokens: u64,
    /// How long the rows are.
    pub row: TokenLengths,
    /// How long prompts are: the tokens of a row without loss.
    pub prompt: TokenLengths,
    /// How long responses are: the tokens of a row with loss, end tokens included.
    pub response: TokenLengths,
    /// Tokens without loss for each one with loss; 0 where none has.
    pub prompt_per_response: f64,
    /// How much of the vocabulary occurs.
    pub vocabulary: VocabularyUse,
    /// Bytes of the turns' texts for each token, those of the chat template included; 0 where there are no rows.
    pub bytes_per_token: f64,
    /// The longest row that is trained on, in tokens.
    pub max_length: usize,
    /// The rows that are longer.
    pub overlong: OverlongRows,
}

/// The rows that are longer than `max_length`: a job fails on them, or leaves them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct OverlongRows {
    /// How many there are.
    pub rows: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Those of their tokens that have loss.
    pub trainable_tokens: u64,
    /// Those of their tokens that stand beyond `max_length`.
    pub tokens_beyond: u64,
}

impl TokenStatistics {
    /// Returns the rows that are short enough.
    pub fn kept_rows(&self) -> u64 {
        self.rows - self.overlong.rows
    }

    /// Returns the tokens with loss in rows that are short enough.
    pub fn kept_trainable_tokens(&self) -> u64 {
        self.trainable_tokens - self.overlong.trainable_tokens
    }
}

/// Gathers [`TokenStatistics`] row by row, in memory that does not grow with the rows.
#[derive(Clone, Debug)]
pub struct TokenMeasurements {
    max_length: usize,
    rows: LengthCounts,
    prompts: LengthCounts,
    responses: LengthCounts,
    used: UsedIds,
    text_bytes: u64,
    overlong: OverlongRows,
}

impl TokenMeasurements {
    /// Begins with no rows, of a tokenizer with so many ids and with rows of at most `max_length` tokens trained on.
    pub fn new(vocabulary_size: usize, max_length: usize) -> Self {
        Self {
            max_length,
            rows: LengthCounts::default(),
            prompts: LengthCounts::default(),
            responses: LengthCounts::default(),
            used: UsedIds::of(vocabulary_size),
            text_bytes: 0,
            overlong: OverlongRows::default(),
        }
    }

    /// Measures one row. A text that is longer than a row may be counts as the sequences that it is trained in.
    pub fn add(&mut self, row: &EncodedRow) {
        let encoded = &row.encoded;
        if row.is_text() && encoded.ids.len() > self.max_length {
            let sequences = encoded.clone().sequences(self.max_length);
            sequences.iter().for_each(|it| self.count(it));
        } else {
            self.count(encoded);
        }
        row.encoded.ids.iter().for_each(|&id| self.used.add(id));
        let turns = row.sample.conversation.messages.iter();
        self.text_bytes += turns.map(|turn| turn.content.len() as u64).sum::<u64>();
    }

    fn count(&mut self, encoded: &EncodedExample) {
        let length = encoded.ids.len();
        let response = encoded.trainable_tokens();
        self.rows.add(length);
        self.prompts.add(length - response);
        self.responses.add(response);
        if length > self.max_length {
            self.overlong.rows += 1;
            self.overlong.tokens += length as u64;
            self.overlong.trainable_tokens += response as u64;
            self.overlong.tokens_beyond += (length - self.max_length) as u64;
        }
    }

    /// Says what was measured.
    pub fn statistics(&self) -> TokenStatistics {
        let ratio = |part: u64, all: u64| match all {
            0 => 0.0,
            _ => rounded(part as f64 / all as f64),
        };
        TokenStatistics {
            rows: self.rows.rows(),
            tokens: self.rows.tokens(),
            trainable_tokens: self.responses.tokens(),
            row: self.rows.spread(),
            prompt: self.prompts.spread(),
            response: self.responses.spread(),
            prompt_per_response: ratio(self.prompts.tokens(), self.responses.tokens()),
            vocabulary: self.used.usage(),
            bytes_per_token: ratio(self.text_bytes, self.rows.tokens()),
            max_length: self.max_length,
            overlong: self.overlong,
        }
    }

    /// Returns how many rows have which length.
    pub(super) fn lengths(&self) -> &LengthCounts {
        &self.rows
    }
}

/// Rounds to four digits after the point: what is shown of a ratio.
pub(super) fn rounded(ratio: f64) -> f64 {
    (ratio * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::tokens::testing::row;

    const VOCABULARY: u32 = 50;

    fn measured(rows: &[EncodedRow], max_length: usize) -> TokenStatistics {
        let mut measurements = TokenMeasurements::new(VOCABULARY as usize, max_length);
        rows.iter().for_each(|row| measurements.add(row));
        measurements.statistics()
    }

    #[test]
    fn no_rows_give_zeros() {
        let statistics = measured(&[], 8);
        assert_eq!((statistics.rows, statistics.row.max), (0, 0));
        assert_eq!(statistics.prompt_per_response, 0.0);
        assert_eq!(statistics.bytes_per_token, 0.0);
    }

    #[test]
    fn a_row_as_long_as_the_limit_is_not_too_long() {
        let row = row(&[1, 2, 3, 4], "..!!");
        assert_eq!(
            measured(std::slice::from_ref(&row), 4).overlong,
            OverlongRows::default()
        );
        let expected = OverlongRows {
            rows: 1,
            tokens: 4,
            trainable_tokens: 2,
            tokens_beyond: 1,
        };
        assert_eq!(measured(&[row], 3).overlong, expected);
    }

    #[test]
    fn an_id_outside_the_vocabulary_covers_nothing_of_it() {
        let statistics = measured(&[row(&[VOCABULARY, 3, 3], ".!!")], 9);
        assert_eq!(
            (statistics.vocabulary.used, statistics.vocabulary.size),
            (1, 50)
        );
    }

    fn any_row() -> impl Strategy<Value = EncodedRow> {
        prop::collection::vec((0..VOCABULARY, any::<bool>()), 0..40).prop_map(|tokens| {
            let ids: Vec<u32> = tokens.iter().map(|(id, _)| *id).collect();
            let mask: String = tokens
                .iter()
                .map(|(_, loss)| if *loss { '!' } else { '.' })
                .collect();
            row(&ids, &mask)
        })
    }

    /// The row's length and its tokens with loss.
    fn sizes(row: &EncodedRow) -> (usize, usize) {
        let mask = &row.encoded.loss_mask;
        (mask.len(), mask.iter().filter(|it| **it).count())
    }

    fn sum(numbers: impl Iterator<Item = usize>) -> u64 {
        numbers.map(|number| number as u64).sum()
    }

    proptest! {
        #[test]
        fn sums_are_those_of_all_rows(rows in prop::collection::vec(any_row(), 0..60), max_length in 1_usize..40) {
            let found = measured(&rows, max_length);
            let all: Vec<_> = rows.iter().map(sizes).collect();
            let longer: Vec<_> = all.iter().filter(|(length, _)| *length > max_length).collect();
            let (tokens, trained) = (sum(all.iter().map(|it| it.0)), sum(all.iter().map(|it| it.1)));
            prop_assert_eq!((found.rows, found.tokens), (rows.len() as u64, tokens));
            prop_assert_eq!(found.trainable_tokens, trained);
            prop_assert_eq!(found.kept_rows(), (rows.len() - longer.len()) as u64);
            prop_assert_eq!(found.kept_trainable_tokens(), trained - sum(longer.iter().map(|it| it.1)));
            prop_assert_eq!(found.overlong.tokens_beyond, sum(longer.iter().map(|it| it.0 - max_length)));
            let ids: BTreeSet<u32> = rows.iter().flat_map(|row| row.encoded.ids.clone()).collect();
            prop_assert_eq!(found.vocabulary.used, ids.len());
            let bytes = sum(rows.iter().flat_map(|row| &row.sample.conversation.messages).map(|it| it.content.len()));
            if tokens > 0 {
                prop_assert!((found.bytes_per_token - bytes as f64 / tokens as f64).abs() < 1e-4);
            }
            if trained > 0 {
                let ratio = (tokens - trained) as f64 / trained as f64;
                prop_assert!((found.prompt_per_response - ratio).abs() < 1e-4);
            }
        }
    }
}
