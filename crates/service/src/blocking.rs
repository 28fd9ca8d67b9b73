use std::io;

use crate::ServiceError;

/// Runs work that computes or reads files for long where it does not hold up other tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ServiceError::File {
            operation,
            path: "a task".into(),
            source: io::Error::other(error),
        }),
    }
}
