//! Splitting rows into those to train on, to validate with and to test with, by a seed.
//!
//! Rows are ranked by a hash of seed and content, and the ranking is cut by the shares. So the shares are met as
//! exactly as whole rows can, the order of the rows changes nothing, and rows that say the same stay together. What a
//! ranking cannot give as well is that each row's split depends on that row alone (which takes hashing each
//! row into a split, and meets the shares by chance only): when rows are added, a few near the cuts move, at
//! most as many at each cut as were added.

use std::num::NonZeroU32;

use llmopt_domain::{Conversation, Message};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Stands for what a row says: roles, texts and tool calls. Ids, names, weights and descriptions of tools do
/// not count, so that rows which differ in those alone are kept together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(u128);

impl RowKey {
    /// Computes the key of a row: the same on every machine and in every release.
    pub fn of(conversation: &Conversation) -> Self {
        let mut content = Content(Sha256::new());
        content.text("llmopt row 1");
        let turns = &conversation.messages;
        content.count(turns.len());
        turns.iter().for_each(|turn| content.turn(turn));
        Self(content.finish())
    }

    /// Returns the first 64 bits: enough to tell the rows of a dataset apart.
    pub fn short(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

/// Feeds a hash so that different contents are different bytes: every text and every list has its length
/// before it.
struct Content(Sha256);

impl Content {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text);
    }

    fn turn(&mut self, turn: &Message) {
        self.text(turn.role.as_str());
        self.text(&turn.content);
        self.count(turn.tool_calls.len());
        for call in &turn.tool_calls {
            self.text(&call.name);
            self.fields(call.arguments.iter().collect());
        }
    }

    /// By name, because the order of fields means nothing.
    fn fields(&mut self, mut fields: Vec<(&String, &Value)>) {
        fields.sort_unstable_by_key(|(name, _)| *name);
        self.text("object");
        self.count(fields.len());
        for (name, value) in fields {
            self.text(name);
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.text("plain");
                self.text(&value.to_string());
            }
            Value::String(text) => {
                self.text("text");
                self.text(text);
            }
            Value::Array(items) => {
                self.text("list");
                self.count(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(fields) => self.fields(fields.iter().collect()),
        }
    }

    fn finish(self) -> u128 {
        let hash = self.0.finalize();
        hash.iter()
            .take(16)
            .fold(0, |bits, byte| bits << 8 | u128::from(*byte))
    }
}

/// Which part of a dataset a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// It is trained on.
    Train,
    /// It is measured on while training.
    Validation,
    /// It is measured on once, at the end.
    Test,
}

/// How many of all parts go to each split: 80, 10 and 10, or 8, 1 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Parts to train on.
    pub train: NonZeroU32,
    /// Parts to validate with.
    pub validation: u32,
    /// Parts to test with.
    pub test: u32,
}

impl Shares {
    /// Returns after how many of `rows` validation begins, and after how many testing does, each times the
    /// parts, which are the third number.
    fn cuts(self, rows: usize) -> ([u128; 2], u128) {
        let train = u128::from(self.train.get());
        let validation = train + u128::from(self.validation);
        let parts = validation + u128::from(self.test);
        ([train, validation].map(|it| it * rows as u128), parts)
    }
}

/// Assigns each row, given by its key, to a split.
///
/// Each split has its share of the rows, give or take one row; where rows that say the same stand at a cut, they
/// go together to the side that is nearer to the share. The order of `keys` changes nothing.
pub fn split(keys: &[RowKey], shares: Shares, seed: u64) -> Vec<Split> {
    let ranks: Vec<u128> = keys.iter().map(|key| rank(*key, seed)).collect();
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_unstable_by_key(|row| ranks[*row]);
    let (cuts, parts) = shares.cuts(keys.len());
    let mut splits = vec![Split::Train; keys.len()];
    let mut before = 0;
    for same in order.chunk_by(|one, two| ranks[*one] == ranks[*two]) {
        // Twice the middle of these rows: they are behind a cut if their middle is.
        let middle = (2 * before + same.len()) as u128 * parts;
        let split = match cuts.map(|cut| middle > 2 * cut) {
            [_, true] => Split::Test,
            [true, false] => Split::Validation,
            [false, false] => Split::Train,
        };
        same.iter().for_each(|row| splits[*row] = split);
        before += same.len();
    }
    splits
}

fn rank(key: RowKey, seed: u64) -> u128 {
    let mut content = Content(Sha256::new());
    content.text("llmopt split 1");
    content.0.update(seed.to_le_bytes());
    content.0.update(key.0.to_le_bytes());
    content.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn key(i: impl std::fmt::Display) -> RowKey {
        RowKey::of(&Conversation::from_pair(format!("prompt {i}"), "x"))
    }

    fn shares([train, validation, test]: [u32; 3]) -> Shares {
        Shares {
            train: NonZeroU32::new(train).unwrap(),
            validation,
            test,
        }
    }

    fn count(splits: &[Split], split: Split) -> usize {
        splits.iter().filter(|it| **it == split).count()
    }

    const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    fn any_shares() -> impl Strategy<Value = [u32; 3]> {
        [1_u32..100, 0_u32..100, 0_u32..100]
    }

    proptest! {
        #[test]
        fn shares_of_different_rows_are_met_to_a_row(
            rows in 0_usize..200, parts in any_shares(), seed: u64
        ) {
            let keys: Vec<_> = (0..rows).map(key).collect();
            let splits = split(&keys, shares(parts), seed);
            let all = f64::from(parts.iter().sum::<u32>());
            for (which, part) in SPLITS.into_iter().zip(parts) {
                let share = rows as f64 * f64::from(part) / all;
                let count = count(&splits, which) as f64;
                prop_assert!((count - share).abs() <= 1.0, "{which:?}: {count}, {share}");
                prop_assert!(part > 0 || count == 0.0);
            }
        }

        #[test]
        fn a_row_stays_in_its_split_whatever_the_order(
            copies in prop::collection::vec(0_u32..40, 1..120), parts in any_shares(), seed: u64,
            turn in 0_usize..120
        ) {
            let keys: Vec<_> = copies.into_iter().map(key).collect();
            let mut other = keys.clone();
            other.rotate_left(turn % keys.len());
            other.reverse();
            let of = |keys: &[RowKey]| -> HashMap<RowKey, HashSet<Split>> {
                let mut of = HashMap::<_, HashSet<_>>::new();
                for (key, split) in keys.iter().zip(split(keys, shares(parts), seed)) {
                    of.entry(*key).or_default().insert(split);
                }
                of
            };
            let splits = of(&keys);
            prop_assert!(splits.values().all(|splits| splits.len() == 1));
            prop_assert_eq!(splits, of(&other));
        }

        #[test]
        fn shares_of_copied_rows_are_met_to_half_the_copies_at_each_cut(
            copies in prop::collection::vec(1_usize..6, 1..60), parts in any_shares(), seed: u64
        ) {
            let rows = copies.iter().enumerate();
            let keys: Vec<_> = rows.flat_map(|(i, n)| std::iter::repeat_n(key(i), *n)).collect();
            let splits = split(&keys, shares(parts), seed);
            let all = f64::from(parts.iter().sum::<u32>());
            let most = copies.into_iter().max().unwrap() as f64;
            for (which, part) in SPLITS.into_iter().zip(parts) {
                let share = keys.len() as f64 * f64::from(part) / all;
                let count = count(&splits, which) as f64;
                prop_assert!((count - share).abs() <= most, "{which:?}: {count}, {share}");
            }
        }

        #[test]
        fn added_rows_move_few_others(rows in 1_usize..150, added in 0_usize..20, seed: u64) {
            let keys: Vec<_> = (0..rows + added).map(key).collect();
            let before = split(&keys[..rows], shares([8, 1, 1]), seed);
            let after = split(&keys, shares([8, 1, 1]), seed);
            let moved = before.iter().zip(&after).filter(|(one, two)| one != two).count();
            prop_assert!(moved <= 2 * (added + 1), "{moved}");
        }
    }

    #[test]
    fn another_seed_is_another_split() {
        let keys: Vec<_> = (0..1_000).map(key).collect();
        let test_rows = |seed| -> HashSet<usize> {
            let splits = split(&keys, shares([1, 0, 1]), seed)
                .into_iter()
                .enumerate();
            splits
                .filter(|it| it.1 == Split::Test)
                .map(|it| it.0)
                .collect()
        };
        let common = test_rows(1).intersection(&test_rows(2)).count();
        // 250 of 1,000 expected, and eight standard deviations allowed.
        assert!((190..310).contains(&common), "{common}");
    }

    #[test]
    fn splits_are_the_same_in_every_release() {
        let keys: Vec<_> = (0..10).map(key).collect();
        // As a second implementation, in Python, computes them.
        assert_eq!(keys[0].short(), 0x3a09_594d_ad9b_9cec);
        let letters: String = split(&keys, shares([3, 1, 1]), 7)
            .iter()
            .map(|split| match split {
                Split::Train => 'r',
                Split::Validation => 'v',
                Split::Test => 't',
            })
            .collect();
        assert_eq!(letters, "rrrtrvrtvr");
    }

    #[test]
    fn a_key_is_of_what_is_said_and_called() {
        let of = |turn: Value, tools: Value| {
            let row = json!({"messages": [turn], "tools": tools});
            RowKey::of(&serde_json::from_value(row).unwrap())
        };
        let call = |id: &str, arguments: &str| {
            let function = json!({"name": "f", "arguments": arguments});
            json!({"role": "assistant", "tool_calls": [{"id": id, "function": function}]})
        };
        let none = json!([]);
        let first = of(
            call("1", r#"{"a": [1, null], "b": {"c": "x"}}"#),
            none.clone(),
        );
        let reordered = call("2", r#"{"b": {"c": "x"}, "a": [1, null]}"#);
        assert_eq!(first, of(reordered.clone(), none.clone()));
        assert_eq!(first, of(reordered, json!([{"type": "function"}])));
        for other in [
            r#"{"a": [1], "b": {"c": "x"}}"#,
            r#"{"a": ["1", null], "b": {"c": "x"}}"#,
            r#"{"a": [1, null], "b": "cx"}"#,
        ] {
            assert_ne!(first, of(call("1", other), none.clone()), "{other}");
        }
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let key = |prompt, response| RowKey::of(&Conversation::from_pair(prompt, response));
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_ne!(key("a", ""), key("", "a"));
    }
}
