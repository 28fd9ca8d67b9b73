//! Bodies, as they are sent, and what goes wrong with them.

use std::{io, time::Duration};

use axum::body::{Body, Bytes};
use futures::stream;

use crate::{Ended, Fault, state::Record};

/// A part of a body that is sent at once.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    bytes: Bytes,
    /// The tokens of output in it.
    tokens: u64,
}

impl Piece {
    pub(crate) fn new(text: String, tokens: u64) -> Self {
        Self {
            bytes: Bytes::from(text),
            tokens,
        }
    }
}

/// Makes the pieces' tokens come to `output`: the last has what the others leave.
pub(crate) fn bill(pieces: &mut [Piece], output: u64) {
    let mut left = output;
    for piece in pieces.iter_mut() {
        piece.tokens = piece.tokens.min(left);
        left -= piece.tokens;
    }
    if let Some(last) = pieces.last_mut() {
        last.tokens += left;
    }
}

/// Has a stream go wrong.
pub(crate) fn spoil(mut pieces: Vec<Piece>, fault: Option<&Fault>, error: Piece) -> Vec<Piece> {
    match fault {
        Some(Fault::EndAfter { events } | Fault::StallAfter { events }) => {
            pieces.truncate(*events);
        }
        Some(Fault::ErrorAfter { events }) => {
            pieces.truncate(*events);
            pieces.push(error);
        }
        Some(Fault::MalformedAfter { events }) => {
            let broken = Piece::new("data: {\"choices\": [{\n\n".to_owned(), 0);
            pieces.insert((*events).min(pieces.len()), broken);
        }
        Some(Fault::HugeLine { bytes }) => {
            let line = format!(": {}\n\n", "x".repeat(*bytes));
            pieces.insert(1.min(pieces.len()), Piece::new(line, 0));
        }
        _ => {}
    }
    pieces
}

/// Has a body go wrong that is sent at once.
pub(crate) fn spoil_whole(mut text: String, fault: Option<&Fault>) -> String {
    if matches!(fault, Some(Fault::MalformedAfter { .. })) {
        text.truncate(text.floor_char_boundary(text.len() / 2));
    }
    text
}

struct Sending {
    pieces: std::vec::IntoIter<Piece>,
    record: Record,
    pause: Duration,
    /// Bytes until the connection is cut.
    left: Option<usize>,
    /// What is done after the last piece.
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ends,
    Stalls,
}

/// Makes a body that sends pieces one after the other, and keeps the record of it.
pub(crate) fn body(
    pieces: Vec<Piece>,
    fault: Option<&Fault>,
    pause: Duration,
    record: Record,
) -> Body {
    let left = match fault {
        Some(Fault::CutAfter { bytes }) => Some(*bytes),
        Some(Fault::BreakAfter { events }) => {
            let sent = pieces.iter().take(*events);
            Some(sent.map(|piece| piece.bytes.len()).sum())
        }
        _ => None,
    };
    let sending = Sending {
        pieces: pieces.into_iter(),
        record,
        pause,
        left,
        end: match fault {
            Some(Fault::StallAfter { .. }) => End::Stalls,
            _ => End::Ends,
        },
    };
    Body::from_stream(stream::unfold(sending, |mut sending| async {
        let piece = sending.next().await?;
        Some((piece, sending))
    }))
}

impl Sending {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.left == Some(0) {
            // What was sent before goes out only when nothing more is there at once.
            tokio::task::yield_now().await;
            self.record.end(Ended::Cut);
            return Some(Err(io::Error::other("cut off, as it was to be")));
        }
        let Some(piece) = self.pieces.next() else {
            if self.end == End::Stalls {
                std::future::pending::<()>().await;
            }
            self.record.end(Ended::Whole);
            return None;
        };
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        self.record.add_output(piece.tokens);
        let most = self.left.unwrap_or(usize::MAX).min(piece.bytes.len());
        self.left = self.left.map(|left| left - most);
        Some(Ok(piece.bytes.slice(..most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Vec<Piece> {
        ["a", "b", "c"]
            .map(|text| Piece::new(text.to_owned(), 1))
            .to_vec()
    }

    fn text(piece: &Piece) -> String {
        String::from_utf8_lossy(&piece.bytes).into_owned()
    }

    #[test]
    fn pieces_cost_together_what_is_billed() {
        for output in [0, 2, 3, 50] {
            let mut pieces = pieces();
            bill(&mut pieces, output);
            let sum: u64 = pieces.iter().map(|piece| piece.tokens).sum();
            assert_eq!(sum, output);
        }
    }

    #[test]
    fn a_fault_is_where_it_was_asked_for() {
        let error = || Piece::new("error".to_owned(), 0);
        let spoilt = |fault| {
            let pieces = spoil(pieces(), Some(&fault), error());
            pieces.iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(spoilt(Fault::ErrorAfter { events: 1 }), ["a", "error"]);
        assert_eq!(spoilt(Fault::EndAfter { events: 2 }), ["a", "b"]);
        assert_eq!(spoilt(Fault::StallAfter { events: 1 }), ["a"]);
        let malformed = spoilt(Fault::MalformedAfter { events: 9 });
        assert_eq!(malformed.len(), 4);
        assert!(malformed[3].starts_with("data: {"));
    }
}
