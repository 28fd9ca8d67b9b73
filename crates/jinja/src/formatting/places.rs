//! Reading what stands in a place.

/// What is left of a text that is read character by character.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) rest: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Goes on if a character is the next.
    pub(super) fn skip(&mut self, c: char) -> bool {
        let found = self.rest.strip_prefix(c);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    /// Returns what comes before a character of a kind, or all.
    pub(super) fn until(&mut self, is_end: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (before, rest) = self.rest.split_at(end);
        self.rest = rest;
        before
    }

    /// Returns a number of digits, if there are some; a number that is too large is the largest.
    pub(super) fn number(&mut self, digit: impl Fn(char) -> Option<u32>) -> Option<usize> {
        let digits = self.until(|c| digit(c).is_none());
        let number = digits
            .chars()
            .filter_map(digit)
            .fold(0_usize, |number, it| {
                number.saturating_mul(10).saturating_add(it as usize)
            });
        (!digits.is_empty()).then_some(number)
    }
}
