use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// How lengths, in tokens, are spread; zeros where there are no rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokenLengths {
    /// The shortest.
    pub min: usize,
    /// At least as long as half of them.
    pub p50: usize,
    /// At least as long as 95 in 100.
    pub p95: usize,
    /// At least as long as 99 in 100.
    pub p99: usize,
    /// The longest.
    pub max: usize,
    /// How many rows have which length, in at most ten ranges of one width.
    pub histogram: Vec<HistogramBar>,
}

/// The rows whose length lies in one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HistogramBar {
    /// The least length in tokens.
    pub from: usize,
    /// The greatest length in tokens.
    pub to: usize,
    /// The rows.
    pub rows: u64,
}

/// How many rows have which length.
///
/// Memory grows with the number of different lengths, which is at most the square root of twice the number of
/// tokens, and not with that of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct LengthCounts {
    counts: BTreeMap<usize, u64>,
    rows: u64,
    tokens: u64,
}

impl LengthCounts {
    /// Counts a row of `length` tokens.
    pub(super) fn add(&mut self, length: usize) {
        *self.counts.entry(length).or_default() += 1;
        self.rows += 1;
        self.tokens += length as u64;
    }

    /// Returns how many rows were counted.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the tokens of all rows together.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Returns the longest length, 0 where there are no rows.
    pub(super) fn longest(&self) -> usize {
        self.counts
            .last_key_value()
            .map_or(0, |(&length, _)| length)
    }

    /// Returns how many rows are longer than `limit`, and their tokens.
    pub(super) fn above(&self, limit: usize) -> (u64, u64) {
        let longer = self.counts.range(limit.saturating_add(1)..);
        longer.fold((0, 0), |(rows, tokens), (&length, &count)| {
            (rows + count, tokens + length as u64 * count)
        })
    }

    /// Returns the length at least as great as those of so many rows in a hundred, by nearest rank.
    pub(super) fn at(&self, percent: u64) -> usize {
        let rank = (self.rows * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (&length, &count) in &self.counts {
            seen += count;
            if seen >= rank {
                return length;
            }
        }
        0
    }

    /// Says how the lengths are spread.
    pub(super) fn spread(&self) -> TokenLengths {
        TokenLengths {
            min: self.at(0),
            p50: self.at(50),
            p95: self.at(95),
            p99: self.at(99),
            max: self.longest(),
            histogram: self.histogram(),
        }
    }

    fn histogram(&self) -> Vec<HistogramBar> {
        const BARS: usize = 10;
        let Some((&min, _)) = self.counts.first_key_value() else {
            return Vec::new();
        };
        let width = (self.longest() - min + 1).div_ceil(BARS);
        let starts = (min..=self.longest()).step_by(width);
        let bar = |from| {
            let to = from + width - 1;
            let rows = self.counts.range(from..=to).map(|(_, count)| count).sum();
            HistogramBar { from, to, rows }
        };
        starts.map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(lengths: impl IntoIterator<Item = usize>) -> LengthCounts {
        let mut counts = LengthCounts::default();
        lengths.into_iter().for_each(|length| counts.add(length));
        counts
    }

    #[test]
    fn every_row_is_in_exactly_one_bar() {
        let spread = counted(5..=128).spread();
        let bars = &spread.histogram;
        assert_eq!(bars.iter().map(|bar| bar.rows).sum::<u64>(), 124);
        assert!(bars.len() <= 10);
        assert!(bars.windows(2).all(|pair| pair[0].to + 1 == pair[1].from));
        assert_eq!((spread.min, spread.max), (5, 128));
    }

    #[test]
    fn one_length_gives_one_bar() {
        let spread = counted([7; 3]).spread();
        let (from, to, rows) = (7, 7, 3);
        assert_eq!(spread.histogram, [HistogramBar { from, to, rows }]);
        assert_eq!((spread.p50, spread.p99), (7, 7));
    }

    #[test]
    fn no_rows_give_zeros() {
        assert_eq!(counted([]).spread(), TokenLengths::default());
        assert_eq!(counted([]).above(0), (0, 0));
    }

    #[test]
    fn memory_grows_with_different_lengths_and_not_with_rows() {
        let counts = counted((0..100_000).map(|row| 10 + row % 3));
        assert_eq!((counts.counts.len(), counts.rows()), (3, 100_000));
    }

    proptest! {
        #[test]
        fn counts_say_what_all_the_lengths_say(
            mut lengths in prop::collection::vec(0_usize..400, 1..200),
            limit in 0_usize..400,
        ) {
            let counts = counted(lengths.iter().copied());
            lengths.sort_unstable();
            let rank = |percent: usize| {
                let rank = (lengths.len() * percent).div_ceil(100).max(1);
                lengths[rank - 1]
            };
            let spread = counts.spread();
            let found = [spread.min, spread.p50, spread.p95, spread.p99, spread.max];
            prop_assert_eq!(found, [0, 50, 95, 99, 100].map(rank));
            let longer: Vec<_> = lengths.iter().filter(|&&length| length > limit).collect();
            let tokens = longer.iter().map(|&&length| length as u64).sum();
            prop_assert_eq!(counts.above(limit), (longer.len() as u64, tokens));
            for bar in spread.histogram {
                let inside = lengths.iter().filter(|&&it| (bar.from..=bar.to).contains(&it));
                prop_assert_eq!(inside.count() as u64, bar.rows);
            }
        }
    }
}
