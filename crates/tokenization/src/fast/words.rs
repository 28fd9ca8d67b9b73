use std::ops::Range;

use super::classes::{Class, class_at};

/// How GPT-2 splits text.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// How GPT-4 and Llama 3 do.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Qwen 2 to 3 do.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A regular expression that splits text into words, known by its very text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Gpt2,
    Llama3,
    Qwen2,
}

impl Pattern {
    pub(super) fn of(text: &str) -> Option<Self> {
        match text {
            GPT2 => Some(Self::Gpt2),
            LLAMA3 => Some(Self::Llama3),
            QWEN2 => Some(Self::Qwen2),
            _ => None,
        }
    }

    #[cfg(test)]
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Gpt2 => GPT2,
            Self::Llama3 => LLAMA3,
            Self::Qwen2 => QWEN2,
        }
    }
}

/// Where a word is in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Word {
    /// Returns the bytes of the word in the text that it was found in.
    pub(super) fn of(self, text: &str) -> &[u8] {
        let range: Range<usize> = self.start..self.end;
        text.as_bytes().get(range).unwrap_or_default()
    }
}

/// Returns the words that a pattern matches in `text`, which together are all of it.
pub(super) fn words(text: &str, pattern: Pattern) -> impl Iterator<Item = Word> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let scanner = Scanner { text, start };
        let (class, size) = class_at(text, start)?;
        let after = start + size;
        let end = match pattern {
            Pattern::Gpt2 => scanner.gpt2(class, after),
            Pattern::Llama3 => scanner.gpt4(class, after, 3),
            Pattern::Qwen2 => scanner.gpt4(class, after, 1),
        };
        let word = Word { start, end };
        start = end;
        Some(word)
    })
}

/// A text and where the next word starts in it.
///
/// Methods that return a place return the end of that word. `after` is where its first character ends.
struct Scanner<'a> {
    text: &'a str,
    start: usize,
}

impl Scanner<'_> {
    #[inline]
    fn gpt2(&self, class: Class, after: usize) -> usize {
        match class {
            Class::Letter | Class::Number => self.run(after, class),
            Class::Other => match self.contraction(after, Case::Lower) {
                Some(end) => end,
                None => self.run(after, class),
            },
            Class::Space | Class::Newline => match class_at(self.text, after) {
                Some((next, size)) if !next.is_white() && self.byte(self.start) == b' ' => {
                    self.run(after + size, next)
                }
                _ => self.white(),
            },
        }
    }

    #[inline]
    fn gpt4(&self, class: Class, after: usize, most_digits: usize) -> usize {
        let next = class_at(self.text, after);
        match (class, next) {
            (Class::Letter, _) => self.run(after, class),
            (Class::Number, _) => self.digits(after, most_digits),
            (Class::Other, _) if let Some(end) = self.contraction(after, Case::Any) => end,
            (Class::Other | Class::Space, Some((Class::Letter, size))) => {
                self.run(after + size, Class::Letter)
            }
            (Class::Other, _) => self.marks(after),
            (Class::Space, Some((Class::Other, size))) if self.byte(self.start) == b' ' => {
                self.marks(after + size)
            }
            (Class::Space | Class::Newline, _) => self.lines().unwrap_or_else(|| self.white()),
        }
    }

    /// Returns where characters of `class` end that begin at `from`.
    #[inline]
    fn run(&self, from: usize, class: Class) -> usize {
        let mut end = from;
        while let Some((next, size)) = class_at(self.text, end)
            && next == class
        {
            end += size;
        }
        end
    }

    /// `[^\s\p{L}\p{N}]+[\r\n]*` of which the first character is before `from`.
    fn marks(&self, from: usize) -> usize {
        self.run(self.run(from, Class::Other), Class::Newline)
    }

    /// `\p{N}{1,most}`
    fn digits(&self, after: usize, most: usize) -> usize {
        let mut end = after;
        for _ in 1..most {
            match class_at(self.text, end) {
                Some((Class::Number, size)) => end += size,
                _ => break,
            }
        }
        end
    }

    /// `\s*[\r\n]+`: white space up to the last line break in it.
    fn lines(&self) -> Option<usize> {
        let (mut at, mut found) = (self.start, None);
        while let Some((class, size)) = class_at(self.text, at)
            && class.is_white()
        {
            at += size;
            if class == Class::Newline {
                found = Some(at);
            }
        }
        found
    }

    /// `\s+(?!\S)|\s+`: white space, without its last character where a word follows and it is not the only one.
    fn white(&self) -> usize {
        let (mut end, mut last) = (self.start, self.start);
        while let Some((class, size)) = class_at(self.text, end)
            && class.is_white()
        {
            last = end;
            end += size;
        }
        if end == self.text.len() || last == self.start {
            end
        } else {
            last
        }
    }

    /// `'s|'t|'re|'ve|'m|'ll|'d`
    fn contraction(&self, after: usize, case: Case) -> Option<usize> {
        if self.byte(self.start) != b'\'' {
            return None;
        }
        let [first, second] = [0, 1].map(|place| match case {
            Case::Lower => self.byte(after + place),
            Case::Any => self.byte(after + place).to_ascii_lowercase(),
        });
        match (first, second) {
            (b's' | b't' | b'm' | b'd', _) => Some(after + 1),
            (b'r' | b'v', b'e') | (b'l', b'l') => Some(after + 2),
            // The long s, which is an s to whom case does not matter.
            (0xc5, 0xbf) if case == Case::Any => Some(after + 2),
            _ => None,
        }
    }

    /// Returns the byte at a place, 0 past the end.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }
}

/// Which letters a contraction may be written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Any,
}
