use axum::http::{HeaderMap, header};

/// Returns whether the caller wants server-sent events.
pub fn accepts_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}
