use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::request::Parts,
    response::Response,
};
use futures::{Stream, StreamExt, stream};

use super::fingerprint::Fingerprint;
use crate::{Code, Problem};

/// Bytes of a body that is read before anything is done about it: what a JSON body may have.
const SMALL: usize = 2 << 20;

/// What is asked.
pub(super) enum Asked {
    /// All of it, with its fingerprint.
    Whole(Bytes, String),
    /// A body that is too large to be kept: its fingerprint is known when it has passed.
    Passing(Passing),
}

/// A body that is hashed as it passes. All clones are the same one: what a reader leaves, another may take.
#[derive(Clone)]
pub(super) struct Passing(Arc<Mutex<State>>);

struct State {
    /// Absent once the fingerprint was taken.
    fingerprint: Option<Fingerprint>,
    parts: Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>,
    /// Whether a part did not come.
    broke_off: bool,
}

impl Asked {
    /// Reads a body, as far as it is small.
    pub(super) async fn read(parts: &Parts, key: &str, body: Body) -> Result<Self, Problem> {
        let mut fingerprint = Fingerprint::of(parts, key);
        let mut rest = body.into_data_stream();
        let (mut read, mut size) = (Vec::new(), 0);
        while let Some(part) = rest.next().await {
            let part = part.map_err(|error| broken(&error))?;
            size += part.len();
            read.push(part);
            if size > SMALL {
                return Ok(Self::Passing(Passing::new(fingerprint, read, rest)));
            }
        }
        let bytes = Bytes::from(read.concat());
        fingerprint.update(&bytes);
        Ok(Self::Whole(bytes, fingerprint.finish()))
    }

    /// Returns the fingerprint, if it is known already.
    pub(super) fn known(&self) -> Option<&str> {
        match self {
            Self::Whole(_, fingerprint) => Some(fingerprint),
            Self::Passing(_) => None,
        }
    }

    /// Returns the body, for whoever answers.
    pub(super) fn body(&self) -> Body {
        match self {
            Self::Whole(bytes, _) => Body::from(bytes.clone()),
            Self::Passing(passing) => Body::from_stream(passing.clone()),
        }
    }

    /// Returns `response` when the body has come: whoever is still sending it may not look for an answer, and
    /// would lose it with the connection.
    pub(super) async fn then(self, response: Response) -> Response {
        let _ = self.fingerprint().await;
        response
    }

    /// Returns the fingerprint, after what is left of the body.
    pub(super) async fn fingerprint(self) -> Result<String, Problem> {
        match self {
            Self::Whole(_, fingerprint) => Ok(fingerprint),
            Self::Passing(mut passing) => {
                while let Some(part) = passing.next().await {
                    part.map_err(|error| broken(&error))?;
                }
                passing.finish()
            }
        }
    }
}

impl Passing {
    fn new(fingerprint: Fingerprint, read: Vec<Bytes>, rest: BodyDataStream) -> Self {
        let parts = stream::iter(read.into_iter().map(Ok)).chain(rest);
        Self(Arc::new(Mutex::new(State {
            fingerprint: Some(fingerprint),
            parts: Box::pin(parts),
            broke_off: false,
        })))
    }

    fn finish(&self) -> Result<String, Problem> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = state.fingerprint.take().filter(|_| !state.broke_off);
        let fingerprint = fingerprint.ok_or_else(|| broken(&"it ended early"))?;
        Ok(fingerprint.finish())
    }
}

impl Stream for Passing {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let polled = state.parts.as_mut().poll_next(context);
        match &polled {
            Poll::Ready(Some(Ok(part))) => {
                if let Some(fingerprint) = &mut state.fingerprint {
                    fingerprint.update(part);
                }
            }
            Poll::Ready(Some(Err(_))) => state.broke_off = true,
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }
}

fn broken(what: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidRequest, format!("the body broke off: {what}"))
}
