use std::collections::HashMap;

use super::{Signature, Similarity, Sketches, candidates};

/// A held-out row that training sees: what is measured on it is memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The held-out row's position.
    pub row: usize,
    /// The position of the training row that is the same, or the most similar one; of several, the first.
    pub trained: usize,
    /// How alike they are; `None` if they are the same.
    pub similarity: Option<Similarity>,
}

/// Finds the rows of `held_out` that are the same as one of `train`, or nearly so, in order: at most one leak
/// for each.
pub fn leaks(train: Sketches, held_out: Sketches) -> Vec<Leak> {
    let (train_keys, train) = train.finish();
    let (keys, held_out) = held_out.finish();
    let near = nearest(&train, &held_out);
    let same = first_rows(&train_keys);
    let leak = |(row, key): (usize, &u64)| {
        let same = same.get(key).map(|trained| (*trained, None));
        let (trained, similarity) = same.or(near.get(&row).copied())?;
        Some(Leak {
            row,
            trained,
            similarity,
        })
    };
    keys.iter().enumerate().filter_map(leak).collect()
}

/// Returns of each key the first row that has it.
fn first_rows(keys: &[u64]) -> HashMap<u64, usize> {
    let rows = keys.iter().enumerate().rev();
    rows.map(|(row, key)| (*key, row)).collect()
}

/// Returns of each held-out row that has near duplicates the most similar one.
fn nearest(
    train: &[Signature],
    held_out: &[Signature],
) -> HashMap<usize, (usize, Option<Similarity>)> {
    let mut nearest = HashMap::new();
    candidates::each_pair_between(train, held_out, |trained, row| {
        let trained = trained as usize;
        let similarity = train[trained].similarity(&held_out[row]);
        if similarity < Similarity::NEAR {
            return;
        }
        let best = nearest.entry(row).or_insert((trained, Some(similarity)));
        if Some(similarity) > best.1 || (Some(similarity) == best.1 && trained < best.0) {
            *best = (trained, Some(similarity));
        }
    });
    nearest
}

#[cfg(test)]
mod tests {
    use llmopt_domain::Conversation;

    use super::*;
    use crate::RowKey;

    fn sketches(rows: &[(&str, &str)]) -> Sketches {
        let mut sketches = Sketches::default();
        for (prompt, response) in rows {
            let row = Conversation::from_pair(*prompt, *response);
            sketches.add(RowKey::of(&row).short(), &row);
        }
        sketches
    }

    #[test]
    fn rows_of_both_splits_are_found_the_same_and_the_similar() {
        let long = "a b c d e f g h i j k l m n o p q r s t u v w x y z 1 2 3 4 5 6 7 8 9";
        let train = [
            ("Other", "text"),
            (long, "10 11"),
            ("Yes?", "No."),
            ("Yes?", "No."),
        ];
        let altered = format!("{long} 10");
        let held_out = [
            ("new", "row"),
            ("Yes?", "No."),
            (&*altered, "12"),
            ("yes", "NO"),
        ];
        let found = leaks(sketches(&train), sketches(&held_out));
        let said: Vec<_> = found.iter().map(|it| (it.row, it.trained)).collect();
        assert_eq!(said, [(1, 2), (2, 1), (3, 2)]);
        assert_eq!(found[0].similarity, None);
        let near = found[1].similarity.unwrap();
        assert!((Similarity::NEAR..Similarity::SAME).contains(&near));
        assert_eq!(found[2].similarity, Some(Similarity::SAME));
    }

    #[test]
    fn splits_of_different_rows_do_not_leak() {
        let train = [("what is two and two", "it is four")];
        assert!(leaks(sketches(&train), sketches(&[("who are you", "a model")])).is_empty());
        assert!(leaks(sketches(&train), Sketches::default()).is_empty());
        assert!(leaks(Sketches::default(), sketches(&train)).is_empty());
    }
}
