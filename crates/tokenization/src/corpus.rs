use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
};

/// Pairs seen less often make no token: a token seen once says nothing about the next text.
pub(crate) const LEAST_COUNT: u64 = 2;

/// Two neighbouring tokens.
pub(crate) type Pair = (u32, u32);

/// The words of all texts as tokens, with how often each pair of neighbours occurs and where.
pub(crate) struct Corpus {
    words: Vec<(Vec<u32>, u64)>,
    counts: HashMap<Pair, u64>,
    places: HashMap<Pair, BTreeSet<usize>>,
    /// Every pair at least once with its count or more; ties go to the smaller pair.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Corpus {
    /// Splits `words` into the tokens of `alphabet`, whose ids are their places.
    pub(crate) fn new(alphabet: &[String], words: &HashMap<String, u64>) -> Self {
        let ids: HashMap<&str, u32> = alphabet.iter().map(String::as_str).zip(0..).collect();
        let split = |word: &str| {
            let mut buffer = [0; 4];
            let letters = word
                .chars()
                .map(|c| ids.get(&*c.encode_utf8(&mut buffer)).copied());
            letters.collect::<Option<Vec<u32>>>().unwrap_or_default()
        };
        let mut corpus = Self {
            words: words
                .iter()
                .map(|(word, &count)| (split(word), count))
                .collect(),
            counts: HashMap::new(),
            places: HashMap::new(),
            queue: BinaryHeap::new(),
        };
        for index in 0..corpus.words.len() {
            corpus.count_in(index);
        }
        let counts = corpus.counts.iter();
        corpus.queue = counts
            .map(|(&pair, &count)| (count, Reverse(pair)))
            .collect();
        corpus
    }

    /// Takes the pair with the greatest count off the queue, if it is worth a token.
    pub(crate) fn most_frequent_pair(&mut self) -> Option<Pair> {
        loop {
            let (queued, Reverse(pair)) = self.queue.pop()?;
            let count = self.counts.get(&pair).copied().unwrap_or(0);
            if queued < LEAST_COUNT {
                return None;
            }
            if queued == count {
                return Some(pair);
            }
            // The count fell since, or the pair is queued twice.
            if count > 0 {
                self.queue.push((count, Reverse(pair)));
            }
        }
    }

    /// Makes one token, `merged`, of every occurrence of `pair`.
    pub(crate) fn merge(&mut self, pair: Pair, merged: u32) {
        for index in self.places.remove(&pair).unwrap_or_default() {
            self.uncount_in(index);
            if let Some((word, _)) = self.words.get_mut(index) {
                *word = join(word, pair, merged);
            }
            for grown in self.count_in(index) {
                // Only pairs with the new token can occur more often than before.
                if grown.0 == merged || grown.1 == merged {
                    let count = self.counts.get(&grown).copied().unwrap_or(0);
                    self.queue.push((count, Reverse(grown)));
                }
            }
        }
    }

    /// Adds the pairs of a word and returns them.
    fn count_in(&mut self, index: usize) -> Vec<Pair> {
        let (pairs, count) = self.pairs_of(index);
        for &pair in &pairs {
            *self.counts.entry(pair).or_default() += count;
            self.places.entry(pair).or_default().insert(index);
        }
        pairs
    }

    fn uncount_in(&mut self, index: usize) {
        let (pairs, count) = self.pairs_of(index);
        for pair in pairs {
            if let Some(places) = self.places.get_mut(&pair) {
                places.remove(&index);
            }
            let left = self
                .counts
                .get(&pair)
                .map_or(0, |all| all.saturating_sub(count));
            if left == 0 {
                self.counts.remove(&pair);
                self.places.remove(&pair);
            } else {
                self.counts.insert(pair, left);
            }
        }
    }

    fn pairs_of(&self, index: usize) -> (Vec<Pair>, u64) {
        let Some((word, count)) = self.words.get(index) else {
            return (Vec::new(), 0);
        };
        let pairs = word.iter().copied().zip(word.iter().copied().skip(1));
        (pairs.collect(), *count)
    }
}

/// Replaces every occurrence of `pair`, from the left.
fn join(word: &[u32], pair: Pair, merged: u32) -> Vec<u32> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, after)) = rest.split_first() {
        match after.split_first() {
            Some((&second, beyond)) if (first, second) == pair => {
                out.push(merged);
                rest = beyond;
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}
