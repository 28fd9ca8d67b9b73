use axum::http::{HeaderMap, header};
use utoipa::ToSchema;

/// Returns whether the caller wants server-sent events.
pub fn accepts_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// Returns whether the caller takes JSON and not what is made of it for problems.
pub(crate) fn wants_plain_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let kinds = accept.unwrap_or("*/*").split(',');
    let kinds = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let takes = |wanted: &str| kinds.clone().any(|kind| kind.eq_ignore_ascii_case(wanted));
    takes("application/json")
        && !["application/problem+json", "application/*", "*/*"]
            .into_iter()
            .any(takes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_json_is_for_those_who_take_nothing_else() {
        let wants = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            wants_plain_json(&headers)
        };
        assert!(wants("application/json"));
        assert!(wants("text/html, application/JSON;q=0.9"));
        for other in [
            "*/*",
            "application/json, */*;q=0.1",
            "application/json, application/problem+json",
            "text/html",
        ] {
            assert!(!wants(other), "{other}");
        }
        assert!(!wants_plain_json(&HeaderMap::new()));
    }
}
