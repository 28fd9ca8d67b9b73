use aho_corasick::{AhoCorasick, MatchKind};
use tokenizers::{
    AddedToken, AddedVocabulary, NormalizedString, Normalizer, OffsetReferential, OffsetType,
    Tokenizer,
};

use super::{Unsupported, is_nfc, parts::Normalization};

/// A part of a text.
pub(super) enum Part<'a> {
    /// The id of an added token.
    Token(u32),
    /// What is between added tokens, never empty.
    Text(&'a str),
}

/// The tokens that are looked for before text is split into words.
pub(super) struct AddedTokens {
    /// Those looked for first, in text as it is.
    raw: Option<Matcher>,
    /// Those looked for in what is left once it is normalized.
    normalized: Option<Matcher>,
    special: Option<AhoCorasick>,
}

impl AddedTokens {
    pub(super) fn of(
        tokenizer: &Tokenizer,
        normalization: Normalization,
    ) -> Result<Self, Unsupported> {
        let vocabulary = tokenizer.get_added_vocabulary();
        let plain = |id, token: &AddedToken| {
            let changed = normalization == Normalization::Nfc && !is_nfc(&token.content);
            !changed && is_plain(vocabulary, id, token)
        };
        let tokens = vocabulary.get_added_tokens_decoder();
        if vocabulary.get_encode_special_tokens()
            || tokens.len() != vocabulary.get_vocab().len()
            || tokens.iter().any(|(&id, token)| !plain(id, token))
        {
            return Err(Unsupported::AddedTokens);
        }
        let (normalized, raw) = tokens.iter().partition(|(_, token)| token.normalized);
        let special = tokens.values().map(|token| token.content.as_str());
        let special = special.filter(|token| vocabulary.is_special_token(token));
        Ok(Self {
            raw: Matcher::new(raw)?,
            normalized: Matcher::new(normalized)?,
            special: automaton(&special.collect::<Vec<_>>())?,
        })
    }

    /// Takes a text apart, from the left.
    #[inline]
    pub(super) fn split<'a>(&self, text: &'a str, visit: &mut impl FnMut(Part<'a>)) {
        split(self.raw.as_ref(), text, &mut |part| match part {
            Part::Token(_) => visit(part),
            Part::Text(text) => split(self.normalized.as_ref(), text, visit),
        });
    }

    /// Returns whether a special token is anywhere in `text`.
    pub(super) fn has_special(&self, text: &str) -> bool {
        let special = self.special.as_ref();
        special.is_some_and(|special| special.is_match(text))
    }
}

/// The contents of tokens, of which the longest one at the leftmost place counts, and their ids.
struct Matcher {
    automaton: AhoCorasick,
    ids: Vec<u32>,
}

impl Matcher {
    fn new(tokens: Vec<(&u32, &AddedToken)>) -> Result<Option<Self>, Unsupported> {
        let (ids, contents): (Vec<u32>, Vec<&str>) = tokens
            .into_iter()
            .map(|(&id, token)| (id, token.content.as_str()))
            .unzip();
        Ok(automaton(&contents)?.map(|automaton| Self { automaton, ids }))
    }
}

fn automaton(contents: &[&str]) -> Result<Option<AhoCorasick>, Unsupported> {
    if contents.is_empty() {
        return Ok(None);
    }
    let built = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(contents);
    built.map(Some).map_err(|_| Unsupported::AddedTokens)
}

fn split<'a>(matcher: Option<&Matcher>, text: &'a str, visit: &mut impl FnMut(Part<'a>)) {
    let mut start = 0;
    if let Some(Matcher { automaton, ids }) = matcher {
        for found in automaton.find_iter(text) {
            visit_text(text.get(start..found.start()), visit);
            if let Some(&id) = ids.get(found.pattern().as_usize()) {
                visit(Part::Token(id));
            }
            start = found.end();
        }
    }
    visit_text(text.get(start..), visit);
}

fn visit_text<'a>(text: Option<&'a str>, visit: &mut impl FnMut(Part<'a>)) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        visit(Part::Text(text));
    }
}

/// Returns whether a token is found wherever its content is, and takes nothing more.
fn is_plain(vocabulary: &AddedVocabulary, id: u32, token: &AddedToken) -> bool {
    !token.single_word
        && !token.lstrip
        && !token.rstrip
        && !token.content.is_empty()
        && vocabulary.get_vocab().get(&token.content) == Some(&id)
        && is_raw(vocabulary, id, &token.content) != token.normalized
}

/// Returns whether the library looks for a token in text that is not normalized yet: one that was added twice may be
/// looked for otherwise than it says.
fn is_raw(vocabulary: &AddedVocabulary, id: u32, content: &str) -> bool {
    let found = vocabulary.extract_and_normalize(Some(&Blank), content);
    let splits = found.get_splits(OffsetReferential::Original, OffsetType::None);
    match splits.as_slice() {
        [(_, _, Some(tokens))] => tokens.iter().map(|token| token.id).eq([id]),
        _ => false,
    }
}

/// Leaves nothing of a text in which tokens could be found.
struct Blank;

impl Normalizer for Blank {
    fn normalize(&self, text: &mut NormalizedString) -> tokenizers::Result<()> {
        text.clear();
        Ok(())
    }
}
