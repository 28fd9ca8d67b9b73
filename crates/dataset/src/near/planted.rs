//! Made-up rows of which some are near duplicates by construction, with the similarity computed in full: what
//! the tests and the example measure with. Nothing here is used by what is measured.

use std::{collections::BTreeSet, ops::RangeInclusive};

use fastrand::Rng;
use unicode_segmentation::UnicodeSegmentation as _;

/// Sentences that rows are made of.
pub(crate) struct Sentences(Vec<String>);

impl Sentences {
    /// The sentences of `texts`.
    pub(crate) fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let lines = texts.into_iter().flat_map(str::lines);
        let sentences = lines.flat_map(|line| line.split_inclusive(". "));
        let sentences = sentences.map(|sentence| sentence.trim().to_owned());
        Self(sentences.filter(|sentence| !sentence.is_empty()).collect())
    }

    /// Sentences of made-up words, of which a few are frequent and most are not.
    pub(crate) fn made_up(count: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut word = || {
            let rank = 3_000.0_f64.powf(rng.f64());
            format!("w{}", rank as u32)
        };
        let mut sentence = |_| {
            let words: Vec<_> = (0..12).map(|_| word()).collect();
            words.join(" ")
        };
        Self((0..count).map(&mut sentence).collect())
    }

    /// Makes a prompt and a response of as many sentences as those of GSM8K: 3.5 and 4.6 on average.
    pub(crate) fn row(&self, rng: &mut Rng) -> Pair {
        let mut text = |sentences: RangeInclusive<usize>| {
            let sentences = 0..rng.usize(sentences);
            let sentences = sentences.map(|_| self.0[rng.usize(..self.0.len())].as_str());
            sentences.collect::<Vec<_>>().join(" ")
        };
        Pair {
            prompt: text(2..=5),
            response: text(3..=6),
        }
    }
}

/// A prompt and a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) prompt: String,
    pub(crate) response: String,
}

impl Pair {
    /// Changes words until the similarity to what it was is `jaccard`, to half a hundredth; `None` if no
    /// change that was tried leads there, as in a short row.
    pub(crate) fn altered(&self, jaccard: f64, rng: &mut Rng) -> Option<Self> {
        const TRIES: usize = 100;
        (0..TRIES).find_map(|_| self.tried(jaccard, rng))
    }

    fn tried(&self, jaccard: f64, rng: &mut Rng) -> Option<Self> {
        let original: Vec<&str> = self.words().collect();
        let mut words = original.clone();
        // By the tokens between spaces, which is quick; what counts is computed below.
        while similarity(&original, &words) > jaccard + 0.005 {
            alter(&mut words, rng);
        }
        if similarity(&original, &words) < jaccard - 0.005 {
            return None;
        }
        let (prompt, response) = words.split_at(words.len() / 2);
        let altered = Self {
            prompt: prompt.join(" "),
            response: response.join(" "),
        };
        ((self.jaccard(&altered) - jaccard).abs() <= 0.005).then_some(altered)
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        let texts = [&self.prompt, &self.response];
        texts.into_iter().flat_map(|text| text.split_whitespace())
    }

    /// Computes the Jaccard similarity of the two sets of five words in a row.
    pub(crate) fn jaccard(&self, other: &Self) -> f64 {
        similarity(&self.lower_words(), &other.lower_words())
    }

    fn lower_words(&self) -> Vec<String> {
        let texts = [&self.prompt, &self.response];
        let words = texts.into_iter().flat_map(|text| text.unicode_words());
        words.map(str::to_lowercase).collect()
    }
}

/// Puts in, takes out or changes a word.
fn alter(words: &mut Vec<&str>, rng: &mut Rng) {
    let at = rng.usize(..words.len());
    let word = words[rng.usize(..words.len())];
    match rng.u8(..3) {
        0 => words.insert(at, word),
        1 if words.len() > 1 => drop(words.remove(at)),
        _ => words[at] = word,
    }
}

fn similarity<T: Ord>(one: &[T], two: &[T]) -> f64 {
    let [one, two] = [one, two].map(|words| words.windows(5).collect::<BTreeSet<_>>());
    let common = one.intersection(&two).count();
    common as f64 / (one.len() + two.len() - common) as f64
}
