use std::fmt::Write as _;

use axum::http::{header, request::Parts};
use sha2::{Digest as _, Sha256};

use crate::accepts_stream;

/// Tells what is asked: the digest of all that an answer depends on.
///
/// What separates the parts of a form is left out of its body, because whoever sends a form again draws it
/// anew. The request's key is hashed first: without it nobody can try out what was asked.
pub(super) struct Fingerprint {
    hash: Sha256,
    /// What separates the parts of a form; empty where there is none.
    boundary: Vec<u8>,
    /// The end of what came, which may be the beginning of a boundary.
    held: Vec<u8>,
}

impl Fingerprint {
    /// Begins with everything but the body.
    pub(super) fn of(parts: &Parts, key: &str) -> Self {
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|it| it.to_str().ok());
        let content_type = content_type.unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        let mut hash = Sha256::new();
        for text in [
            key,
            parts.method.as_str(),
            parts.uri.path(),
            parts.uri.query().unwrap_or_default(),
            &essence,
            if accepts_stream(&parts.headers) {
                "stream"
            } else {
                "whole"
            },
        ] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        let boundary = essence
            .starts_with("multipart/")
            .then(|| boundary(content_type))
            .flatten();
        Self {
            hash,
            boundary: boundary.unwrap_or_default().to_vec(),
            held: Vec::new(),
        }
    }

    /// Goes on with a part of the body.
    pub(super) fn update(&mut self, part: &[u8]) {
        if self.boundary.is_empty() {
            self.hash.update(part);
            return;
        }
        self.held.extend_from_slice(part);
        let size = self.boundary.len();
        let mut from = 0;
        while let Some(at) = find(&self.held[from..], &self.boundary) {
            self.hash.update(&self.held[from..from + at]);
            from += at + size;
        }
        // What is shorter than a boundary may be the first part of one.
        let until = (self.held.len() + 1).saturating_sub(size).max(from);
        self.hash.update(&self.held[from..until]);
        self.held.drain(..until);
    }

    /// Ends with the body.
    pub(super) fn finish(mut self) -> String {
        self.hash.update(&self.held);
        let mut text = String::new();
        for byte in self.hash.finalize() {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Returns what separates the parts of a form, as its content type says.
fn boundary(content_type: &str) -> Option<&[u8]> {
    let mut parameters = content_type.split(';').skip(1);
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then_some(value)
    })?;
    Some(value.trim().trim_matches('"').as_bytes())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    // Most bytes are not the first of it, and are passed over fast.
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn of(key: &str, uri: &str, headers: &[(&str, &str)], body: &[&[u8]]) -> String {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut fingerprint = Fingerprint::of(&parts, key);
        for part in body {
            fingerprint.update(part);
        }
        fingerprint.finish()
    }

    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

    #[test]
    fn whatever_an_answer_depends_on_makes_another() {
        let one = of("k", "/a?b=1", JSON, &[b"{}"]);
        for other in [
            of("l", "/a?b=1", JSON, &[b"{}"]),
            of("k", "/b?b=1", JSON, &[b"{}"]),
            of("k", "/a?b=2", JSON, &[b"{}"]),
            of("k", "/a", JSON, &[b"{}"]),
            of("k", "/a?b=1", &[], &[b"{}"]),
            of("k", "/a?b=1", JSON, &[b"{ }"]),
            of("k", "/a?b=1", JSON, &[]),
            of(
                "k",
                "/a?b=1",
                &[JSON[0], ("accept", "text/event-stream")],
                &[b"{}"],
            ),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn what_an_answer_does_not_depend_on_makes_none() {
        let one = of("k", "/a", JSON, &[b"{}"]);
        assert_eq!(one, of("k", "/a", JSON, &[b"{", b"", b"}"]));
        let same = [
            ("content-type", "Application/JSON; charset=utf-8"),
            ("user-agent", "b"),
        ];
        assert_eq!(one, of("k", "/a", &same, &[b"{}"]));
    }

    fn form(boundary: &str, quote: &str, content: &str, size: usize) -> String {
        let kind = format!("multipart/form-data; charset=x; boundary={quote}{boundary}{quote}");
        let body = format!("--{boundary}\r\na: b\r\n\r\n{content}\r\n--{boundary}--\r\n");
        let parts: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
        of("k", "/a", &[("content-type", &kind)], &parts)
    }

    #[test]
    fn a_form_is_the_same_with_whatever_boundary_and_in_whatever_parts() {
        let one = form("xxy", "", "content xx", 1_000);
        for size in 1..60 {
            assert_eq!(one, form("xxy", "", "content xx", size), "{size}");
            assert_eq!(one, form("another", "\"", "content xx", size), "{size}");
            assert_ne!(one, form("xxy", "", "content xy", size), "{size}");
        }
        assert_ne!(one, form("xxy", "", "content xxx", 7));
    }
}
