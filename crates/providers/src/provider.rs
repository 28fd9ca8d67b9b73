use std::time::Duration;

use async_trait::async_trait;

use crate::{Completion, CompletionRequest, Go, ModelList, ProviderError};

/// Answers conversations with models of someone else's, for money.
///
/// Each call is one request to the provider: nothing here tries again. See `RetryPolicy` for when a caller may.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Asks for an answer, and returns with its first part in hand.
    ///
    /// So an error of this call is one that came before anything was said, whatever the status of the
    /// response: nothing was passed on, and another try or another provider is open. Errors after it are in the
    /// stream, as `Interrupted`. Dropping the call or the stream closes the connection.
    ///
    /// # Errors
    /// If the request cannot be sent, or is refused, or no answer begins in time.
    async fn complete(&self, request: &CompletionRequest) -> Result<Completion, ProviderError> {
        self.complete_after(Go::now(), request).await
    }

    /// As [`complete`](Self::complete). The last byte of the request is sent when `go` says so: before, the provider
    /// has nothing that it could answer, and most of the way is made.
    ///
    /// # Errors
    /// As for [`complete`](Self::complete).
    async fn complete_after(
        &self,
        go: Go,
        request: &CompletionRequest,
    ) -> Result<Completion, ProviderError>;

    /// Lists the models that the key may use, which costs nothing: the test of a connection.
    ///
    /// # Errors
    /// If the request cannot be sent, or is refused, or is not answered within `timeout`.
    async fn list_models(&self, timeout: Duration) -> Result<ModelList, ProviderError>;
}
