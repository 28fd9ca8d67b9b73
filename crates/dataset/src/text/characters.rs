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
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let after = letters.peek().copied();
        if let Some(name) = invisible_name(letter)
            && !is_needed(letter, before, after)
        {
            return Some(format!("`U+{:04X}` ({name})", u32::from(letter)));
        }
        // A tag belongs to the flag at the head of its sequence.
        if !is_tag(letter) {
            before = Some(letter);
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
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "an override of direction",
        '\u{2060}'..='\u{2064}' => "an invisible operator",
        '\u{feff}' => "a byte order mark",
        letter if is_tag(letter) => "an invisible tag",
        _ => return None,
    })
}

/// Joiners shape Persian, Indic scripts and emoji, marks of direction belong to right-to-left text, spaces of no
/// width end words where a script has no spaces, and tags make flags.
fn is_needed(letter: char, before: Option<char>, after: Option<char>) -> bool {
    let near = |is: fn(char) -> bool| before.is_some_and(is) || after.is_some_and(is);
    match letter {
        '\u{200c}' | '\u{200d}' => {
            before.is_some_and(|it| !it.is_ascii()) && after.is_some_and(|it| !it.is_ascii())
        }
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2066}'..='\u{2069}' => near(is_right_to_left),
        '\u{200b}' => near(is_without_spaces),
        letter if is_tag(letter) => before == Some('\u{1f3f4}'),
        _ => false,
    }
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
            ("user\u{202e}gnp.exe", "override"),
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
            "ភាសា\u{200b}ខ្មែរ",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            "«Déjà vu», señor Müller — Việt Nam",
        ] {
            assert_eq!(invisible_character(text), None, "{text:?}");
        }
    }
}
