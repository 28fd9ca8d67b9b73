use super::Similarity;

/// Rows that hang together: each is a near duplicate of another of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The rows, by their positions from 0, in order.
    pub rows: Vec<usize>,
    /// The lowest similarity of two of them that were found to be near duplicates.
    pub similarity: Similarity,
}

/// Joins rows (union-find). The first row of a cluster stands for it, whatever the order of joining.
#[derive(Debug)]
pub(super) struct Clusters {
    parents: Vec<u32>,
    /// Of each row that stands for a cluster the lowest similarity in it.
    lowest: Vec<Similarity>,
}

impl Clusters {
    /// So many rows, each by itself.
    pub(super) fn new(rows: u32) -> Self {
        Self {
            parents: (0..rows).collect(),
            lowest: vec![Similarity::SAME; rows as usize],
        }
    }

    pub(super) fn join(&mut self, one: u32, two: u32, similarity: Similarity) {
        let (one, two) = (self.first(one), self.first(two));
        let (first, other) = (one.min(two), one.max(two));
        self.parents[other as usize] = first;
        let lowest = self.lowest[other as usize].min(similarity);
        let kept = &mut self.lowest[first as usize];
        *kept = lowest.min(*kept);
    }

    /// Returns the clusters of more than one row, in the order of their first rows.
    pub(super) fn finish(mut self) -> Vec<Cluster> {
        let rows = 0..self.parents.len() as u32;
        let mut joined: Vec<(u32, u32)> = rows
            .map(|row| (self.first(row), row))
            .filter(|(first, row)| first != row)
            .collect();
        joined.sort_unstable();
        joined
            .chunk_by(|one, two| one.0 == two.0)
            .map(|rows| self.cluster(rows))
            .collect()
    }

    fn cluster(&self, rows: &[(u32, u32)]) -> Cluster {
        let first = rows[0].0 as usize;
        let others = rows.iter().map(|(_, row)| *row as usize);
        Cluster {
            rows: std::iter::once(first).chain(others).collect(),
            similarity: self.lowest[first],
        }
    }

    /// Returns the row that stands for `row`'s cluster, and makes the way to it shorter.
    fn first(&mut self, mut row: u32) -> u32 {
        while self.parents[row as usize] != row {
            let parent = self.parents[row as usize];
            self.parents[row as usize] = self.parents[parent as usize];
            row = parent;
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clusters(rows: u32, pairs: &[(u32, u32, u16)]) -> Vec<Cluster> {
        let mut clusters = Clusters::new(rows);
        for (one, two, matches) in pairs {
            clusters.join(*one, *two, Similarity::of_matches(*matches));
        }
        clusters.finish()
    }

    #[test]
    fn what_is_joined_by_a_third_is_one_cluster_of_the_lowest_similarity() {
        let found = clusters(8, &[(5, 2, 250), (6, 7, 200), (2, 4, 193), (5, 4, 240)]);
        let cluster = |rows: &[usize], matches| Cluster {
            rows: rows.to_vec(),
            similarity: Similarity::of_matches(matches),
        };
        assert_eq!(found, [cluster(&[2, 4, 5], 193), cluster(&[6, 7], 200)]);
    }

    proptest! {
        #[test]
        fn the_order_of_joining_changes_nothing(
            pairs in prop::collection::vec((0_u32..20, 0_u32..20, 192_u16..=256), 0..30)
        ) {
            let pairs: Vec<_> = pairs.into_iter().filter(|it| it.0 != it.1).collect();
            let reversed: Vec<_> = pairs.iter().rev().map(|it| (it.1, it.0, it.2)).collect();
            prop_assert_eq!(clusters(20, &pairs), clusters(20, &reversed));
        }
    }
}
