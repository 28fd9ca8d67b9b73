//! Characters that HTML has names for.

use crate::{
    error::{Result, refused, unknown},
    printing,
};

/// Names that are known even where no semicolon follows, in order.
const ALONE: [(&str, char); 106] = [
    ("AElig", 'Æ'),
    ("AMP", '&'),
    ("Aacute", 'Á'),
    ("Acirc", 'Â'),
    ("Agrave", 'À'),
    ("Aring", 'Å'),
    ("Atilde", 'Ã'),
    ("Auml", 'Ä'),
    ("COPY", '©'),
    ("Ccedil", 'Ç'),
    ("ETH", 'Ð'),
    ("Eacute", 'É'),
    ("Ecirc", 'Ê'),
    ("Egrave", 'È'),
    ("Euml", 'Ë'),
    ("GT", '>'),
    ("Iacute", 'Í'),
    ("Icirc", 'Î'),
    ("Igrave", 'Ì'),
    ("Iuml", 'Ï'),
    ("LT", '<'),
    ("Ntilde", 'Ñ'),
    ("Oacute", 'Ó'),
    ("Ocirc", 'Ô'),
    ("Ograve", 'Ò'),
    ("Oslash", 'Ø'),
    ("Otilde", 'Õ'),
    ("Ouml", 'Ö'),
    ("QUOT", '"'),
    ("REG", '®'),
    ("THORN", 'Þ'),
    ("Uacute", 'Ú'),
    ("Ucirc", 'Û'),
    ("Ugrave", 'Ù'),
    ("Uuml", 'Ü'),
    ("Yacute", 'Ý'),
    ("aacute", 'á'),
    ("acirc", 'â'),
    ("acute", '´'),
    ("aelig", 'æ'),
    ("agrave", 'à'),
    ("amp", '&'),
    ("aring", 'å'),
    ("atilde", 'ã'),
    ("auml", 'ä'),
    ("brvbar", '¦'),
    ("ccedil", 'ç'),
    ("cedil", '¸'),
    ("cent", '¢'),
    ("copy", '©'),
    ("curren", '¤'),
    ("deg", '°'),
    ("divide", '÷'),
    ("eacute", 'é'),
    ("ecirc", 'ê'),
    ("egrave", 'è'),
    ("eth", 'ð'),
    ("euml", 'ë'),
    ("frac12", '½'),
    ("frac14", '¼'),
    ("frac34", '¾'),
    ("gt", '>'),
    ("iacute", 'í'),
    ("icirc", 'î'),
    ("iexcl", '¡'),
    ("igrave", 'ì'),
    ("iquest", '¿'),
    ("iuml", 'ï'),
    ("laquo", '«'),
    ("lt", '<'),
    ("macr", '¯'),
    ("micro", 'µ'),
    ("middot", '·'),
    ("nbsp", '\u{a0}'),
    ("not", '¬'),
    ("ntilde", 'ñ'),
    ("oacute", 'ó'),
    ("ocirc", 'ô'),
    ("ograve", 'ò'),
    ("ordf", 'ª'),
    ("ordm", 'º'),
    ("oslash", 'ø'),
    ("otilde", 'õ'),
    ("ouml", 'ö'),
    ("para", '¶'),
    ("plusmn", '±'),
    ("pound", '£'),
    ("quot", '"'),
    ("raquo", '»'),
    ("reg", '®'),
    ("sect", '§'),
    ("shy", '\u{ad}'),
    ("sup1", '¹'),
    ("sup2", '²'),
    ("sup3", '³'),
    ("szlig", 'ß'),
    ("thorn", 'þ'),
    ("times", '×'),
    ("uacute", 'ú'),
    ("ucirc", 'û'),
    ("ugrave", 'ù'),
    ("uml", '¨'),
    ("uuml", 'ü'),
    ("yacute", 'ý'),
    ("yen", '¥'),
    ("yuml", 'ÿ'),
];

/// Other names, which a semicolon has to follow. HTML has two thousand more.
const ENDED: [(&str, char); 51] = [
    ("NewLine", '\n'),
    ("Tab", '\t'),
    ("apos", '\''),
    ("ast", '*'),
    ("bsol", '\\'),
    ("bull", '•'),
    ("colon", ':'),
    ("comma", ','),
    ("commat", '@'),
    ("dagger", '†'),
    ("dollar", '$'),
    ("emsp", '\u{2003}'),
    ("ensp", '\u{2002}'),
    ("equals", '='),
    ("euro", '€'),
    ("excl", '!'),
    ("ge", '≥'),
    ("grave", '`'),
    ("hearts", '♥'),
    ("hellip", '…'),
    ("infin", '∞'),
    ("larr", '←'),
    ("lbrace", '{'),
    ("lbrack", '['),
    ("ldquo", '“'),
    ("le", '≤'),
    ("lowbar", '_'),
    ("lpar", '('),
    ("lsquo", '‘'),
    ("mdash", '—'),
    ("minus", '−'),
    ("ndash", '–'),
    ("ne", '≠'),
    ("num", '#'),
    ("percnt", '%'),
    ("period", '.'),
    ("plus", '+'),
    ("quest", '?'),
    ("rarr", '→'),
    ("rbrace", '}'),
    ("rbrack", ']'),
    ("rdquo", '”'),
    ("rpar", ')'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("semi", ';'),
    ("sol", '/'),
    ("thinsp", '\u{2009}'),
    ("trade", '™'),
    ("zwj", '\u{200d}'),
    ("zwnj", '\u{200c}'),
];

/// What the numbers 128 to 159 stand for in pages that mean those of Windows.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Replaces names and numbers of characters by these, as Python's `html.unescape` does.
///
/// # Errors
/// A name that HTML may have and that is not known here.
pub(crate) fn unescaped(text: &str) -> Result<String> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let replaced = match after.strip_prefix('#') {
            Some(number) => numbered(number)?,
            None => named(after)?,
        };
        rest = match replaced {
            Some((replacement, after)) => {
                out.push_str(&replacement);
                after
            }
            None => {
                out.push('&');
                after
            }
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// What replaces a part of a text, and what comes after that.
type Replaced<'a> = Option<(String, &'a str)>;

fn numbered(text: &str) -> Result<Replaced<'_>> {
    let (radix, digits) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (16, digits),
        None => (10, text),
    };
    let end = digits
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(digits.len());
    let (digits, after) = digits.split_at(end);
    if digits.is_empty() {
        return Ok(None);
    }
    if radix == 10 && digits.len() > printing::MOST_DIGITS {
        return refused("the number of a character has too many digits");
    }
    let code = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    let replacement = character(code).map_or(String::new(), String::from);
    Ok(Some((
        replacement,
        after.strip_prefix(';').unwrap_or(after),
    )))
}

fn character(code: u32) -> Option<char> {
    let windows = code
        .checked_sub(0x80)
        .and_then(|it| usize::try_from(it).ok());
    match (code, windows.and_then(|it| WINDOWS.get(it))) {
        (_, Some(windows)) => Some(*windows),
        (0, _) => Some(char::REPLACEMENT_CHARACTER),
        (1..=8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef, _) => None,
        (0..=0x0010_ffff, _) if code & 0xfffe == 0xfffe => None,
        _ => Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
    }
}

fn named(text: &str) -> Result<Replaced<'_>> {
    let is_border = |c| matches!(c, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';');
    let characters = text
        .char_indices()
        .take(32)
        .take_while(|(_, c)| !is_border(*c));
    let end = characters.last().map_or(0, |(at, c)| at + c.len_utf8());
    let (name, after) = text.split_at(end);
    let ended = after.strip_prefix(';').filter(|_| !name.is_empty());
    if let Some(after) = ended {
        if let Some(c) = find(&ALONE, name).or_else(|| find(&ENDED, name)) {
            return Ok(Some((c.to_string(), after)));
        }
        if name.bytes().all(|it| it.is_ascii_alphanumeric()) {
            return unknown(format!(
                "the character that `&{name};` names is not known here"
            ));
        }
    }
    let lengths = (2..=name.len()).rev();
    let beginnings = lengths.filter_map(|it| name.split_at_checked(it));
    let mut known = beginnings.filter_map(|(name, rest)| Some((find(&ALONE, name)?, rest)));
    // What is left of the name begins what comes after, and has no name in it.
    Ok(known.next().map(|(c, rest)| {
        let after = text.get(name.len() - rest.len()..).unwrap_or_default();
        (c.to_string(), after)
    }))
}

fn find(names: &[(&str, char)], name: &str) -> Option<char> {
    let at = names.binary_search_by_key(&name, |(it, _)| it).ok()?;
    names.get(at).map(|(_, c)| *c)
}
