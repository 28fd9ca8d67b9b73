use std::cmp::Reverse;

use llmopt_domain::Conversation;

use super::{Cluster, Signature, Similarity, candidates, clusters::Clusters, signing::Signing};

/// What is kept of rows to find those that are nearly the same: 136 bytes of each. Rows are known by their
/// positions in the order in which they were added, from 0.
#[derive(Debug, Default)]
pub struct Sketches {
    keys: Vec<u64>,
    signing: Signing,
}

/// A row that is nearly the same as an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearPair {
    /// The row.
    pub row: usize,
    /// The most similar row before it; of those that are as similar, the first.
    pub earlier: usize,
    /// How alike they are.
    pub similarity: Similarity,
}

/// What [`Sketches::near_duplicates`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NearDuplicates {
    /// The rows that are nearly the same as an earlier one, in order.
    pub pairs: Vec<NearPair>,
    /// The rows that hang together by such pairs, in the order of their first rows.
    pub clusters: Vec<Cluster>,
}

/// Of a row the best pair yet.
type Best = (Similarity, Reverse<u32>);

impl Sketches {
    /// Most rows that are kept: positions are 32 bits, and so many take half a terabyte.
    const MOST: usize = u32::MAX as usize;

    /// Adds a row. Rows of the same `key` are the same, and not near duplicates; what is the same is for the
    /// caller to say. Returns the row's position, or `None` where there are four billion.
    pub fn add(&mut self, key: u64, conversation: &Conversation) -> Option<usize> {
        let position = self.keys.len();
        if position == Self::MOST {
            return None;
        }
        self.keys.push(key);
        self.signing.add(conversation);
        Some(position)
    }

    /// Returns how many rows were added.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether no row was added.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Finds the rows that are nearly the same as others. A row that is the same as an earlier one is left
    /// out.
    pub fn near_duplicates(self) -> NearDuplicates {
        let rows = distinct(&self.keys);
        let (_, signatures) = self.finish();
        let count = signatures.len() as u32;
        let mut clusters = Clusters::new(count);
        let mut best = vec![Best::default(); signatures.len()];
        candidates::each_pair(&signatures, &rows, |earlier, later| {
            let similarity = similarity(&signatures, earlier, later);
            if similarity >= Similarity::NEAR {
                clusters.join(earlier, later, similarity);
                let best = &mut best[later as usize];
                *best = (similarity, Reverse(earlier)).max(*best);
            }
        });
        NearDuplicates {
            pairs: pairs(&best),
            clusters: clusters.finish(),
        }
    }

    /// Returns the keys and the signatures.
    pub(super) fn finish(self) -> (Vec<u64>, Vec<Signature>) {
        (self.keys, self.signing.finish())
    }
}

fn similarity(signatures: &[Signature], one: u32, two: u32) -> Similarity {
    signatures[one as usize].similarity(&signatures[two as usize])
}

fn pairs(best: &[Best]) -> Vec<NearPair> {
    let found = best.iter().enumerate();
    found
        .filter(|(_, (similarity, _))| *similarity >= Similarity::NEAR)
        .map(|(row, (similarity, Reverse(earlier)))| NearPair {
            row,
            earlier: *earlier as usize,
            similarity: *similarity,
        })
        .collect()
}

/// Returns the rows whose key no earlier row has, in order.
fn distinct(keys: &[u64]) -> Vec<u32> {
    let key = |row: &u32| keys[*row as usize];
    let mut rows: Vec<u32> = (0..keys.len() as u32).collect();
    rows.sort_unstable_by_key(|row| (key(row), *row));
    rows.dedup_by_key(|row| key(row));
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::{
        ReadOptions,
        near::planted::{Pair, Sentences},
        read_conversations,
        testing::test_data,
    };

    fn sketches<'a>(rows: impl IntoIterator<Item = &'a Pair>) -> Sketches {
        let mut sketches = Sketches::default();
        for (key, row) in rows.into_iter().enumerate() {
            let row = Conversation::from_pair(&row.prompt, &row.response);
            sketches.add(key as u64, &row);
        }
        sketches
    }

    fn texts(texts: &[&str]) -> Vec<Pair> {
        let pair = |text: &&str| Pair {
            prompt: (*text).to_owned(),
            response: "so it is".to_owned(),
        };
        texts.iter().map(pair).collect()
    }

    /// Rows of which the second half alters the first, row by row, to a similarity of `jaccard`.
    fn planted(sentences: &Sentences, count: usize, jaccard: f64) -> Vec<Pair> {
        let mut rng = Rng::with_seed(2);
        let pairs = std::iter::repeat_with(|| {
            let row = sentences.row(&mut rng);
            row.altered(jaccard, &mut rng).map(|altered| (row, altered))
        });
        let (mut rows, altered): (Vec<_>, Vec<_>) = pairs.flatten().take(count).unzip();
        rows.extend(altered);
        rows
    }

    #[test]
    fn of_pairs_four_fifths_alike_95_in_100_are_found_and_hardly_any_other() {
        const PAIRS: usize = 2_000;
        let rows = planted(&Sentences::made_up(4_000, 1), PAIRS, 0.8);
        assert_found(PAIRS, &rows);
    }

    fn assert_found(pairs: usize, rows: &[Pair]) {
        let found = sketches(rows).near_duplicates().pairs;
        let planted = found
            .iter()
            .filter(|it| it.earlier + pairs == it.row)
            .count();
        assert!(planted >= pairs * 95 / 100, "{planted} found");
        let unlike = |it: &&NearPair| rows[it.row].jaccard(&rows[it.earlier]) < 0.6;
        let unlike = found.iter().filter(unlike).count();
        assert!(unlike * 100 <= found.len(), "{unlike} of {}", found.len());
    }

    #[test]
    fn pairs_among_the_sentences_of_gsm8k_are_found() {
        const PAIRS: usize = 300;
        let Some(folder) = test_data() else { return };
        let rows =
            read_conversations(&folder.join("gsm8k/train.jsonl"), &ReadOptions::default()).unwrap();
        let turns = rows.iter().flat_map(|(_, row)| &row.messages);
        let sentences = Sentences::of(turns.map(|turn| turn.content.as_str()));
        assert_found(PAIRS, &planted(&sentences, PAIRS, 0.8));
    }

    #[test]
    fn pairs_that_are_half_alike_are_not_found() {
        const PAIRS: usize = 1_000;
        let rows = planted(&Sentences::made_up(4_000, 3), PAIRS, 0.55);
        let found = sketches(&rows).near_duplicates().pairs;
        assert!(found.len() <= PAIRS / 100, "{}", found.len());
    }

    #[test]
    fn a_row_is_held_against_the_most_similar_earlier_one() {
        let rows = texts(&[
            "a b c d e f g h i j k l m n o p q r s t u v w x y z",
            "something else altogether is said in this row",
            "a b c d e f g h i j k l m n o p q r s t u v w x y 1",
            "A b c d e f g h i j k l m n o p q r s t u v w x y 1!",
            "a b c d e f g h i j k l m n o p q r s t u v w x y z",
        ]);
        let found = sketches(&rows).near_duplicates();
        let pairs: Vec<_> = found.pairs.iter().map(|it| (it.row, it.earlier)).collect();
        assert_eq!(pairs, [(2, 0), (3, 2), (4, 0)]);
        assert_eq!(found.pairs[1].similarity, Similarity::SAME);
        let [cluster] = &found.clusters[..] else {
            panic!("{found:?}")
        };
        assert_eq!(cluster.rows, [0, 2, 3, 4]);
        assert!(cluster.similarity < Similarity::SAME);
    }

    #[test]
    fn of_rows_that_are_as_similar_the_first_is_named() {
        let [long, other] = [100, 99].map(|last| {
            let words = (0..=last).map(|i| i.to_string());
            words.collect::<Vec<_>>().join(" ")
        });
        let found = sketches(&texts(&[&long, &other, &long, &long])).near_duplicates();
        let earlier: Vec<_> = found.pairs.iter().map(|it| it.earlier).collect();
        assert_eq!(earlier, [0, 0, 0]);
    }

    #[test]
    fn rows_of_the_same_key_are_not_near_duplicates() {
        let row = |text: &str| Conversation::from_pair(text, "yes it is");
        let mut sketches = Sketches::default();
        for (key, text) in [
            (7, "is it so"),
            (8, "Is it so?"),
            (7, "is it so"),
            (8, "Is it so?"),
        ] {
            sketches.add(key, &row(text));
        }
        assert_eq!((sketches.len(), sketches.is_empty()), (4, false));
        let found = sketches.near_duplicates();
        let pairs: Vec<_> = found.pairs.iter().map(|it| (it.row, it.earlier)).collect();
        assert_eq!(pairs, [(1, 0)]);
        assert_eq!(found.clusters[0].rows, [0, 1]);
    }

    #[test]
    fn no_rows_have_no_near_duplicates() {
        assert_eq!(
            Sketches::default().near_duplicates(),
            NearDuplicates::default()
        );
    }

    #[test]
    fn a_thousand_near_duplicates_are_one_cluster() {
        let text = "a b c d e f g h i j k l m n o p q r s t u v w x y z";
        let row = |i| format!("{text} {text} and {i}");
        let rows: Vec<String> = (0..1_000).map(row).collect();
        let rows = texts(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        let found = sketches(&rows).near_duplicates();
        assert_eq!(found.pairs.len(), 999);
        assert_eq!(found.clusters.len(), 1);
        assert_eq!(found.clusters[0].rows, (0..1_000).collect::<Vec<_>>());
    }
}
