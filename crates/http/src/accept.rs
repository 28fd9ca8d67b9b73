use axum::http::{HeaderMap, header};
use utoipa::ToSchema;

/// Returns whether the caller wants server-sent events.
pub fn accepts_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// One of the server-sent events of a stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "axum writes events; this describes them")]
pub struct ServerSentEvent {
    /// What it is called.
    event: String,
    /// JSON.
    data: String,
    /// Its number, where a stream can go on after it.
    #[schema(required = false)]
    id: String,
}
