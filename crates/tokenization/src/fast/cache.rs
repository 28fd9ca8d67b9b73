use std::sync::Mutex;

use super::words::Word;

/// Words that a cache remembers: 16,384 of 64 bytes are 1 MiB.
const SLOTS: usize = 1 << 14;
/// Caches that one encoder has: 16 MiB are the most they take.
const MOST_CACHES: usize = 16;
/// The ids of a word that is remembered.
const MOST_IDS: usize = 7;
/// The bytes of a word that is remembered; the last one of a key is its length.
const MOST_BYTES: usize = 31;

/// A word in the bytes that it has, its length in the last.
type Key = [u128; 2];

/// The ids of a word; one with the key 0, which no word has, is empty.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Slot {
    key: Key,
    ids: [u32; MOST_IDS],
    count: u32,
}

const EMPTY: Slot = Slot {
    key: [0; 2],
    ids: [0; MOST_IDS],
    count: 0,
};

/// The ids of words seen lately, each in the one slot that its bytes choose.
pub(super) struct WordCache(Vec<Slot>);

impl WordCache {
    fn new() -> Self {
        Self(vec![EMPTY; SLOTS])
    }

    /// Appends the ids of a word, which `encode` is asked for if they are not remembered.
    #[inline]
    pub(super) fn encode(
        &mut self,
        text: &str,
        word: Word,
        ids: &mut Vec<u32>,
        encode: impl FnOnce(&[u8], &mut Vec<u32>),
    ) {
        let Some(key) = key(text.as_bytes(), word) else {
            return encode(word.of(text), ids);
        };
        let Some(slot) = self.0.get_mut(place(key)) else {
            return encode(word.of(text), ids);
        };
        if slot.key == key {
            ids.extend_from_slice(slot.ids.get(..slot.count as usize).unwrap_or_default());
            return;
        }
        let start = ids.len();
        encode(word.of(text), ids);
        let found = ids.get(start..).unwrap_or_default();
        if let Some(copy) = slot.ids.get_mut(..found.len()) {
            copy.copy_from_slice(found);
            slot.key = key;
            slot.count = found.len() as u32;
        }
    }
}

fn key(text: &[u8], Word { start, end }: Word) -> Option<Key> {
    let length = end - start;
    if length > MOST_BYTES {
        return None;
    }
    let low = bytes_at(text, start) & mask(length);
    let high = bytes_at(text, start + 16) & mask(length.saturating_sub(16));
    Some([low, high | (length as u128) << 120])
}

/// Returns the 16 bytes at a place, zeros past the end.
#[inline]
fn bytes_at(text: &[u8], start: usize) -> u128 {
    match text.get(start..).and_then(<[u8]>::first_chunk) {
        Some(&chunk) => u128::from_le_bytes(chunk),
        None => last_bytes(text.get(start..).unwrap_or_default()),
    }
}

#[cold]
fn last_bytes(bytes: &[u8]) -> u128 {
    let mut chunk = [0; 16];
    for (to, from) in chunk.iter_mut().zip(bytes) {
        *to = *from;
    }
    u128::from_le_bytes(chunk)
}

/// Returns ones in the lowest `bytes` bytes.
fn mask(bytes: usize) -> u128 {
    match bytes {
        16.. => u128::MAX,
        bytes => (1 << (8 * bytes)) - 1,
    }
}

/// Returns the slot of a key. That words of one slot can be made up costs whoever does it his own time only.
fn place(key: Key) -> usize {
    const FACTORS: [u64; 4] = [
        0x9e37_79b9_7f4a_7c15,
        0xc2b2_ae3d_27d4_eb4f,
        0x1656_67b1_9e37_79f9,
        0x27d4_eb2f_1656_67c5,
    ];
    let parts = key
        .into_iter()
        .flat_map(|half| [half as u64, (half >> 64) as u64]);
    let hash = parts.zip(FACTORS).fold(0_u64, |hash, (part, factor)| {
        (hash.rotate_left(29) ^ part).wrapping_mul(factor)
    });
    (hash >> (64 - SLOTS.ilog2())) as usize
}

/// The caches of an encoder: each text has one to itself while it is encoded, if any is left.
#[derive(Default)]
pub(super) struct Pool(Mutex<Caches>);

#[derive(Default)]
struct Caches {
    idle: Vec<WordCache>,
    made: usize,
}

impl Pool {
    pub(super) fn take(&self) -> Option<WordCache> {
        let mut caches = self.0.lock().ok()?;
        let idle = caches.idle.pop();
        if idle.is_some() || caches.made == MOST_CACHES {
            return idle;
        }
        caches.made += 1;
        Some(WordCache::new())
    }

    pub(super) fn give_back(&self, cache: Option<WordCache>) {
        if let (Some(cache), Ok(mut caches)) = (cache, self.0.lock()) {
            caches.idle.push(cache);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes every word of `text`, split at spaces, and returns what was asked for.
    fn asked(cache: &mut WordCache, text: &str, ids: &[u32]) -> Vec<String> {
        let mut asked = Vec::new();
        let mut start = 0;
        for part in text.split(' ') {
            let word = Word {
                start,
                end: start + part.len(),
            };
            start += part.len() + 1;
            let mut out = vec![7];
            cache.encode(text, word, &mut out, |word, out| {
                asked.push(String::from_utf8(word.to_vec()).unwrap());
                out.extend_from_slice(ids);
            });
            assert_eq!(out[1..], *ids);
        }
        asked
    }

    #[test]
    fn a_slot_is_a_line_of_the_processors_cache() {
        assert_eq!(size_of::<Slot>(), 64);
    }

    #[test]
    fn words_are_remembered_by_all_their_bytes() {
        let mut cache = WordCache::new();
        let long = "x".repeat(31);
        let text = format!("a b ab a\0 {long} {} a", &long[1..]);
        let first = asked(&mut cache, &text, &[1, 2]);
        assert_eq!(first.join(" "), text[..text.len() - 2]);
        assert!(asked(&mut cache, &text, &[1, 2]).is_empty());
    }

    #[test]
    fn long_words_and_those_of_many_ids_are_not_remembered() {
        let mut cache = WordCache::new();
        let long = "x".repeat(32);
        for _ in 0..2 {
            assert_eq!(asked(&mut cache, &long, &[1]), [long.as_str()]);
            assert_eq!(asked(&mut cache, "many", &[1; 8]), ["many"]);
        }
    }

    #[test]
    fn no_more_caches_are_made_than_there_may_be() {
        let pool = Pool::default();
        let caches: Vec<_> = std::iter::from_fn(|| pool.take()).take(99).collect();
        assert_eq!(caches.len(), MOST_CACHES);
        for cache in caches {
            pool.give_back(Some(cache));
        }
        assert_eq!(
            std::iter::from_fn(|| pool.take()).take(99).count(),
            MOST_CACHES
        );
    }
}
