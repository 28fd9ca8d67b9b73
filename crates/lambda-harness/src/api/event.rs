use std::{
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_smithy_types::base64;
use axum::http::{HeaderMap, header, request::Parts};
use serde_json::{Map, Value, json};

use crate::routes::Matched;

use super::Api;

/// A request as it came.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    pub(super) parts: Parts,
    pub(super) request_id: &'a str,
    pub(super) source_ip: IpAddr,
}

impl Incoming<'_> {
    /// Returns the proxy event (version 1) of an API Gateway REST API.
    pub(super) fn event(&self, matched: &Matched<'_>, api: &Api, body: &[u8]) -> Value {
        let path = self.parts.uri.path();
        let method = self.parts.method.as_str();
        let headers = grouped(self.parts.headers.iter().map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        }));
        let query = grouped(query_pairs(self.parts.uri.query().unwrap_or_default()));
        let is_binary = is_binary(&self.parts.headers, &api.binary_media_types);
        let body = match (body.is_empty(), is_binary) {
            (true, _) => Value::Null,
            (false, true) => base64::encode(body).into(),
            (false, false) => String::from_utf8_lossy(body).into(),
        };
        json!({
            "resource": matched.resource,
            "path": path,
            "httpMethod": method,
            "headers": last(&headers),
            "multiValueHeaders": headers,
            "queryStringParameters": or_null(last(&query)),
            "multiValueQueryStringParameters": or_null(query),
            "pathParameters": or_null(matched.parameters.clone()),
            "stageVariables": null,
            "requestContext": self.context(matched, &api.stage),
            "body": body,
            "isBase64Encoded": is_binary && !body.is_null(),
        })
    }

    fn context(&self, matched: &Matched<'_>, stage: &str) -> Value {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let header = |name| {
            self.parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        json!({
            "resourceId": "harness",
            "resourcePath": matched.resource,
            "httpMethod": self.parts.method.as_str(),
            "extendedRequestId": self.request_id,
            "path": format!("/{stage}{}", self.parts.uri.path()),
            "accountId": "000000000000",
            "protocol": "HTTP/1.1",
            "stage": stage,
            "domainPrefix": "harness",
            "requestTimeEpoch": u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            "requestId": self.request_id,
            "identity": {
                "sourceIp": self.source_ip,
                "userAgent": header(header::USER_AGENT),
                "accessKey": null,
                "accountId": null,
                "caller": null,
                "user": null,
                "userArn": null,
            },
            "domainName": header(header::HOST),
            "apiId": "harness",
        })
    }
}

fn is_binary(headers: &HeaderMap, binary_media_types: &[String]) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    essence.is_some_and(|essence| {
        binary_media_types
            .iter()
            .any(|binary| binary == "*/*" || binary.eq_ignore_ascii_case(essence))
    })
}

/// Puts the values of each name together, in their order.
fn grouped(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    let mut groups = Map::new();
    for (name, value) in pairs {
        let values = groups.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(value.into());
        }
    }
    groups
}

fn last(groups: &Map<String, Value>) -> Map<String, Value> {
    let last = |values: &Value| values.as_array().and_then(|values| values.last()).cloned();
    groups
        .iter()
        .filter_map(|(name, values)| Some((name.clone(), last(values)?)))
        .collect()
}

fn or_null(map: Map<String, Value>) -> Value {
    if map.is_empty() {
        Value::Null
    } else {
        Value::Object(map)
    }
}

fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
}

/// Decodes a part of a query: `%41` and `+`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| after.get(..2).and_then(hexadecimal))
            .flatten();
        rest = match escaped {
            Some(byte) => {
                bytes.push(byte);
                &after[2..]
            }
            None => {
                bytes.push(if first == b'+' { b' ' } else { first });
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let text = str::from_utf8(digits).ok()?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use crate::routes::Routes;

    use super::*;

    #[test]
    fn an_event_tells_the_request() {
        let request = Request::post("/jobs/7?page=1&page=2")
            .header("host", "example.com")
            .header("accept", "text/html")
            .header("accept", "text/plain");
        let incoming = Incoming {
            parts: request.body(()).unwrap().into_parts().0,
            request_id: "1",
            source_ip: [127, 0, 0, 1].into(),
        };
        let mut routes = Routes::default();
        routes.add("/jobs/{id}", "job");
        let api = Api {
            stage: "live".to_owned(),
            binary_media_types: vec!["image/png".to_owned()],
        };
        let matched = routes.find("/jobs/7").unwrap();
        let mut event = incoming.event(&matched, &api, b"a body");
        let context = event["requestContext"].take();
        assert_eq!(
            event,
            json!({
                "resource": "/jobs/{id}",
                "path": "/jobs/7",
                "httpMethod": "POST",
                "headers": {"host": "example.com", "accept": "text/plain"},
                "multiValueHeaders": {"host": ["example.com"], "accept": ["text/html", "text/plain"]},
                "queryStringParameters": {"page": "2"},
                "multiValueQueryStringParameters": {"page": ["1", "2"]},
                "pathParameters": {"id": "7"},
                "stageVariables": null,
                "requestContext": null,
                "body": "a body",
                "isBase64Encoded": false,
            })
        );
        assert_eq!(context["path"], "/live/jobs/7");
        assert_eq!(context["stage"], "live");
        assert_eq!(context["requestId"], "1");
        assert_eq!(context["domainName"], "example.com");
        assert_eq!(context["identity"]["sourceIp"], "127.0.0.1");
    }

    #[test]
    fn a_query_is_decoded_and_grouped() {
        let query = Value::Object(grouped(query_pairs("a=1&b=x%20y+z%2&a=2&c")));
        assert_eq!(query, json!({"a": ["1", "2"], "b": ["x y z%2"], "c": [""]}));
    }

    #[test]
    fn what_is_binary_is_named_by_its_media_type() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "content-type",
            "multipart/form-data; boundary=x".parse().unwrap(),
        );
        assert!(is_binary(&headers, &["multipart/form-data".to_owned()]));
        assert!(is_binary(&headers, &["*/*".to_owned()]));
        assert!(!is_binary(&headers, &["application/gzip".to_owned()]));
    }
}
