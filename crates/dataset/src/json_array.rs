use std::io::{self, BufRead};

/// Cuts a JSON array into the texts of its elements without holding more than one of them.
///
/// Only brackets, strings and commas are understood; whether an element is JSON is for the parser to
/// say. Depth is a number, so nesting costs no stack.
#[derive(Debug)]
pub(crate) struct ArrayElements<R> {
    input: R,
    line: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    Within,
    Done,
}

/// What comes next in an array.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// An element's text and the line on which it begins.
    Text { text: Vec<u8>, line: u64 },
    /// The file is no array; says what is wrong on which line.
    Broken { problem: &'static str, line: u64 },
}

impl<R: BufRead> ArrayElements<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            line: 1,
            state: State::Before,
        }
    }

    /// Returns the next element, or `None` after the last. Nothing follows what is broken.
    pub(crate) fn next(&mut self) -> io::Result<Option<Element>> {
        if self.state == State::Before {
            if self.skip_space()? != Some(b'[') {
                return Ok(Some(self.broken("no `[` at its beginning")));
            }
            self.byte()?;
            self.state = State::Within;
            if self.skip_space()? == Some(b']') {
                self.byte()?;
                return self.end();
            }
        }
        if self.state == State::Done {
            return Ok(None);
        }
        self.element()
    }

    fn element(&mut self) -> io::Result<Option<Element>> {
        self.skip_space()?;
        let line = self.line;
        let (mut text, mut depth) = (Vec::new(), 0_u64);
        let (mut quoted, mut escaped) = (false, false);
        loop {
            let Some(byte) = self.peek()? else {
                return Ok(Some(
                    self.broken("the end of the file before the closing `]`"),
                ));
            };
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b',' if depth == 0 => {
                    self.byte()?;
                    break;
                }
                b']' if depth == 0 => {
                    self.byte()?;
                    self.state = State::Done;
                    break;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            text.extend(self.byte()?);
        }
        if self.state == State::Done
            && let Some(broken) = self.end()?
        {
            return Ok(Some(broken));
        }
        Ok(Some(Element::Text { text, line }))
    }

    /// Requires that nothing follows the array.
    fn end(&mut self) -> io::Result<Option<Element>> {
        self.state = State::Done;
        Ok(self
            .skip_space()?
            .map(|_| self.broken("more after the closing `]`")))
    }

    fn broken(&mut self, problem: &'static str) -> Element {
        self.state = State::Done;
        Element::Broken {
            problem,
            line: self.line,
        }
    }

    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.byte()?,
                other => return Ok(other),
            };
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        self.line += u64::from(byte == Some(b'\n'));
        self.input.consume(usize::from(byte.is_some()));
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Vec<String> {
        let mut array = ArrayElements::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(element) = array.next().unwrap() {
            found.push(match element {
                Element::Text { text, line } => {
                    format!("{line}:{}", String::from_utf8(text).unwrap())
                }
                Element::Broken { problem, line } => format!("{line}!{problem}"),
            });
        }
        found
    }

    #[test]
    fn elements_are_cut_at_top_level_commas() {
        let found = elements("[{\"a\": \"x,]\\\"\"},\n [1, {\"b\": 2}],3]\n");
        assert_eq!(
            found,
            ["1:{\"a\": \"x,]\\\"\"}", "2:[1, {\"b\": 2}]", "2:3"]
        );
        assert!(elements(" [ ] ").is_empty());
    }

    #[test]
    fn what_is_no_array_is_said_once() {
        assert_eq!(elements("{}"), ["1!no `[` at its beginning"]);
        assert_eq!(
            elements("[1,\n2"),
            ["1:1", "2!the end of the file before the closing `]`"]
        );
        assert_eq!(elements("[1] x"), ["1!more after the closing `]`"]);
    }
}
