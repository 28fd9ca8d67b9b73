//! The escapes of text literals, which are Python's.

use crate::strings::push_code;

/// Splits a quoted text from what comes after it; the quotes are left out.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next()?;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some((text.get(1..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// Returns what a literal stands for.
pub(crate) fn unescape(raw: &str) -> Result<String, String> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        rest = unescape_one(escape, &mut out)?;
    }
    out.push_str(rest);
    Ok(out)
}

/// Adds what an escape stands for, and returns what comes after it.
fn unescape_one<'a>(escape: &'a str, out: &mut String) -> Result<&'a str, String> {
    let mut characters = escape.chars();
    let Some(kind) = characters.next() else {
        return Err("a text ends with a backslash".to_owned());
    };
    let rest = characters.as_str();
    let plain = match kind {
        '\n' => return Ok(rest),
        '\\' | '\'' | '"' => kind,
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' => return code(rest, 2, out),
        'u' => return code(rest, 4, out),
        'U' => return code(rest, 8, out),
        '0'..='7' => return octal(escape, out),
        'N' => return Err("`\\N{…}` is not known here: write the character itself".to_owned()),
        other => {
            keep(other, out);
            return Ok(rest);
        }
    };
    out.push(plain);
    Ok(rest)
}

/// Adds an escape that is none.
///
/// Python reads a literal's bytes, in which a character beyond ASCII is an escape, here one whose
/// backslash is used up.
fn keep(character: char, out: &mut String) {
    match u32::from(character) {
        0..0x80 => out.extend(['\\', character]),
        code => push_code(out, code),
    }
}

fn code<'a>(rest: &'a str, length: usize, out: &mut String) -> Result<&'a str, String> {
    let (digits, rest) = rest.split_at_checked(length).unwrap_or_default();
    let is_hex = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex);
    let character = code.and_then(char::from_u32);
    out.push(character.ok_or_else(|| format!("an escape of {length} digits is no character"))?);
    Ok(rest)
}

fn octal<'a>(escape: &'a str, out: &mut String) -> Result<&'a str, String> {
    let digits = escape
        .bytes()
        .take(3)
        .take_while(|it| matches!(it, b'0'..=b'7'));
    let (digits, rest) = escape.split_at(digits.count());
    let code = u32::from_str_radix(digits, 8).ok();
    out.extend(code.and_then(char::from_u32));
    Ok(rest)
}
