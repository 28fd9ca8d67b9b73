use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use serde::Deserialize;
use serde_json::Value;

use crate::invocation::Parts;

/// What a stream says it is where HTTP is to be made of it.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.awslambda.http-integration-response";
/// Between the prelude and the body.
const DELIMITER: [u8; 8] = [0; 8];
/// Where the delimiter is at most.
const LIMIT: usize = 16 * 1024;

/// The status and headers of a streamed answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Prelude {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// What came of the body with the prelude.
    pub(crate) first: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default = "ok")]
    status_code: u16,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    #[serde(default)]
    cookies: Vec<String>,
}

fn ok() -> u16 {
    200
}

/// Reads the prelude of a stream, `None` where it has none that can be read.
pub(crate) async fn read(parts: &mut Parts) -> Option<Prelude> {
    let mut begun = Vec::new();
    loop {
        begun.extend_from_slice(&parts.recv().await?.ok()?);
        let delimiter = begun
            .windows(DELIMITER.len())
            .position(|window| window == DELIMITER);
        match delimiter {
            Some(at) => return parse(&begun, at),
            None if begun.len() > LIMIT => return None,
            None => {}
        }
    }
}

fn parse(begun: &[u8], at: usize) -> Option<Prelude> {
    let document: Document = serde_json::from_slice(&begun[..at]).ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in &document.headers {
        append(&mut headers, name, value)?;
    }
    for cookie in document.cookies {
        headers.append(header::SET_COOKIE, HeaderValue::try_from(cookie).ok()?);
    }
    Some(Prelude {
        status: StatusCode::from_u16(document.status_code).ok()?,
        headers,
        first: Bytes::copy_from_slice(&begun[at + DELIMITER.len()..]),
    })
}

/// Adds a header that is a value or a list of them. What is between a server and its client is theirs.
pub(crate) fn append(headers: &mut HeaderMap, name: &str, value: &Value) -> Option<()> {
    let name = HeaderName::try_from(name).ok()?;
    if name == header::TRANSFER_ENCODING || name == header::CONNECTION {
        return Some(());
    }
    let values = match value {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    for value in values {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        headers.append(&name, HeaderValue::try_from(text).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_prelude_may_come_in_pieces_and_with_some_of_the_body() {
        let (part, mut parts) = mpsc::unbounded_channel();
        for piece in [
            "{\"statusCode\":201,\"headers\":{\"a\":[\"1\",\"2\"]}}\0\0\0",
            "\0\0\0\0\0body",
        ] {
            part.send(Ok(Bytes::from(piece))).unwrap();
        }
        let prelude = read(&mut parts).await.unwrap();
        assert_eq!(prelude.status, StatusCode::CREATED);
        assert_eq!(prelude.headers.get_all("a").iter().count(), 2);
        assert_eq!(prelude.first, "body");
    }

    #[tokio::test]
    async fn a_stream_without_a_delimiter_has_no_prelude() {
        let (part, mut parts) = mpsc::unbounded_channel();
        part.send(Ok(Bytes::from(vec![b' '; LIMIT + 1]))).unwrap();
        assert_eq!(read(&mut parts).await, None);
    }
}
