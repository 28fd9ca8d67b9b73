use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// What browsers are told of every answer: to come by HTTPS, to take it for what it says it is, to show it
/// in no frame, to run nothing of it, to keep nothing of it, and to tell no other site of it.
const SECURE: [(HeaderName, &str); 6] = [
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Adds them, where a route has not said otherwise.
pub(crate) fn secure(headers: &mut HeaderMap) {
    for (name, value) in SECURE {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}
