use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::Reservation;
use crate::StorageError;

type Waits = Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + Sync>>;

/// A reservation that was made, and marked as sent, in one step.
#[derive(Debug)]
pub struct Sent {
    /// As it is then.
    pub reservation: Reservation,
    /// Ends when it lasts: before, nothing may be sent that costs anything.
    pub lasting: Lasting,
}

/// Ends when a step lasts, with an error where it does not: then it may be lost with the next loss of power, and until
/// then everybody sees it. After an error it must not be polled again.
pub struct Lasting(Option<Waits>);

impl Lasting {
    /// It lasts already.
    pub fn already() -> Self {
        Self(None)
    }

    /// It lasts when `waits` has ended.
    pub fn after(
        waits: impl Future<Output = Result<(), StorageError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Box::pin(waits)))
    }

    /// Whether there is nothing to wait for.
    pub fn is_over(&self) -> bool {
        self.0.is_none()
    }
}

impl Future for Lasting {
    type Output = Result<(), StorageError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(waits) = &mut self.0 else {
            return Poll::Ready(Ok(()));
        };
        let ended = waits.as_mut().poll(context);
        if matches!(ended, Poll::Ready(Ok(()))) {
            self.0 = None;
        }
        ended
    }
}

impl fmt::Debug for Lasting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Lasting");
        shown.field("is_over", &self.is_over()).finish()
    }
}
