//! What Python knows of characters.

/// Returns whether Python takes a character for white space: four control characters more than Unicode does.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Makes the first letter of each word large and the others small; all else ends a word.
pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        if in_word {
            push_lower(&mut out, text, at);
        } else {
            push_title(&mut out, c);
        }
        in_word = is_cased(c);
    }
    out
}

/// Makes the first character large and the others small.
pub(super) fn capitalize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match at {
            0 => push_title(&mut out, c),
            _ => push_lower(&mut out, text, at),
        }
    }
    out
}

/// Only within its word does a sigma know whether it is the last.
fn push_lower(out: &mut String, text: &str, at: usize) {
    let (before, after) = text.split_at(at);
    let Some(c) = after.chars().next() else {
        return;
    };
    if c == 'Σ' {
        let lower = text.to_lowercase();
        let count = before.chars().flat_map(char::to_lowercase).count();
        out.extend(lower.chars().nth(count));
    } else {
        out.extend(c.to_lowercase());
    }
}

fn push_title(out: &mut String, c: char) {
    match c {
        'Ǆ'..='ǆ' => out.push('ǅ'),
        'Ǉ'..='ǉ' => out.push('ǈ'),
        'Ǌ'..='ǌ' => out.push('ǋ'),
        'Ǳ'..='ǳ' => out.push('ǲ'),
        'ŉ' => out.push_str("ʼN"),
        'ა'..='ჺ' | 'ჽ'..='ჿ' => out.push(c),
        _ => {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            out.extend(upper.flat_map(char::to_lowercase));
        }
    }
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ')
}

/// Splits a text after its line breaks, which are more than the usual two.
pub(super) fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_line_break) {
        let after = rest.split_at(at).1;
        let length = match after.starts_with("\r\n") {
            true => 2,
            false => after.chars().next().map_or(0, char::len_utf8),
        };
        let (line, next) = rest.split_at(at + length);
        lines.push(line);
        rest = next;
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// Returns whether Python's `splitlines` ends a line at a character.
pub(super) fn is_line_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// What kind of number a character is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Numeral {
    No,
    /// A digit of some script.
    Decimal,
    /// A digit that stands above or below.
    Digit,
    /// Any other.
    Number,
    /// A number of a kind that is not known here.
    Unknown,
}

/// Returns what kind of number a character is.
pub(super) fn numeral(c: char) -> Numeral {
    /// The zeros of the scripts in use; each is followed by the other nine digits.
    const ZEROS: &[char] = &[
        '0', '٠', '۰', '߀', '०', '০', '੦', '૦', '୦', '௦', '౦', '೦', '൦', '๐', '໐', '༠', '၀', '០',
        '᠐', '０',
    ];
    let is_decimal =
        |zero: &char| (u32::from(*zero)..u32::from(*zero) + 10).contains(&u32::from(c));
    match c {
        _ if ZEROS.iter().any(is_decimal) => Numeral::Decimal,
        '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉' | '①'..='⑨' => {
            Numeral::Digit
        }
        '¼'..='¾' | '⅐'..='ↂ' | '⑩'..='⑳' => Numeral::Number,
        '〇' | '一' | '二' | '三' | '四' | '五' | '六' | '七' | '八' | '九' | '十' | '百'
        | '千' | '万' => Numeral::Number,
        c if c.is_numeric() => Numeral::Unknown,
        _ => Numeral::No,
    }
}

/// Finds `what` between two characters, counted as Python counts; the result is counted in characters too.
pub(super) struct Within<'a> {
    pub(super) text: &'a str,
    pub(super) offset: usize,
}

impl<'a> Within<'a> {
    /// Returns what lies between two characters, or `None` where the first is past the end.
    pub(super) fn new(text: &'a str, start: Option<i64>, end: Option<i64>) -> Option<Self> {
        let count = text.chars().count();
        let place = |at: i64| {
            let from_end = i64::try_from(count).unwrap_or(i64::MAX).saturating_add(at);
            usize::try_from(if at < 0 { from_end.max(0) } else { at }).unwrap_or(usize::MAX)
        };
        let (start, end) = (start.map_or(0, place), end.map_or(count, place).min(count));
        if start > end {
            return None;
        }
        let byte = |at: usize| {
            text.char_indices()
                .nth(at)
                .map_or(text.len(), |(byte, _)| byte)
        };
        let text = text.get(byte(start)..byte(end))?;
        let offset = start;
        Some(Self { text, offset })
    }

    /// Returns which character of the whole text begins at a byte of the part.
    pub(super) fn character(&self, byte: usize) -> usize {
        self.offset + self.text.split_at(byte).0.chars().count()
    }
}
