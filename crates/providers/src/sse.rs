use thiserror::Error;

/// An event of a stream of server-sent events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SseEvent {
    /// What kind it says it is; empty where it does not.
    pub event: String,
    /// Its data, lines joined by line feeds.
    pub data: String,
}

/// How large what a stream sends may be, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SseLimits {
    /// A line.
    pub line_bytes: usize,
    /// The data of an event.
    pub event_bytes: usize,
}

impl Default for SseLimits {
    /// 4 MiB each: a server that sends an answer in one event still fits.
    fn default() -> Self {
        Self {
            line_bytes: 4 << 20,
            event_bytes: 4 << 20,
        }
    }
}

/// What is wrong with a stream. After one, a parser is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum SseError {
    /// A line is too long.
    #[error("a line of the stream has more than {limit} bytes")]
    LineTooLong {
        /// What it may have.
        limit: usize,
    },
    /// An event is too large.
    #[error("an event of the stream has more than {limit} bytes of data")]
    EventTooLarge {
        /// What it may have.
        limit: usize,
    },
    /// A line is not UTF-8.
    #[error("line {line} of the stream is not UTF-8")]
    NotUtf8 {
        /// Which, from 1.
        line: u64,
    },
}

/// Reads a stream of server-sent events from pieces that are cut anywhere.
///
/// As WHATWG's HTML has it (9.2.5 and 9.2.6): lines end with CRLF, LF or CR; a byte order mark at the start,
/// comments and unknown fields are passed over; an event that no empty line ends is dropped. Fields `id` and
/// `retry` are for reconnecting, which no provider knows, and are passed over too.
#[derive(Debug, Default)]
pub struct SseParser {
    limits: SseLimits,
    /// The line so far.
    line: Vec<u8>,
    lines: u64,
    ended: LineEnd,
    event: SseEvent,
    has_data: HasData,
}

/// How the line before ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LineEnd {
    #[default]
    Whole,
    /// With a CR, which an LF may belong to.
    CarriageReturn,
}

/// Whether the event has a line of data, which may be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HasData {
    #[default]
    No,
    Yes,
}

impl SseParser {
    /// Makes a parser.
    pub fn new(limits: SseLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes the next piece, and adds the events that it completes to `events`.
    ///
    /// # Errors
    /// If the stream is wrong or too large; events before that place are there.
    pub fn push(&mut self, mut piece: &[u8], events: &mut Vec<SseEvent>) -> Result<(), SseError> {
        while let Some(&first) = piece.first() {
            if self.ended == LineEnd::CarriageReturn {
                self.ended = LineEnd::Whole;
                if first == b'\n' {
                    piece = &piece[1..];
                    continue;
                }
            }
            let end = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            self.extend_line(&piece[..end.unwrap_or(piece.len())])?;
            let Some(end) = end else {
                return Ok(());
            };
            if piece[end] == b'\r' {
                self.ended = LineEnd::CarriageReturn;
            }
            piece = &piece[end + 1..];
            events.extend(self.end_line()?);
        }
        Ok(())
    }

    fn extend_line(&mut self, part: &[u8]) -> Result<(), SseError> {
        let limit = self.limits.line_bytes;
        if self.line.len() + part.len() > limit {
            return Err(SseError::LineTooLong { limit });
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<SseEvent>, SseError> {
        let bytes = std::mem::take(&mut self.line);
        self.lines += 1;
        let not_utf8 = SseError::NotUtf8 { line: self.lines };
        let line = std::str::from_utf8(&bytes).map_err(|_| not_utf8)?;
        let line = match self.lines {
            1 => line.strip_prefix('\u{feff}').unwrap_or(line),
            _ => line,
        };
        let ended = match line {
            "" => self.end_event(),
            line => {
                self.take_field(line)?;
                None
            }
        };
        // The next line has the room of this one.
        self.line = bytes;
        self.line.clear();
        Ok(ended)
    }

    fn take_field(&mut self, line: &str) -> Result<(), SseError> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event.event),
            "data" => self.take_data(value)?,
            _ => {}
        }
        Ok(())
    }

    fn take_data(&mut self, value: &str) -> Result<(), SseError> {
        let limit = self.limits.event_bytes;
        if self.event.data.len() + value.len() + 1 > limit {
            return Err(SseError::EventTooLarge { limit });
        }
        if self.has_data == HasData::Yes {
            self.event.data.push('\n');
        }
        self.has_data = HasData::Yes;
        self.event.data.push_str(value);
        Ok(())
    }

    /// Ends an event; one without data is none.
    fn end_event(&mut self) -> Option<SseEvent> {
        let event = std::mem::take(&mut self.event);
        let has_data = std::mem::take(&mut self.has_data);
        (has_data == HasData::Yes).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn event(event: &str, data: &str) -> SseEvent {
        SseEvent {
            event: event.to_owned(),
            data: data.to_owned(),
        }
    }

    /// Everything that comes of pieces: the events, and the error if there is one.
    fn parse(pieces: &[&[u8]], limits: SseLimits) -> (Vec<SseEvent>, Option<SseError>) {
        let mut parser = SseParser::new(limits);
        let mut events = Vec::new();
        for piece in pieces {
            if let Err(error) = parser.push(piece, &mut events) {
                return (events, Some(error));
            }
        }
        (events, None)
    }

    fn events(text: &str) -> Vec<SseEvent> {
        let (events, error) = parse(&[text.as_bytes()], SseLimits::default());
        assert_eq!(error, None);
        events
    }

    #[test]
    fn lines_end_in_any_of_three_ways() {
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("event: a{end}data: 1{end}{end}data: 2{end}{end}");
            // A CR at the very end may be half of a CRLF, and still ends the event.
            assert_eq!(events(&text), [event("a", "1"), event("", "2")], "{end:?}");
        }
    }

    #[test]
    fn data_has_lines_and_loses_one_space() {
        assert_eq!(
            events("data: a\ndata:  b\ndata:c\n\n"),
            [event("", "a\n b\nc")]
        );
        assert_eq!(events("data\ndata:\n\n"), [event("", "\n")]);
    }

    #[test]
    fn what_is_no_data_makes_no_event() {
        assert_eq!(events(": ping\n\nevent: a\n\nid: 1\nretry: 2\n\n"), []);
        let after = events("event: a\n\ndata: 1\n\n");
        assert_eq!(
            after,
            [event("", "1")],
            "the kind of an event that was none is gone"
        );
    }

    #[test]
    fn a_byte_order_mark_at_the_start_is_passed_over() {
        assert_eq!(events("\u{feff}data: 1\n\n"), [event("", "1")]);
        assert_eq!(events("\n\u{feff}data: 1\n\n"), []);
    }

    #[test]
    fn an_event_that_does_not_end_is_dropped() {
        assert_eq!(events("data: 1\n\ndata: 2\n"), [event("", "1")]);
    }

    #[test]
    fn what_is_too_large_or_not_utf8_is_an_error() {
        let limits = SseLimits {
            line_bytes: 10,
            event_bytes: 8,
        };
        let whole = |text: &[u8]| parse(&[text], limits);
        let too_long = Some(SseError::LineTooLong { limit: 10 });
        assert_eq!(whole(b"data: 12345\n\n"), (vec![], too_long));
        assert_eq!(whole(b":2345678901"), (vec![], too_long));
        let too_large = Some(SseError::EventTooLarge { limit: 8 });
        assert_eq!(whole(b"data: 1234\ndata: 1234\n\n"), (vec![], too_large));
        let before = whole(b"data: 1\n\ndata: \xff\n\n");
        let not_utf8 = Some(SseError::NotUtf8 { line: 3 });
        assert_eq!(before, (vec![event("", "1")], not_utf8));
    }

    /// Pieces that streams are made of, whole and broken.
    fn fragment() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            "data: {\"text\": \"gr\u{fc}\u{df} \u{1f980}\"}",
            "data:",
            "event: message_start",
            ": ping",
            "\u{feff}",
            "\n",
            "\n\n",
            "\r\n",
            "\r",
            "data: [DONE]\n\n",
            "id: 7",
        ]);
        prop_oneof![
            8 => known.prop_map(|text| text.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 0..8),
        ]
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_events(
            fragments in vec(fragment(), 0..24), sizes in vec(1..7_usize, 1..8),
        ) {
            let bytes = fragments.concat();
            let limits = SseLimits { line_bytes: 48, event_bytes: 64 };
            let mut pieces = Vec::new();
            let mut rest = bytes.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            prop_assert_eq!(parse(&pieces, limits), parse(&[&bytes], limits));
        }
    }
}
