//! A byte-level BPE of our own for the tokenizers that matter, several times as fast as the library's and with the
//! same ids. Everything else, and each text that a normalizer might change, is left to the library.

mod added;
mod cache;
mod classes;
mod merging;
mod pairs;
mod parts;
mod words;

use std::borrow::Cow;

use tokenizers::Tokenizer;
use unicode_normalization_alignments::{IsNormalized, is_nfc_quick};

use self::{
    added::{AddedTokens, Part},
    cache::{Pool, WordCache},
    merging::Merges,
    parts::{Normalization, Parts, Prefix},
    words::{Pattern, words},
};
use crate::guard::guarded;

/// What a tokenizer is made of that only the library encodes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsupported {
    /// A model that is no byte-level BPE, or merges at random, or marks parts of words.
    Model,
    /// A pre-tokenizer other than byte level with one of the known patterns.
    PreTokenizer,
    /// A normalizer other than NFC.
    Normalizer,
    /// Added tokens that take more than their own text, or less than every occurrence of it.
    AddedTokens,
    /// Ids that are cut, filled up or changed in another way at the end.
    PostProcessing,
    /// A file that the library breaks on.
    Broken,
}

/// Encodes text as the library does with the tokenizer that this was made of, adding no special tokens.
///
/// Threads share it. What it remembers of words never changes ids.
pub(crate) struct FastEncoder {
    added: AddedTokens,
    normalization: Normalization,
    prefix: Prefix,
    pattern: Pattern,
    merges: Merges,
    caches: Pool,
}

impl FastEncoder {
    /// Reads the parts of a tokenizer and makes the same of them.
    ///
    /// # Errors
    /// The first part for which only the library will do.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Result<Self, Unsupported> {
        guarded(|| Ok(Self::read(tokenizer))).unwrap_or(Err(Unsupported::Broken))
    }

    fn read(tokenizer: &Tokenizer) -> Result<Self, Unsupported> {
        let Parts {
            model,
            normalization,
            prefix,
            pattern,
        } = Parts::of(tokenizer)?;
        let encoder = Self {
            added: AddedTokens::of(tokenizer, normalization)?,
            normalization,
            prefix,
            pattern,
            merges: Merges::of(model).ok_or(Unsupported::Model)?,
            caches: Pool::default(),
        };
        // A post-processor may do to ids what it likes, but it does it to all alike.
        let sample = "one two";
        match tokenizer.encode_fast(sample, false) {
            Ok(expected) if encoder.encode(sample).as_deref() == Some(expected.get_ids()) => {
                Ok(encoder)
            }
            _ => Err(Unsupported::PostProcessing),
        }
    }

    /// Returns the ids of a text, or `None` where the library must be asked for them.
    pub(crate) fn encode(&self, text: &str) -> Option<Vec<u32>> {
        // Places in a word have 32 bits.
        if u32::try_from(text.len()).is_err() || !self.leaves(text) {
            return None;
        }
        let mut ids = Vec::with_capacity(text.len() / 3);
        let mut cache = self.caches.take();
        self.added.split(text, &mut |part| match part {
            Part::Token(id) => ids.push(id),
            Part::Text(text) => self.encode_part(text, cache.as_mut(), &mut ids),
        });
        self.caches.give_back(cache);
        Some(ids)
    }

    /// Returns whether no special token is in `text`, nor in what a normalizer makes of it.
    pub(crate) fn is_free_of_special_tokens(&self, text: &str) -> bool {
        // With a space before it, text may be a word that the vocabulary has as special.
        self.prefix == Prefix::None && self.leaves(text) && !self.added.has_special(text)
    }

    /// Returns whether the normalizer surely changes nothing in `text`.
    fn leaves(&self, text: &str) -> bool {
        match self.normalization {
            Normalization::None => true,
            Normalization::Nfc => is_nfc(text),
        }
    }

    fn encode_part(&self, text: &str, mut cache: Option<&mut WordCache>, ids: &mut Vec<u32>) {
        let text = match self.prefix {
            Prefix::Space if !text.starts_with(' ') => Cow::Owned(format!(" {text}")),
            Prefix::Space | Prefix::None => Cow::Borrowed(text),
        };
        for word in words(&text, self.pattern) {
            match &mut cache {
                Some(cache) => {
                    cache.encode(&text, word, ids, |word, ids| self.merges.encode(word, ids));
                }
                None => self.merges.encode(word.of(&text), ids),
            }
        }
    }
}

/// Returns whether text is surely in Unicode's normalization form C, by the library's own tables.
fn is_nfc(text: &str) -> bool {
    /// The first byte of U+0300, before which every character stands for itself.
    const FIRST_MARK: u8 = 0xcc;
    text.bytes().all(|byte| byte < FIRST_MARK) || is_nfc_quick(text.chars()) == IsNormalized::Yes
}

#[cfg(test)]
mod tests;
