use std::fmt;

use super::signature::HASHES;

/// How alike two rows are: the Jaccard similarity of their sets of shingles, as their signatures estimate
/// it. From 0, nothing in common, to 1, the same words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Similarity(u16);

impl Similarity {
    /// Two hashes of different shingles agree by chance as often as once in so many.
    const CHANCE: u16 = 16;

    /// The words are the same.
    pub const SAME: Self = Self(HASHES as u16);

    /// From here on two rows are near duplicates: 0.73, where three quarters of the hashes agree.
    pub const NEAR: Self = Self(HASHES as u16 / 4 * 3);

    /// Makes the similarity of two signatures of which so many hashes agree.
    pub(super) fn of_matches(matches: u16) -> Self {
        Self(matches)
    }

    /// Returns the estimate: of the hashes that agree, those that do so by chance count for nothing.
    pub fn value(self) -> f64 {
        let by_chance = HASHES as u16 / Self::CHANCE;
        let beyond = self.0.saturating_sub(by_chance);
        f64::from(beyond) / f64::from(HASHES as u16 - by_chance)
    }
}

impl fmt::Display for Similarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similarity_leaves_out_what_agrees_by_chance() {
        let value = |matches| Similarity::of_matches(matches).value();
        assert_eq!((value(256), value(16), value(3)), (1.0, 0.0, 0.0));
        assert_eq!(Similarity::NEAR.to_string(), "0.73");
        assert_eq!(Similarity::of_matches(208).to_string(), "0.80");
        assert!(Similarity::of_matches(191) < Similarity::NEAR);
    }
}
