//! Characters that nobody typed on purpose.

/// Finds the character that decoders put where they could not read a byte.
pub(crate) fn replacement_character(text: &str) -> Option<String> {
    let count = text.matches('\u{fffd}').count();
    (count > 0).then(|| format!("`U+FFFD` (`\u{fffd}`) {}", times(count)))
}

/// Finds a control character other than tabs and line ends.
pub(crate) fn control_character(text: &str) -> Option<String> {
    let is_control = |it: &char| it.is_control() && !matches!(it, '\t' | '\n' | '\r');
    let mut found = text.chars().filter(is_control);
    let first = found.next()?;
    Some(format!(
        "`U+{:04X}` {}",
        u32::from(first),
        times(1 + found.count())
    ))
}

/// Finds a character that takes no room and that neither the script nor an emoji around it needs.
pub(crate) fn invisible_character(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let mut before = None;
    for (start, letter) in text.char_indices() {
        let Some(name) = invisible_name(letter) else {
            before = Some(letter);
            continue;
        };
        let after = &text[start + letter.len_utf8()..];
        if !is_needed(letter, before, after) && !is_needed_in(letter, text) {
            return Some(format!("`U+{:04X}` ({name})", u32::from(letter)));
        }
    }
    None
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        _ => format!("{count} times"),
    }
}

fn is_tag(letter: char) -> bool {
    matches!(letter, '\u{e0000}'..='\u{e007f}')
}

fn invisible_name(letter: char) -> Option<&'static str> {
    Some(match letter {
        '\u{ad}' => "a soft hyphen",
        '\u{200b}' => "a space of no width",
        '\u{200c}' | '\u{200d}' => "a joiner of no width",
        '\u{200e}' | '\u{200f}' | '\u{61c}' => "a mark of direction",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "a turn of direction",
        '\u{2060}'..='\u{2064}' => "an invisible operator",
        '\u{feff}' => "a byte order mark",
        letter if is_tag(letter) => "an invisible tag",
        _ => return None,
    })
}

/// Joiners shape Persian, Indic scripts and emoji, spaces of no width end words where a script has no spaces, and
/// tags make flags.
fn is_needed(letter: char, before: Option<char>, after: &str) -> bool {
    match letter {
        '\u{200c}' | '\u{200d}' => before.is_some_and(|it| !it.is_ascii()),
        '\u{200b}' => before.is_some_and(is_without_spaces) || after.starts_with(is_without_spaces),
        letter if is_tag(letter) => before == Some('\u{1f3f4}'),
        _ => false,
    }
}

/// Text from right to left has marks and turns of direction around what is not; what overrides the direction of the
/// characters themselves it has no need of.
fn is_needed_in(letter: char, text: &str) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202c}' | '\u{2066}'..='\u{2069}');
    turns && text.contains(is_right_to_left)
}

fn is_right_to_left(letter: char) -> bool {
    matches!(letter, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

fn is_without_spaces(letter: char) -> bool {
    matches!(letter, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacement_characters_are_counted() {
        let found = replacement_character("na\u{fffd}ve caf\u{fffd}").unwrap();
        assert_eq!(found, "`U+FFFD` (`\u{fffd}`) 2 times");
        assert_eq!(replacement_character("naïve café"), None);
    }

    #[test]
    fn control_characters_are_found_and_line_ends_are_not() {
        assert_eq!(
            control_character("a\u{8}b\u{1b}[0m").unwrap(),
            "`U+0008` 2 times"
        );
        assert_eq!(control_character("a\u{85}").unwrap(), "`U+0085` once");
        assert_eq!(control_character("a\tb\r\n"), None);
    }

    #[test]
    fn characters_without_width_are_found_in_plain_text() {
        for (text, name) in [
            ("pass\u{200b}word", "no width"),
            ("\u{feff}Hello", "byte order mark"),
            ("user\u{202e}gnp.exe", "turn of direction"),
            ("שלום\u{202e}abc", "turn of direction"),
            ("Hi\u{e0041}\u{e0042}", "tag"),
            ("co\u{ad}operate", "soft hyphen"),
            ("a\u{200d}b", "joiner"),
        ] {
            let found = invisible_character(text);
            assert!(
                found.as_ref().is_some_and(|it| it.contains(name)),
                "{text:?}: {found:?}"
            );
        }
    }

    #[test]
    fn scripts_and_emoji_keep_what_they_need() {
        for text in [
            "می\u{200c}خواهم",
            "👩\u{200d}💻 and 👨\u{200d}👩\u{200d}👧",
            "क्\u{200d}ष",
            "שלום\u{200f}!",
            "ភាសា\u{200b}\u{200b}ខ្មែរ\u{200b} a",
            "له\u{200c} لایه\u{200c}ن",
            "דער צײכן '\u{202a}>\u{202c}' איז",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            "«Déjà vu», señor Müller — Việt Nam",
        ] {
            assert_eq!(invisible_character(text), None, "{text:?}");
        }
    }
}
