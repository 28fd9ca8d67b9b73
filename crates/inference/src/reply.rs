use llmopt_service::{GenerationError, GenerationEvent, GenerationStream};
use tokio::sync::mpsc::{self, Sender};

use crate::InferenceError;

/// Where an answer goes; it ends there with an event or an error, whatever becomes of the work.
pub(crate) struct Reply {
    /// Of the model, for errors.
    key: String,
    /// With room for all of the answer: a reader who is slow holds up nobody.
    events: Sender<Result<GenerationEvent, GenerationError>>,
    ended: bool,
}

impl Reply {
    /// Makes the reply and its reader's end for an answer of `tokens` tokens by the model `key`.
    pub(crate) fn new(key: &str, tokens: usize) -> (Self, GenerationStream) {
        // A text for each token, one that was held back, and the end.
        let (events, stream) = mpsc::channel(tokens + 3);
        let key = key.to_owned();
        (
            Self {
                key,
                events,
                ended: false,
            },
            stream,
        )
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.events.is_closed()
    }

    /// Sends a part of the text, unless it is empty.
    pub(crate) fn send(&self, text: String) {
        if !text.is_empty() {
            // A reader that is gone is noticed before the next token.
            let _ = self.events.try_send(Ok(GenerationEvent::Text { text }));
        }
    }

    /// Sends the last event.
    pub(crate) fn end(mut self, end: Result<GenerationEvent, InferenceError>) {
        self.ended = true;
        self.send_end(end);
    }

    fn send_end(&self, end: Result<GenerationEvent, InferenceError>) {
        let end = end.map_err(|error| error.for_answer(&self.key));
        // A reader that is gone does not matter.
        let _ = self.events.try_send(end);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.ended {
            self.send_end(Err(InferenceError::Interrupted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_is_dropped_ends_with_an_error() {
        let (reply, mut stream) = Reply::new("a", 1);
        reply.send("b".to_owned());
        reply.send(String::new());
        drop(reply);
        let text = stream.try_recv().unwrap().unwrap();
        assert_eq!(
            text,
            GenerationEvent::Text {
                text: "b".to_owned()
            }
        );
        let error = stream.try_recv().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "failed to generate with model `a`");
        assert!(stream.try_recv().is_err());
    }

    #[test]
    fn a_reader_that_is_gone_is_noticed() {
        let (reply, stream) = Reply::new("a", 1);
        assert!(!reply.is_given_up());
        drop(stream);
        assert!(reply.is_given_up());
        reply.send("b".to_owned());
        reply.end(Err(InferenceError::Interrupted));
    }
}
