//! How detectors walk through a text.

/// Shows as much of a private value as is needed to find it: the first three characters and the length.
pub(super) fn masked(value: &str) -> String {
    let start: String = value.chars().take(3).collect();
    format!("`{start}…` ({} characters)", value.chars().count())
}

/// Writes control characters as escapes, so that a finding stays one line and does nothing to a terminal.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() {
            true => visible.extend(letter.escape_default()),
            false => visible.push(letter),
        }
    }
    visible
}

/// Returns the longest start of `text` of which every character is `wanted`.
pub(super) fn leading(text: &str, wanted: impl Fn(char) -> bool) -> &str {
    let end = text.find(|letter| !wanted(letter)).unwrap_or(text.len());
    &text[..end]
}

/// Returns the longest end of `text` of which every character is `wanted`.
pub(super) fn trailing(text: &str, wanted: impl Fn(char) -> bool) -> &str {
    let start = text.trim_end_matches(wanted).len();
    &text[start..]
}

/// Tells whether a word or number goes on at the end of `before`.
pub(super) fn ends_in_word(before: &str) -> bool {
    before
        .chars()
        .next_back()
        .is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}

/// A number as it is written: digits, with a space or a dash between groups.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<'a> {
    /// As it stands in the text.
    pub(super) written: &'a str,
    before: &'a str,
    after: &'a str,
}

impl<'a> Number<'a> {
    /// Returns its digits alone.
    pub(super) fn digits(&self) -> Vec<u32> {
        self.written
            .chars()
            .filter_map(|it| it.to_digit(10))
            .collect()
    }

    /// Returns the groups of digits.
    pub(super) fn groups(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.written.split([' ', '-'])
    }

    /// Tells whether it is no part of a word, a decimal, an amount or a formula.
    pub(super) fn stands_alone(&self) -> bool {
        let edge = |side: Option<char>| {
            side.is_none_or(|it| {
                !it.is_alphanumeric() && !matches!(it, '_' | '$' | '€' | '=' | '+' | '/' | '*')
            })
        };
        let mut after = self.after.chars();
        let is_decimal = after.next().is_some_and(|it| matches!(it, '.' | ','))
            && after.next().is_some_and(|it| it.is_ascii_digit());
        let before = self.before.chars().next_back();
        let follows_point = matches!(before, Some('.' | ','));
        edge(before) && edge(self.after.chars().next()) && !is_decimal && !follows_point
    }
}

/// Returns the numbers in `text`, in order.
pub(super) fn numbers(text: &str) -> impl Iterator<Item = Number<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find(|it: char| it.is_ascii_digit())?;
        let end = start + number_length(&text.as_bytes()[start..]);
        from = end;
        Some(Number {
            written: &text[start..end],
            before: &text[..start],
            after: &text[end..],
        })
    })
}

fn number_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    loop {
        let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
        let is_separator = matches!(at(length), b' ' | b'-');
        match at(length).is_ascii_digit() {
            true => length += 1,
            false if is_separator && at(length + 1).is_ascii_digit() => length += 2,
            false => return length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_value_shows_its_first_three_characters_and_its_length() {
        assert_eq!(masked("hunter2"), "`hun…` (7 characters)");
        assert_eq!(masked("é"), "`é…` (1 characters)");
    }

    #[test]
    fn control_characters_are_written_as_escapes() {
        assert_eq!(visible("é\n\u{9b}“"), "é\\n\\u{9b}“");
    }

    #[test]
    fn numbers_are_digits_with_single_separators() {
        let written: Vec<_> = numbers("a 12 34-5  6, 7.8").map(|it| it.written).collect();
        assert_eq!(written, ["12 34-5", "6", "7", "8"]);
    }

    #[test]
    fn a_part_of_a_word_or_a_decimal_does_not_stand_alone() {
        for text in ["v12", "12a", "1.5", "$12", "=12", "x_1"] {
            assert!(!numbers(text).next().unwrap().stands_alone(), "{text}");
        }
        for text in ["12", "(12)", "12.", "no 12, and"] {
            assert!(numbers(text).next().unwrap().stands_alone(), "{text}");
        }
    }
}
