use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, Query, Request,
        rejection::BytesRejection,
    },
    http::{StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::{Code, FieldProblem, Problem};

/// A JSON body, decoded; what is wrong with it names the field.
#[derive(Clone, Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(is_json) {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                format!(
                    "expected `content-type: application/json`, found {}",
                    content_type.map_or("none".to_owned(), |found| format!("`{found}`"))
                ),
            ));
        }
        let bytes = Bytes::from_request(request, state).await;
        decode(&bytes.map_err(|rejection| unreadable(&rejection))?).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if request.headers().get(header::CONTENT_TYPE).is_none() {
            let bytes = Bytes::from_request(request, state).await;
            if bytes
                .map_err(|rejection| unreadable(&rejection))?
                .is_empty()
            {
                return Ok(None);
            }
            // What it says is not to be taken for nothing.
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "expected `content-type: application/json`, found none",
            ));
        }
        let body = <Self as FromRequest<S>>::from_request(request, state).await;
        body.map(Some)
    }
}

/// The parameters of a query, decoded.
#[derive(Clone, Debug)]
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(parameters)| Self(parameters))
            .map_err(|rejection| Problem::new(Code::InvalidRequest, rejection.body_text()))
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    let code = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Code::BodyTooLarge
    } else {
        Code::InvalidRequest
    };
    Problem::new(code, rejection.body_text())
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Where nothing reads a field, its text would not be looked at.
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let detail =
            format!("failed to read the body: expected UTF-8, found other bytes at offset {at}");
        Problem::new(Code::InvalidRequest, detail)
    })?;
    let mut json = serde_json::Deserializer::from_str(text);
    let decoded = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        let detail = error.into_inner().to_string();
        Problem::new(
            Code::InvalidRequest,
            format!("failed to read the body: {detail}"),
        )
        .with_errors(vec![FieldProblem { pointer, detail }])
    })?;
    json.end().map_err(|error| {
        Problem::new(
            Code::InvalidRequest,
            format!("failed to read the body: {error}"),
        )
    })?;
    Ok(decoded)
}

/// Renders a path as RFC 6901 does.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                text.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1")));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only decoded")]
        size: u32,
    }

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "only decoded")]
        list: Vec<Inner>,
    }

    fn pointer_of(json: &str) -> String {
        let problem = decode::<Outer>(json.as_bytes()).unwrap_err().to_json(None);
        problem["errors"][0]["pointer"].as_str().unwrap().to_owned()
    }

    #[test]
    fn what_is_wrong_names_the_field() {
        assert_eq!(
            pointer_of(r#"{"list": [{"size": 1}, {"size": "x"}]}"#),
            "/list/1/size"
        );
        assert_eq!(
            pointer_of(r#"{"list": [{"size": 1, "a/b": 2}]}"#),
            "/list/0/a~1b"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_where_nothing_reads_them_too() {
        let body = b"{\"list\": [], \"more\": \"a\x95\"}";
        let problem = decode::<Outer>(body).unwrap_err();
        assert_eq!(problem.code(), Code::InvalidRequest);
        let detail = &problem.to_json(None)["detail"];
        assert_eq!(
            detail,
            "failed to read the body: expected UTF-8, found other bytes at offset 23"
        );
    }

    #[test]
    fn what_follows_the_body_is_refused() {
        assert!(decode::<Outer>(br#"{"list": []} {}"#).is_err());
        assert!(decode::<Outer>(br#"{"list": []} "#).is_ok());
    }
}
