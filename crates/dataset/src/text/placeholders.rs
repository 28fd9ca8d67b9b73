use super::{code::without_code, scan::leading};
use crate::problem::shortened;

/// What stands for an answer that is not there.
const WHOLE: [&str; 16] = [
    "todo",
    "tbd",
    "fixme",
    "n/a",
    "na",
    "nan",
    "null",
    "nil",
    "none",
    "undefined",
    "xxx",
    "...",
    "…",
    "-",
    "--",
    "?",
];

/// Finds a text that was to be replaced.
pub(crate) fn placeholder(text: &str) -> Option<String> {
    let whole = text
        .trim()
        .trim_matches(['"', '<', '>', '[', ']'])
        .to_lowercase();
    if let Some(found) = WHOLE.iter().find(|it| **it == whole) {
        return Some(format!("only `{found}`"));
    }
    if text.to_lowercase().contains("lorem ipsum") {
        return Some("`lorem ipsum`".to_owned());
    }
    variable(&without_code(text)).or_else(|| reminder(text))
}

/// Finds `{{name}}` where no template filled it in; LaTeX has such braces behind other characters.
fn variable(text: &str) -> Option<String> {
    let places = text.match_indices("{{");
    let mut found = places.filter_map(|(at, _)| {
        let is_free = text[..at]
            .chars()
            .next_back()
            .is_none_or(|it| !it.is_alphanumeric() && !matches!(it, '^' | '_' | '\\' | '{' | '}'));
        let inside = &text[at + 2..];
        let name = leading(inside, |it| {
            it.is_alphanumeric() || matches!(it, '_' | '.' | ' ' | '-')
        });
        let is_name = name
            .trim()
            .starts_with(|it: char| it.is_alphabetic() || it == '_');
        let closes = inside[name.len()..].starts_with("}}");
        (is_free && is_name && closes).then(|| format!("`{{{{{}}}}}`", shortened(name.trim())))
    });
    found.next()
}

/// Finds a text that begins as a reminder to write it.
fn reminder(text: &str) -> Option<String> {
    let rest = text.trim_start().strip_prefix("TODO")?;
    rest.starts_with([':', ' ']).then(|| "`TODO`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_were_to_be_replaced_are_found() {
        for (text, found) in [
            ("TODO", "only `todo`"),
            (" N/A ", "only `n/a`"),
            ("nan", "only `nan`"),
            ("None", "only `none`"),
            ("TODO: write this", "`TODO`"),
            ("Lorem ipsum dolor sit amet", "`lorem ipsum`"),
            ("Dear {{ customer_name }}, thank you", "`{{customer_name}}`"),
        ] {
            assert_eq!(placeholder(text).as_deref(), Some(found), "{text}");
        }
    }

    #[test]
    fn a_very_long_name_is_cut() {
        let text = format!("Dear {{{{{}}}}}", "x".repeat(10_000));
        assert!(placeholder(&text).unwrap().len() < 100);
    }

    #[test]
    fn answers_code_and_formulas_are_left_alone() {
        for text in [
            "None of them",
            "no",
            "My TODO list has 3 items",
            "use `{{ name }}` in Jinja",
            "```html\n{{ title }}\n```",
            "x^{{n}} and \\frac{{a}}{b}",
            "{{1, 2}, {3}}",
            "0",
        ] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }
}
