//! What responses say in their headers.

use reqwest::header::{CONTENT_TYPE, HeaderMap};

/// Returns a header's text, if it is one.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Returns what the provider calls the request: OpenAI's header, or Anthropic's.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = text(headers, "request-id").or_else(|| text(headers, "x-request-id"));
    id.filter(|id| !id.is_empty()).map(str::to_owned)
}

/// Returns the kind of content without its parameters, in small letters; empty where there is none.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let value = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn a_kind_of_content_is_told_without_its_parameters() {
        let kind = |value| content_type(&headers(&[("content-type", value)]));
        assert_eq!(
            kind("Text/Event-Stream; charset=utf-8"),
            "text/event-stream"
        );
        assert_eq!(kind("application/json"), "application/json");
        assert_eq!(content_type(&headers(&[])), "");
    }
}
