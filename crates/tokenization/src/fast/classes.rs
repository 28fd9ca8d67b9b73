mod ranges;

use std::sync::LazyLock;

use self::ranges::{LETTERS, NUMBERS, SPACES};

/// What patterns tell characters apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `[^\s\p{L}\p{N}]`
    Other,
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s` but for `[\r\n]`
    Space,
    /// `[\r\n]`
    Newline,
}

impl Class {
    /// Returns whether the class is of `\s`.
    #[inline]
    pub(super) fn is_white(self) -> bool {
        matches!(self, Self::Space | Self::Newline)
    }
}

/// The classes of characters by their code points, 206 KB; past its end all are [`Class::Other`].
static CLASSES: LazyLock<Vec<Class>> = LazyLock::new(|| {
    let mut classes = Vec::new();
    for (ranges, class) in [
        (LETTERS, Class::Letter),
        (NUMBERS, Class::Number),
        (SPACES, Class::Space),
    ] {
        for range in ranges.chunks_exact(2) {
            let [start, end] = [0, 1].map(|place| range.get(place).map_or(0, |&at| at as usize));
            classes.resize(classes.len().max(end), Class::Other);
            if let Some(range) = classes.get_mut(start..end) {
                range.fill(class);
            }
        }
    }
    classes
});

/// The classes of ASCII.
const ASCII: [Class; 128] = {
    let mut classes = [Class::Other; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Number,
            b'\r' | b'\n' => Class::Newline,
            b'\t' | 0x0b | 0x0c | b' ' => Class::Space,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// Returns the class of the character at a place in `text` and how many bytes it takes; `None` at the end.
#[inline]
pub(super) fn class_at(text: &str, at: usize) -> Option<(Class, usize)> {
    let first = *text.as_bytes().get(at)?;
    match ASCII.get(usize::from(first)) {
        Some(&class) => Some((class, 1)),
        None => wide_class_at(text, at),
    }
}

fn wide_class_at(text: &str, at: usize) -> Option<(Class, usize)> {
    let character = text.get(at..)?.chars().next()?;
    let class = CLASSES.get(u32::from(character) as usize);
    Some((class.copied().unwrap_or(Class::Other), character.len_utf8()))
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs};

    use tokenizers::utils::SysRegex;

    use super::*;

    fn every_character() -> String {
        ('\0'..=char::MAX).collect()
    }

    /// Returns the code points that a pattern of the library's regular expressions matches, as ranges.
    fn ranges_of(pattern: &str) -> Vec<u32> {
        let text = every_character();
        let pattern = SysRegex::new(pattern).unwrap();
        let mut ranges = Vec::new();
        for (start, end) in pattern.find_iter(&text) {
            let character = text[start..end].chars().next().unwrap();
            if ranges.last() == Some(&u32::from(character)) {
                ranges.pop();
            } else {
                ranges.push(u32::from(character));
            }
            ranges.push(u32::from(character) + 1);
        }
        ranges
    }

    #[test]
    fn classes_are_those_of_the_librarys_regular_expressions_for_every_character() {
        let text = every_character();
        let mut expected = vec![Class::Other; 0x11_0000];
        for (pattern, class) in [
            (r"\p{L}", Class::Letter),
            (r"\p{N}", Class::Number),
            (r"\s", Class::Space),
            (r"[\r\n]", Class::Newline),
        ] {
            for range in ranges_of(pattern).chunks(2) {
                expected[range[0] as usize..range[1] as usize].fill(class);
            }
        }
        let mut at = 0;
        for character in text.chars() {
            let found = class_at(&text, at);
            let expected = expected[character as usize];
            assert_eq!(
                found,
                Some((expected, character.len_utf8())),
                "{character:?}"
            );
            at += character.len_utf8();
        }
        assert_eq!(class_at(&text, at), None);
    }

    #[test]
    #[ignore = "writes `ranges.rs` anew, for when the library follows another version of Unicode"]
    fn ranges_are_written() {
        let mut file = String::from(
            "//! Code points in pairs, a start and one past the end: what the library's regular expressions match.\n//!\n//! Written by the test `ranges_are_written`.\n",
        );
        for (name, pattern) in [
            ("LETTERS", r"\p{L}"),
            ("NUMBERS", r"\p{N}"),
            ("SPACES", r"\s"),
        ] {
            let numbers: Vec<String> = ranges_of(pattern)
                .iter()
                .map(|at| format!("{at:#x}"))
                .collect();
            writeln!(
                file,
                "\n/// `{pattern}`\npub(super) const {name}: &[u32] = &[{}];",
                numbers.join(", ")
            )
            .unwrap();
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/fast/classes/ranges.rs");
        fs::write(path, file).unwrap();
    }
}
