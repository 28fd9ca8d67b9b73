use std::{cmp::Reverse, collections::BinaryHeap, iter};

use ahash::AHashMap;
use tokenizers::{Model as _, models::bpe::BPE, pre_tokenizers::byte_level::ByteLevel};

use super::pairs;

/// No merge: a rank after all others.
const NONE: u32 = u32::MAX;
/// The bytes of the longest word that is searched from end to end for each merge, which is faster than a heap.
const SHORT: usize = 64;
/// No place in a word.
const END: u32 = u32::MAX;

/// The merges of a BPE (Sennrich et al. 2016, <https://arxiv.org/abs/1508.07909>) over ids that stand for bytes.
pub(super) struct Merges {
    bytes: Vec<u32>,
    /// The rank of two neighbours and the id of both together.
    ranks: AHashMap<u64, (u32, u32)>,
    /// The words that are tokens whatever merges say; none if merges decide.
    whole: AHashMap<Box<[u8]>, u32>,
}

impl Merges {
    /// Reads a model, or returns `None` if a byte has no token or the merges cannot be read.
    pub(super) fn of(model: &BPE) -> Option<Self> {
        let letters = letters();
        let mut buffer = [0; 4];
        let byte_ids = letters
            .iter()
            .map(|letter| model.token_to_id(letter.encode_utf8(&mut buffer)));
        let mut ranks = AHashMap::new();
        for ([left, right], rank) in pairs::of(model)?.into_iter().zip(0..NONE) {
            let [first, second, both] =
                [&left, &right, &format!("{left}{right}")].map(|token| model.token_to_id(token));
            ranks.insert(key(first?, second?), (rank, both?));
        }
        Some(Self {
            bytes: byte_ids.collect::<Option<_>>()?,
            ranks,
            whole: if model.ignore_merges {
                whole_words(model, &letters)
            } else {
                AHashMap::new()
            },
        })
    }

    /// Appends the ids of a word.
    pub(super) fn encode(&self, word: &[u8], ids: &mut Vec<u32>) {
        if !self.whole.is_empty()
            && let Some(&id) = self.whole.get(word)
        {
            ids.push(id);
        } else if word.len() <= SHORT {
            self.merge_short(word, ids);
        } else {
            self.merge_long(word, ids);
        }
    }

    fn byte(&self, byte: u8) -> u32 {
        self.bytes.get(usize::from(byte)).copied().unwrap_or(NONE)
    }

    fn rank(&self, left: u32, right: u32) -> (u32, u32) {
        let merge = self.ranks.get(&key(left, right));
        merge.copied().unwrap_or((NONE, NONE))
    }

    /// Merges in O(n²) without touching the heap.
    fn merge_short(&self, word: &[u8], out: &mut Vec<u32>) {
        let (mut ids, mut merges) = ([NONE; SHORT], [(NONE, NONE); SHORT]);
        for (id, &byte) in ids.iter_mut().zip(word) {
            *id = self.byte(byte);
        }
        let mut count = word.len().min(SHORT);
        for (merge, pair) in merges.iter_mut().zip(ids[..count].windows(2)) {
            *merge = self.rank(pair[0], pair[1]);
        }
        while let Some((at, id)) = lowest(&merges[..count]) {
            ids[at] = id;
            ids.copy_within(at + 2..count, at + 1);
            merges.copy_within(at + 1..count, at);
            count -= 1;
            if at + 1 < count {
                merges[at] = self.rank(id, ids[at + 1]);
            }
            if let Some(before) = at.checked_sub(1) {
                merges[before] = self.rank(ids[before], id);
            }
        }
        out.extend_from_slice(&ids[..count]);
    }

    /// Merges in O(n log n).
    fn merge_long(&self, word: &[u8], out: &mut Vec<u32>) {
        let mut chain = Chain::new(word.iter().map(|&byte| self.byte(byte)));
        let mut queue: BinaryHeap<Reverse<(u32, u32)>> = BinaryHeap::with_capacity(word.len());
        for at in (0..).take(word.len()) {
            self.queue(&mut chain, at, &mut queue);
        }
        while let Some(Reverse((rank, at))) = queue.pop() {
            let link = chain.get(at);
            // What was queued before a neighbour grew is out of date.
            if link.merge.0 != rank {
                continue;
            }
            chain.join(at, link.merge.1);
            self.queue(&mut chain, at, &mut queue);
            self.queue(&mut chain, link.before, &mut queue);
        }
        out.extend(chain.ids());
    }

    /// Looks the pair at a place up and queues it if there is a merge for it.
    fn queue(&self, chain: &mut Chain, at: u32, queue: &mut BinaryHeap<Reverse<(u32, u32)>>) {
        let link = chain.get(at);
        let merge = match link.after {
            END => (NONE, NONE),
            after => self.rank(link.id, chain.get(after).id),
        };
        chain.set_merge(at, merge);
        if merge.0 != NONE {
            queue.push(Reverse((merge.0, at)));
        }
    }
}

/// A part of a word between its neighbours, and the merge with the one after it.
#[derive(Clone, Copy)]
struct Link {
    id: u32,
    before: u32,
    after: u32,
    merge: (u32, u32),
}

/// The parts of a word by where they begin.
struct Chain(Vec<Link>);

impl Chain {
    fn new(ids: impl Iterator<Item = u32>) -> Self {
        let links = ids.zip(0_u32..).map(|(id, at)| Link {
            id,
            before: at.checked_sub(1).unwrap_or(END),
            after: at + 1,
            merge: (NONE, NONE),
        });
        let mut links: Vec<Link> = links.collect();
        if let Some(last) = links.last_mut() {
            last.after = END;
        }
        Self(links)
    }

    /// Returns the part at a place, one that nothing merges with if there is none.
    fn get(&self, at: u32) -> Link {
        const NOTHING: Link = Link {
            id: NONE,
            before: END,
            after: END,
            merge: (NONE, NONE),
        };
        self.0.get(at as usize).copied().unwrap_or(NOTHING)
    }

    fn set_merge(&mut self, at: u32, merge: (u32, u32)) {
        if let Some(link) = self.0.get_mut(at as usize) {
            link.merge = merge;
        }
    }

    /// Makes one part, `id`, of that at a place and the one after it.
    fn join(&mut self, at: u32, id: u32) {
        let gone = self.get(at).after;
        let after = self.get(gone).after;
        self.set_merge(gone, (NONE, NONE));
        if let Some(link) = self.0.get_mut(at as usize) {
            (link.id, link.after) = (id, after);
        }
        if let Some(link) = self.0.get_mut(after as usize) {
            link.before = at;
        }
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        let first = self.0.first().copied();
        let parts = iter::successors(first, |link| self.0.get(link.after as usize).copied());
        parts.map(|link| link.id)
    }
}

/// Returns the place of the merge with the lowest rank, the leftmost of such, and what it makes.
fn lowest(merges: &[(u32, u32)]) -> Option<(usize, u32)> {
    let (mut best, mut found) = (NONE, None);
    for (at, &(rank, id)) in merges.iter().enumerate() {
        if rank < best {
            (best, found) = (rank, Some((at, id)));
        }
    }
    found
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// Returns the characters that stand for bytes, by byte: a byte that is printable in Latin-1 stands for itself, the
/// others for the characters from U+0100 on, in order.
fn letters() -> Vec<char> {
    let alphabet = ByteLevel::alphabet();
    let mut others = '\u{100}'..;
    let letter = |byte: u8| {
        let own = char::from(byte);
        if alphabet.contains(&own) {
            own
        } else {
            others.next().unwrap_or(own)
        }
    };
    (0..=u8::MAX).map(letter).collect()
}

/// Returns the tokens that spell bytes, by these.
fn whole_words(model: &BPE, letters: &[char]) -> AHashMap<Box<[u8]>, u32> {
    let bytes: AHashMap<char, u8> = letters.iter().copied().zip(0..=u8::MAX).collect();
    let spelled = |token: &str| -> Option<Box<[u8]>> {
        let spelled = token.chars().map(|letter| bytes.get(&letter).copied());
        spelled.collect()
    };
    let vocabulary = model.get_vocab().into_iter();
    vocabulary
        .filter_map(|(token, id)| Some((spelled(&token)?, id)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_that_the_library_writes_bytes_in() {
        use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _};

        let letters = letters();
        assert_eq!(letters.len(), 256);
        // Every byte that is in UTF-8 is in one of these.
        for character in
            ('\0'..='\u{7ff}').chain(['\u{800}', '\u{ffff}', '\u{10000}', '\u{10ffff}'])
        {
            let mut split = PreTokenizedString::from(character.to_string());
            ByteLevel::new(false, false, false)
                .pre_tokenize(&mut split)
                .unwrap();
            let splits = split.get_splits(OffsetReferential::Original, OffsetType::None);
            let mine: String = character
                .to_string()
                .bytes()
                .map(|byte| letters[usize::from(byte)])
                .collect();
            assert_eq!(splits[0].0, mine);
        }
    }
}
