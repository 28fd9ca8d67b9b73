//! Which rows are compared: those that share a band.

use super::{Signature, signature::BANDS};

/// A row is compared with so many first rows of its band, and so many nearest ones. All would be the square of
/// the rows where they are made from one template; near duplicates among such share other bands too, which
/// the template does not fill.
const FIRST: usize = 16;
const NEAREST: usize = 16;

/// The rows of one band, each as the band in the upper half and its position in the lower: those that share the
/// band are beside each other, in order.
#[derive(Debug, Default)]
struct Band(Vec<u64>);

impl Band {
    fn fill(&mut self, band: usize, signatures: &[Signature], rows: impl Iterator<Item = u32>) {
        let keyed = |row: u32| {
            let band = signatures[row as usize].band(band);
            u64::from(band) << 32 | u64::from(row)
        };
        self.0.clear();
        self.0.extend(rows.map(keyed));
        self.0.sort_unstable();
    }

    fn groups(&self) -> impl Iterator<Item = &[u64]> {
        self.0.chunk_by(|one, two| one >> 32 == two >> 32)
    }

    fn sharing(&self, band: u32) -> &[u64] {
        let first = self.0.partition_point(|row| row >> 32 < u64::from(band));
        let rows = &self.0[first..];
        &rows[..rows.partition_point(|row| row >> 32 == u64::from(band))]
    }
}

/// Calls `visit` with an earlier and a later row of `rows` that share a band; with some, more than once.
pub(super) fn each_pair(signatures: &[Signature], rows: &[u32], mut visit: impl FnMut(u32, u32)) {
    let mut sorted = Band::default();
    for band in 0..BANDS {
        sorted.fill(band, signatures, rows.iter().copied());
        for group in sorted.groups().filter(|group| group.len() > 1) {
            for (i, later) in group.iter().enumerate() {
                for earlier in compared(&group[..i]) {
                    visit(position(*earlier), position(*later));
                }
            }
        }
    }
}

/// Calls `visit` with a row of `known` and one of `asked` that share a band; with some, more than once.
pub(super) fn each_pair_between(
    known: &[Signature],
    asked: &[Signature],
    mut visit: impl FnMut(u32, usize),
) {
    let mut sorted = Band::default();
    for band in 0..BANDS {
        sorted.fill(band, known, 0..known.len() as u32);
        for (row, signature) in asked.iter().enumerate() {
            for known in compared(sorted.sharing(signature.band(band))) {
                visit(position(*known), row);
            }
        }
    }
}

fn position(keyed: u64) -> u32 {
    (keyed & u64::from(u32::MAX)) as u32
}

fn compared(earlier: &[u64]) -> impl Iterator<Item = &u64> {
    let first = earlier.len().min(FIRST);
    let nearest = earlier.len().saturating_sub(NEAREST).max(first);
    earlier[..first].iter().chain(&earlier[nearest..])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn pairs(signatures: &[Signature], rows: &[u32]) -> BTreeSet<(u32, u32)> {
        let mut pairs = BTreeSet::new();
        each_pair(signatures, rows, |one, two| {
            pairs.insert((one, two));
        });
        pairs
    }

    #[test]
    fn rows_are_compared_once_they_share_a_band_the_earlier_first() {
        let sets: [&[u32]; 4] = [&[1, 2, 3], &[9], &[1, 2, 3], &[1, 2, 3]];
        let signatures = sets.map(Signature::of);
        let all = pairs(&signatures, &[0, 1, 2, 3]);
        assert_eq!(all, BTreeSet::from([(0, 2), (0, 3), (2, 3)]));
        assert_eq!(pairs(&signatures, &[0, 1, 3]), BTreeSet::from([(0, 3)]));
    }

    #[test]
    fn rows_of_two_files_are_compared_across_only() {
        let known = [&[1_u32, 2][..], &[3], &[1, 2]].map(Signature::of);
        let asked = [&[4_u32][..], &[1, 2], &[1, 2]].map(Signature::of);
        let mut pairs = BTreeSet::new();
        each_pair_between(&known, &asked, |one, two| {
            pairs.insert((one, two));
        });
        assert_eq!(pairs, BTreeSet::from([(0, 1), (0, 2), (2, 1), (2, 2)]));
    }

    #[test]
    fn of_many_that_share_a_band_the_first_and_the_nearest_are_compared() {
        let earlier: Vec<u64> = (0..100).collect();
        let rows: Vec<u64> = compared(&earlier).copied().collect();
        assert_eq!(rows, (0..16).chain(84..100).collect::<Vec<_>>());
        for few in [0, 1, 16, 17, 31, 32] {
            assert!(compared(&earlier[..few]).eq(&earlier[..few]), "{few}");
        }
    }
}
