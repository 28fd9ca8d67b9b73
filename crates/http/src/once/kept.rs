//! How an answer is written down: a line of JSON, then the body.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header, response::Parts},
    response::Response,
};
use llmopt_domain::Format;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
struct Head {
    format: Format<1>,
    status: u16,
    headers: Vec<(String, String)>,
}

/// Writes an answer down.
pub(super) fn encode(parts: &Parts, body: &[u8]) -> Vec<u8> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    let headers = parts.headers.iter().filter_map(text);
    let head = Head {
        format: Format,
        status: parts.status.as_u16(),
        // The body says it.
        headers: headers
            .filter(|(name, _)| name != header::CONTENT_LENGTH.as_str())
            .collect(),
    };
    let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    bytes
}

/// Reads an answer; `None` where it was written in another form.
pub(super) fn decode(mut bytes: Vec<u8>) -> Option<Response> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(head.status).ok()?;
    for (name, value) in head.headers {
        let name: HeaderName = name.parse().ok()?;
        response.headers_mut().append(name, value.parse().ok()?);
    }
    bytes.drain(..=end);
    *response.body_mut() = Body::from(bytes);
    Some(response)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    const FIRST: &[u8] = b"{\"format\":1,\"status\":202,\"headers\":[[\"content-type\",\"text/plain\"],[\"location\",\"/a\"]]}\nbody\n\xff";

    #[tokio::test]
    async fn an_answer_is_read_as_it_was_written_and_as_the_first_version_wrote_it() {
        let response = Response::builder()
            .status(202)
            .header("content-type", "text/plain")
            .header("content-length", "6")
            .header("location", "/a")
            .body(())
            .unwrap();
        let (parts, ()) = response.into_parts();
        assert_eq!(encode(&parts, b"body\n\xff"), FIRST);
        let response = decode(FIRST.to_vec()).unwrap();
        assert_eq!(response.status(), 202);
        assert_eq!(response.headers()["location"], "/a");
        let body = to_bytes(response.into_body(), 99).await.unwrap();
        assert_eq!(body, &b"body\n\xff"[..]);
    }

    #[test]
    fn what_another_version_wrote_is_not_guessed_at() {
        let other = String::from_utf8_lossy(FIRST).replace("\"format\":1", "\"format\":2");
        for bytes in [other.as_bytes(), b"", b"\n", b"{}\n"] {
            assert!(decode(bytes.to_vec()).is_none());
        }
    }
}
