use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::sync::oneshot::{self, Receiver, Sender};

/// What the last byte of a request waits for. Who waits for something else before a provider may have a question has the
/// rest of the way made meanwhile: a connection, what comes before, and what the provider does for that.
#[derive(Debug)]
pub struct Go(Option<Receiver<()>>);

/// The last byte is not sent.
#[derive(Debug, Error)]
#[error("the request is not sent to its end")]
struct Withheld;

/// A body whose last byte waits.
struct Held {
    left: Bytes,
    go: Option<Receiver<()>>,
}

impl Go {
    /// It waits for nothing.
    pub fn now() -> Self {
        Self(None)
    }

    /// It waits until something is sent; where that is dropped, it is never sent, and the connection is closed.
    pub fn later() -> (Sender<()>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(Some(receiver)))
    }

    /// Makes a body of `bytes`.
    pub(crate) fn hold(self, bytes: Vec<u8>) -> reqwest::Body {
        match self.0 {
            None => bytes.into(),
            go => reqwest::Body::wrap(Held {
                left: bytes.into(),
                go,
            }),
        }
    }
}

impl Held {
    fn may_go(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Withheld>> {
        let Some(go) = &mut self.go else {
            return Poll::Ready(Ok(()));
        };
        let went = ready!(Pin::new(go).poll(context));
        self.go = None;
        Poll::Ready(went.map_err(|_| {
            self.left.clear();
            Withheld
        }))
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = Withheld;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withheld>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let before = match self.may_go(context) {
            Poll::Ready(Ok(())) => self.left.len(),
            Poll::Ready(Err(withheld)) => return Poll::Ready(Some(Err(withheld))),
            Poll::Pending => self.left.len() - 1,
        };
        if before == 0 {
            return Poll::Pending;
        }
        let piece = self.left.split_to(before);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len().try_into().unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn held(bytes: &'static str) -> (Sender<()>, Held) {
        let (sender, go) = Go::later();
        let left = Bytes::from_static(bytes.as_bytes());
        (sender, Held { left, go: go.0 })
    }

    /// What comes next: a piece, the end, an error, or nothing for now.
    fn next(body: &mut Held) -> String {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Pending => "wait".to_owned(),
            Poll::Ready(None) => "end".to_owned(),
            Poll::Ready(Some(Err(error))) => error.to_string(),
            Poll::Ready(Some(Ok(frame))) => {
                String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
            }
        }
    }

    #[test]
    fn all_but_the_last_byte_comes_at_once() {
        let (go, mut body) = held("{}\n");
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!([next(&mut body), next(&mut body)], ["{}", "wait"]);
        assert!(!body.is_end_stream());
        go.send(()).unwrap();
        assert_eq!([next(&mut body), next(&mut body)], ["\n", "end"]);
        assert!(body.is_end_stream());
    }

    #[test]
    fn what_need_not_wait_any_more_comes_in_one_piece() {
        let (go, mut body) = held("{}");
        go.send(()).unwrap();
        assert_eq!([next(&mut body), next(&mut body)], ["{}", "end"]);
    }

    #[test]
    fn a_single_byte_waits_and_none_does_not() {
        let (go, mut body) = held("1");
        assert_eq!(next(&mut body), "wait");
        drop(go);
        let withheld = "the request is not sent to its end";
        assert_eq!([next(&mut body), next(&mut body)], [withheld, "end"]);
        assert_eq!(next(&mut held("").1), "end");
    }
}
