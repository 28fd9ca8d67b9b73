use super::{
    code::without_code,
    scan::{ends_in_word, leading},
};

const ENTITIES: [&str; 24] = [
    "amp", "lt", "gt", "quot", "apos", "nbsp", "hellip", "mdash", "ndash", "lsquo", "rsquo",
    "ldquo", "rdquo", "laquo", "raquo", "copy", "reg", "trade", "euro", "bull", "eacute", "auml",
    "ouml", "uuml",
];

const TAGS: [&str; 31] = [
    "a",
    "b",
    "br",
    "blockquote",
    "body",
    "button",
    "code",
    "div",
    "em",
    "font",
    "form",
    "h1",
    "h2",
    "h3",
    "head",
    "hr",
    "html",
    "i",
    "img",
    "input",
    "li",
    "ol",
    "p",
    "pre",
    "script",
    "span",
    "strong",
    "table",
    "td",
    "tr",
    "ul",
];

/// Finds a tag or an entity of HTML outside of what is marked as code.
pub(crate) fn leftover_html(text: &str) -> Option<String> {
    if !text.contains(['<', '&']) {
        return None;
    }
    let text = without_code(text);
    let places = text.match_indices(['<', '&']);
    let found = places.filter_map(|(start, mark)| match mark {
        "<" if is_type(&text[..start], &text[start..]) => None,
        "<" => tag(&text[start..]),
        _ => entity(&text[start..]).map(str::to_owned),
    });
    found.map(|it| format!("`{it}`")).next()
}

/// Returns the entity that `text` begins with.
fn entity(text: &str) -> Option<&str> {
    let name = leading(&text[1..], |it| it.is_ascii_alphanumeric() || it == '#');
    let is_number = name.strip_prefix('#').is_some_and(|number| {
        let digits = number.strip_prefix(['x', 'X']).unwrap_or(number);
        !digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|it| it.is_ascii_hexdigit())
    });
    let end = name.len() + 2;
    let is_entity = is_number || ENTITIES.contains(&name);
    (is_entity && text[1 + name.len()..].starts_with(';')).then(|| &text[..end])
}

/// Tells whether it is the parameter of a type, as in `Name<t>` and `<T>`.
fn is_type(before: &str, text: &str) -> bool {
    let name = leading(&text[1..], |it| it.is_ascii_alphanumeric());
    name.len() == 1 && (ends_in_word(before) || name.bytes().all(|it| it.is_ascii_uppercase()))
}

/// Returns the tag that `text` begins with, without its attributes.
fn tag(text: &str) -> Option<String> {
    const LONGEST: usize = 300;
    let rest = text[1..].strip_prefix('/').unwrap_or(&text[1..]);
    let name = leading(rest, |it| it.is_ascii_alphanumeric());
    let after = &rest[name.len()..];
    let is_tag = TAGS.contains(&name.to_ascii_lowercase().as_str());
    let has_attributes = after.starts_with([' ', '\n']) && after.contains('=');
    let closes = after.find('>').is_some_and(|end| end < LONGEST);
    let is_closed = after.starts_with('>') || after.trim_start().starts_with("/>");
    let slash = if rest.len() + 1 < text.len() { "/" } else { "" };
    (is_tag && (is_closed || has_attributes && closes)).then(|| format!("<{slash}{name}>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_and_tags_are_found() {
        for (text, found) in [
            ("Tom &amp; Jerry", "`&amp;`"),
            ("it&#39;s", "`&#39;`"),
            ("caf&#xE9;", "`&#xE9;`"),
            ("one<br/>two", "`<br>`"),
            ("<p>Hello</p>", "`<p>`"),
            ("see <a href=\"https://example.com\">this</a>", "`<a>`"),
            ("the end</DIV>", "`</DIV>`"),
        ] {
            assert_eq!(leftover_html(text).as_deref(), Some(found), "{text}");
        }
    }

    #[test]
    fn code_mathematics_and_plain_signs_are_left_alone() {
        for text in [
            "AT&T; R&D; fish & chips",
            "a < b and b > c",
            "if a <b> c fails, i<j && j>k",
            "Use `<br>` for a line end and `&amp;` for an ampersand",
            "```html\n<p>Hello</p>\n```",
            "<<48/2=24>>24 clips",
            "Vec<T>, List<String>, Name<A>, impl <I>, Map<a>, <think>",
            "mail <anna@example.com>",
        ] {
            let is_comparison = text.contains("<b>");
            assert_eq!(leftover_html(text).is_some(), is_comparison, "{text}");
        }
    }
}
