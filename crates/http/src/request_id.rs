use std::{
    process,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Names one request, in its answer and in the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a caller.
const LONGEST: usize = 128;

impl RequestId {
    /// Takes the caller's own id where it is one that a log can hold, else makes one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let plain = |id: &&str| {
            (1..=LONGEST).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let given = headers.get(&HEADER).and_then(|value| value.to_str().ok());
        given
            .filter(plain)
            .map_or_else(Self::next, |id| Self(id.to_owned()))
    }

    /// Returns the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn header_value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }

    fn next() -> Self {
        // Tells processes apart; within one, the count does.
        static PROCESS: LazyLock<u64> = LazyLock::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let nanos = since.map_or(0, |it| it.as_nanos() as u64);
            nanos.rotate_left(20) ^ u64::from(process::id())
        });
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("req_{:016x}{count:06x}", *PROCESS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static [u8]) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(value).unwrap());
        RequestId::of(&headers)
    }

    #[test]
    fn a_callers_id_is_kept_where_a_log_can_hold_it() {
        assert_eq!(of(b"trace-1_a.b").as_str(), "trace-1_a.b");
        for strange in [&b"a b"[..], b"", b"a\"b", b"\xff", &[b'x'; 129]] {
            assert!(of(strange).as_str().starts_with("req_"), "{strange:?}");
        }
    }

    #[test]
    fn made_ids_differ() {
        let headers = HeaderMap::new();
        assert_ne!(RequestId::of(&headers), RequestId::of(&headers));
    }
}
