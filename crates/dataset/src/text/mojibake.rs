//! UTF-8 that was read as Latin-1 or Windows-1252.

use super::scan::visible;

/// What Windows-1252 has at `0x80` to `0x9f`; where it has nothing, decoders keep the number.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Characters that stand beside accented letters in sound text, as in `Fuß“`, `rêvé…”` or `à «`.
const PUNCTUATION: &str = "‘’“”‚„‹›…–—•«»¡¿·°§®©™\u{a0}\u{ad}";

/// Finds characters that are the bytes of others.
pub(crate) fn mojibake(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let mut weak = 0;
    let mut before = None;
    for (start, letter) in text.char_indices() {
        if let Some(damage) = damage(&text[start..]) {
            match damage.strength(before) {
                Strength::Strong => return Some(damage.to_string()),
                Strength::Weak if weak == 1 => return Some(damage.to_string()),
                Strength::Weak => weak += 1,
                Strength::None => {}
            }
        }
        before = Some(letter);
    }
    None
}

/// Returns the text as it was meant, where it has characters that are the bytes of others.
pub(crate) fn meant(text: &str) -> Option<String> {
    mojibake(text)?;
    let mut mended = String::with_capacity(text.len());
    let (mut rest, mut before) = (text, None);
    while let Some(letter) = rest.chars().next() {
        let damage = damage(rest).filter(|it| it.strength(before) != Strength::None);
        let (length, letter) = match damage {
            Some(damage) => (damage.written.len(), damage.meant),
            None => (letter.len_utf8(), letter),
        };
        mended.push(letter);
        before = Some(letter);
        rest = rest.get(length..).unwrap_or_default();
    }
    Some(mended)
}

#[derive(PartialEq, Eq)]
enum Strength {
    /// It may be chance.
    None,
    /// It is damage where there is more of it.
    Weak,
    /// It is damage.
    Strong,
}

struct Damage<'a> {
    written: &'a str,
    meant: char,
}

impl Damage<'_> {
    fn strength(&self, before: Option<char>) -> Strength {
        let mut letters = self.written.chars();
        let lead = letters.next();
        let is_punctuated = letters.all(|it| PUNCTUATION.contains(it));
        let in_capitals = before.is_some_and(char::is_uppercase);
        match lead {
            // Capitals at the end of a Portuguese word, before a quotation mark.
            Some('Â' | 'Ã') if is_punctuated && in_capitals => Strength::None,
            Some('Â' | 'Ã') => Strength::Strong,
            _ if is_punctuated => Strength::None,
            Some('Ä'..='ß') => Strength::Weak,
            _ => Strength::Strong,
        }
    }
}

impl std::fmt::Display for Damage<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (written, meant) = (visible(self.written), visible(&self.meant.to_string()));
        write!(formatter, "`{written}` where `{meant}` was meant")
    }
}

/// Reads the beginning of `text` as the bytes of one character of UTF-8.
fn damage(text: &str) -> Option<Damage<'_>> {
    let lead = byte(text.chars().next()?)?;
    let length = match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let bytes: Option<Vec<u8>> = text.chars().take(length).map(byte).collect();
    let bytes = bytes?;
    let meant = str::from_utf8(&bytes).ok()?.chars().next()?;
    let end = text
        .char_indices()
        .nth(length)
        .map_or(text.len(), |it| it.0);
    let written = &text[..end];
    Some(Damage { written, meant })
}

/// Returns the byte that Latin-1 or Windows-1252 reads as `letter`, where it is none of ASCII.
fn byte(letter: char) -> Option<u8> {
    match letter {
        '\u{80}'..='\u{ff}' => u8::try_from(u32::from(letter)).ok(),
        _ => {
            let at = HIGH.iter().position(|it| *it == letter)?;
            u8::try_from(0x80 + at).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the bytes of `text` as Windows-1252.
    fn damaged(text: &str) -> String {
        let read = |byte: u8| match byte {
            0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
            _ => char::from(byte),
        };
        text.bytes().map(read).collect()
    }

    #[test]
    fn sound_text_that_is_damaged_is_found_in_every_language() {
        for text in [
            "café",
            "it’s",
            "“quoted”",
            "50 €",
            "straße",
            "привет мир",
            "中文",
            "日本語",
            "한국어",
            "😀",
            "Việt Nam",
            "zażółć gęślą",
            "CAFÉ",
            "à bientôt",
            "20\u{a0}km",
            "résumé – fin",
        ] {
            let damaged = damaged(text);
            assert!(mojibake(&damaged).is_some(), "{text}: {damaged}");
            assert_eq!(mojibake(text), None, "{text}");
        }
        assert_eq!(
            mojibake("the cafÃ© is open").unwrap(),
            "`Ã©` where `é` was meant"
        );
    }

    #[test]
    fn sound_text_with_accents_beside_punctuation_is_left_alone() {
        for text in [
            "Er rief: „Viel Spaß“ und ging zu Fuß… nach Hause.",
            "„MENÜ“ – GROß… „Ö“",
            "« J’ai rêvé… » dit-elle à\u{a0}« Chloé\u{a0}»",
            "“rêvé…” “é”… à “été…”",
            "“AMANHÃ” e MAÇÃ… NÃO",
            "Trần Hưng Đạo, Huế, Đà Nẵng… “ÂU”",
            "¿Qué? ¡SEÑOR! «ADIÓS»…",
            "Ísland: það er “gott”, ÞÓ…",
            "5 µm × 3 ° at 20 °C, ½ cup, £5, ©2024",
            "Blåbær på Ærø – “ØL”",
        ] {
            assert_eq!(mojibake(text), None, "{text}");
        }
    }
}
