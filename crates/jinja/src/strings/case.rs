//! Large and small letters, as Python 3.11 knows them.

use super::characters::{is_known, is_lower, is_title, is_upper};

/// Returns Python's `text.upper()`.
pub(crate) fn upper(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_upper(&mut out, c));
    out
}

/// Returns Python's `text.lower()`.
pub(crate) fn lower(text: &str) -> String {
    changed(text, push_lower)
}

/// Makes the first letter of each word large and the others small; all else ends a word.
pub(crate) fn title(text: &str) -> String {
    let mut in_word = false;
    changed(text, |out, c, small| {
        if in_word {
            push_lower(out, c, small);
        } else {
            push_title(out, c);
        }
        in_word = is_upper(c) || is_lower(c) || is_title(c);
    })
}

/// Makes the first character large and the others small.
pub(crate) fn capitalize(text: &str) -> String {
    changed(text, |out, c, small| match out.is_empty() {
        true => push_title(out, c),
        false => push_lower(out, c, small),
    })
}

/// Makes what is large small, and the other way round.
pub(crate) fn swapcase(text: &str) -> String {
    changed(text, |out, c, small| {
        if is_upper(c) {
            push_lower(out, c, small);
        } else if is_lower(c) {
            push_upper(out, c);
        } else {
            out.push(c);
        }
    })
}

/// Returns Python's `text.casefold()`, in which texts are equal that differ in their case alone.
pub(crate) fn casefold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'ẞ' => out.push_str("ss"),
            'ı' | '\u{13a0}'..='\u{13f5}' => out.push(c),
            '\u{13f8}'..='\u{13fd}' => push_upper(&mut out, c),
            '\u{ab70}'..='\u{abbf}' => push_upper(&mut out, c),
            _ if is_known(c) => {
                let upper = uppercase(c);
                out.extend(upper.chars().flat_map(char::to_lowercase));
            }
            _ => out.push(c),
        }
    }
    out
}

/// Makes a text of each character and what is the small one in its place.
fn changed(text: &str, mut push: impl FnMut(&mut String, char, &str)) -> String {
    // Only within its word does a sigma know whether it is the last.
    let lower = text.to_lowercase();
    let mut rest = lower.as_str();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let length = c.to_lowercase().map(char::len_utf8).sum();
        let (small, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        push(&mut out, c, small);
        rest = after;
    }
    out
}

fn push_lower(out: &mut String, c: char, small: &str) {
    match is_known(c) {
        true => out.push_str(small),
        false => out.push(c),
    }
}

fn push_upper(out: &mut String, c: char) {
    match c {
        // What their large ones are is newer.
        '\u{19b}' | '\u{264}' | '\u{a7d3}' | '\u{a7d5}' => out.push(c),
        _ if is_known(c) => out.extend(c.to_uppercase()),
        _ => out.push(c),
    }
}

fn uppercase(c: char) -> String {
    let mut out = String::new();
    push_upper(&mut out, c);
    out
}

fn push_title(out: &mut String, c: char) {
    match c {
        'Ǆ'..='ǆ' => out.push('ǅ'),
        'Ǉ'..='ǉ' => out.push('ǈ'),
        'Ǌ'..='ǌ' => out.push('ǋ'),
        'Ǳ'..='ǳ' => out.push('ǲ'),
        'ŉ' => out.push_str("ʼN"),
        'ა'..='ჺ' | 'ჽ'..='ჿ' => out.push(c),
        '\u{1f80}'..='\u{1ffc}' => push_greek_title(out, c),
        _ => {
            let upper = uppercase(c);
            let mut upper = upper.chars();
            out.extend(upper.next());
            out.extend(upper.flat_map(char::to_lowercase));
        }
    }
}

/// An iota below a letter stays there.
fn push_greek_title(out: &mut String, c: char) {
    let code = u32::from(c);
    match code {
        _ if is_title(c) => out.push(c),
        0x1f80..=0x1faf => out.extend(char::from_u32(code + 8)),
        0x1fb3 | 0x1fc3 | 0x1ff3 => out.extend(char::from_u32(code + 9)),
        _ => {
            let upper = uppercase(c);
            match upper.strip_suffix('Ι') {
                Some(before) if !before.is_empty() => out.extend([before, "\u{345}"]),
                _ => out.push_str(&upper),
            }
        }
    }
}
