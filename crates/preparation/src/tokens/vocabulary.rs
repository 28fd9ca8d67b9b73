use serde::Serialize;
use utoipa::ToSchema;

use super::statistics::rounded;

/// How much of a tokenizer's vocabulary a dataset uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct VocabularyUse {
    /// The ids that the tokenizer has.
    pub size: usize,
    /// How many of them occur.
    pub used: usize,
    /// The share that occurs, 0 to 1.
    pub share: f64,
}

/// Which ids occur: one bit for each.
#[derive(Clone, Debug)]
pub(super) struct UsedIds {
    size: usize,
    words: Vec<u64>,
}

impl UsedIds {
    /// Begins with none of `size` ids.
    pub(super) fn of(size: usize) -> Self {
        let words = vec![0; size.div_ceil(64)];
        Self { size, words }
    }

    /// Notes that `id` occurs; one that is outside the vocabulary does not count.
    pub(super) fn add(&mut self, id: u32) {
        let id = id as usize;
        if id < self.size
            && let Some(word) = self.words.get_mut(id / 64)
        {
            *word |= 1 << (id % 64);
        }
    }

    /// Says how many occur.
    pub(super) fn usage(&self) -> VocabularyUse {
        let used = self
            .words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum();
        VocabularyUse {
            size: self.size,
            used,
            share: rounded(used as f64 / self.size.max(1) as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_counts_once_and_only_within_the_vocabulary() {
        let mut used = UsedIds::of(70);
        for id in [0, 0, 63, 64, 69, 70, 1_000_000] {
            used.add(id);
        }
        let (size, used, share) = (70, used.usage().used, used.usage().share);
        assert_eq!((size, used, share), (70, 4, 0.0571));
        assert_eq!(UsedIds::of(0).usage(), VocabularyUse::default());
    }
}
