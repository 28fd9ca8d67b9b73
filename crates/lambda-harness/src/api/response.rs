use aws_smithy_types::base64;
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::prelude::append;

/// What a function answers to a proxy event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    status_code: u16,
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    #[serde(default)]
    multi_value_headers: Option<Map<String, Value>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Makes a response of a function's document, `None` where it is malformed.
pub(super) fn parse(document: &[u8]) -> Option<Response> {
    let document: Document = serde_json::from_slice(document).ok()?;
    let mut headers = HeaderMap::new();
    let several = document.multi_value_headers.unwrap_or_default();
    for (name, values) in &several {
        append(&mut headers, name, values)?;
    }
    for (name, value) in &document.headers.unwrap_or_default() {
        if !headers.contains_key(name) {
            append(&mut headers, name, value)?;
        }
    }
    let body = document.body.unwrap_or_default();
    let body = if document.is_base64_encoded {
        base64::decode(body).ok()?
    } else {
        body.into_bytes()
    };
    headers.remove(header::CONTENT_LENGTH);
    let status = StatusCode::from_u16(document.status_code).ok()?;
    Some((status, headers, Body::from(body)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_win_over_one() {
        let document = br#"{"statusCode":200,"headers":{"a":"2","b":"3"},"multiValueHeaders":{"a":["1","2"]}}"#;
        let response = parse(document).unwrap();
        assert_eq!(response.headers().get_all("a").iter().count(), 2);
        assert_eq!(response.headers()["b"], "3");
    }

    #[test]
    fn what_has_no_status_is_malformed() {
        assert!(parse(br#"{"body":"x"}"#).is_none());
        assert!(parse(br#""x""#).is_none());
        assert!(parse(br#"{"statusCode":200,"body":"?","isBase64Encoded":true}"#).is_none());
    }
}
