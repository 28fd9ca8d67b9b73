//! Scripts by the ranges of Unicode.

use std::fmt;

/// How letters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Hebrew,
    Arabic,
    Indic,
    Thai,
    Georgian,
    Ethiopic,
    Khmer,
    Hangul,
    /// Chinese and Japanese, which share their characters.
    Han,
}

impl fmt::Display for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Han => formatter.write_str("Chinese or Japanese"),
            script => write!(formatter, "{script:?}"),
        }
    }
}

impl Script {
    fn of(letter: char) -> Option<Self> {
        Some(match u32::from(letter) {
            0x41..=0x5a | 0x61..=0x7a | 0xc0..=0x24f | 0x1e00..=0x1eff => Self::Latin,
            0x370..=0x3ff | 0x1f00..=0x1fff => Self::Greek,
            0x400..=0x52f => Self::Cyrillic,
            0x530..=0x58f => Self::Armenian,
            0x590..=0x5ff => Self::Hebrew,
            0x600..=0x6ff | 0x750..=0x77f | 0x8a0..=0x8ff | 0xfb50..=0xfdff => Self::Arabic,
            0x900..=0xdff => Self::Indic,
            0xe00..=0xe7f => Self::Thai,
            0x10a0..=0x10ff => Self::Georgian,
            0x1100..=0x11ff | 0x3130..=0x318f | 0xac00..=0xd7a3 => Self::Hangul,
            0x1200..=0x139f => Self::Ethiopic,
            0x1780..=0x17ff => Self::Khmer,
            0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0x2_0000..=0x3_134f => Self::Han,
            _ => return None,
        })
    }
}

/// Returns the script of more than half of the letters, where there are enough letters to tell.
pub(crate) fn main_script(text: &str) -> Option<Script> {
    const FEWEST: usize = 5;
    if text.is_ascii() {
        let letters = text.bytes().filter(u8::is_ascii_alphabetic);
        return (letters.take(FEWEST).count() == FEWEST).then_some(Script::Latin);
    }
    let mut counts: Vec<(Script, usize)> = Vec::new();
    let mut letters = 0;
    for script in text.chars().filter_map(Script::of) {
        letters += 1;
        match counts.iter_mut().find(|(it, _)| *it == script) {
            Some((_, count)) => *count += 1,
            None => counts.push((script, 1)),
        }
    }
    let (script, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (letters >= FEWEST && count * 2 > letters).then_some(script)
}

/// Finds a word that looks Latin and has Cyrillic letters in it, or the other way round.
pub(crate) fn mixed_word(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let words = text.split(|it: char| !it.is_alphabetic());
    let mut mixed = words.filter(|word| is_mixed(word));
    mixed
        .next()
        .map(|word| format!("`{}`", crate::problem::shortened(word)))
}

fn is_mixed(word: &str) -> bool {
    const SHORTEST: usize = 4;
    let has = |script| word.chars().any(|it| Script::of(it) == Some(script));
    // Russian puts endings to Latin names, so the scripts have to change twice.
    let scripts: Vec<_> = word.chars().map(Script::of).collect();
    let changes = scripts.windows(2).filter(|pair| pair[0] != pair[1]).count();
    scripts.len() >= SHORTEST && changes > 1 && has(Script::Latin) && has(Script::Cyrillic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_of_most_letters_is_the_text_s() {
        for (text, script) in [
            ("Bonjour à tous", Some(Script::Latin)),
            ("Tiếng Việt có dấu", Some(Script::Latin)),
            ("Привет, мир (hello)", Some(Script::Cyrillic)),
            ("これはペンです", Some(Script::Han)),
            ("안녕하세요", Some(Script::Hangul)),
            ("नमस्ते दुनिया", Some(Script::Indic)),
            ("42 + 17 = 59", None),
            ("ok", None),
        ] {
            assert_eq!(main_script(text), script, "{text}");
        }
    }

    #[test]
    fn words_of_two_alphabets_are_found() {
        assert_eq!(
            mixed_word("log in to p\u{430}ypal now").unwrap(),
            "`p\u{430}ypal`"
        );
        for text in [
            "paypal",
            "Привет Google",
            "5 μm, Δt",
            "гуглить Windowsом",
            "东京Tower",
        ] {
            assert_eq!(mixed_word(text), None, "{text}");
        }
    }
}
