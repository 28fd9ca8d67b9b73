use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::problem::SHOULD_RETRY;

/// How long a browser need not ask again.
const MAX_AGE: Duration = Duration::from_secs(600);
/// What pages may send.
const REQUEST_HEADERS: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("prefer"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-request-id"),
];
/// What pages may read.
const RESPONSE_HEADERS: [HeaderName; 8] = [
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("idempotent-replayed"),
    HeaderName::from_static("preference-applied"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-request-id"),
    SHOULD_RETRY,
];

/// The sites whose pages may ask and read the answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// None but the server's own.
    #[default]
    None,
    /// These, such as `https://app.example.com`.
    These(Vec<HeaderValue>),
    /// All. Keys are in no cookie: a page that has none gets no further than anybody.
    All,
}

impl Origins {
    /// Takes the sites by their names, such as `https://app.example.com`; `*` is all of them.
    pub fn of(names: &[String]) -> Self {
        if names.iter().any(|name| name == "*") {
            return Self::All;
        }
        let named = names.iter().filter_map(|name| name.parse().ok());
        match named.collect::<Vec<_>>() {
            named if named.is_empty() => Self::None,
            named => Self::These(named),
        }
    }

    /// Whether the pages of `origin` were named.
    pub(crate) fn name(&self, origin: &HeaderValue) -> bool {
        matches!(self, Self::These(origins) if origins.contains(origin))
    }

    /// Returns what tells browsers so, if there is anything to tell.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        let origins = match self {
            Self::None => return None,
            Self::These(origins) => AllowOrigin::list(origins.clone()),
            Self::All => AllowOrigin::any(),
        };
        let layer = CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(REQUEST_HEADERS)
            .expose_headers(RESPONSE_HEADERS)
            .max_age(MAX_AGE);
        Some(layer)
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::Request, response::Response, routing::get};
    use tower::ServiceExt;

    use super::*;
    use crate::{Access, platform};

    async fn ask(names: &[&str], method: Method, origin: &str) -> Response {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let access = Access {
            origins: Origins::of(&names),
            ..Access::open()
        };
        let routes = Router::new().route("/models", get(async || "models"));
        let request = Request::builder()
            .method(method)
            .uri("/api/v1/models")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .body(Body::empty());
        platform(routes, access)
            .oneshot(request.unwrap())
            .await
            .unwrap()
    }

    fn allowed(response: &Response) -> Option<&str> {
        let value = response.headers().get("access-control-allow-origin");
        value.map(|value| value.to_str().unwrap())
    }

    const APP: &str = "https://app.example.com";

    #[tokio::test]
    async fn pages_of_named_sites_may_ask_and_read_and_others_may_not() {
        let response = ask(&[APP, "http://localhost:3000"], Method::GET, APP).await;
        assert_eq!(allowed(&response), Some(APP));
        let exposed = &response.headers()["access-control-expose-headers"];
        assert!(exposed.to_str().unwrap().contains("retry-after"));
        let other = ask(&[APP], Method::GET, "https://evil.example").await;
        assert_eq!(allowed(&other), None);
        assert_eq!(allowed(&ask(&[], Method::GET, APP).await), None);
        let any = ask(&["*"], Method::GET, "https://evil.example").await;
        assert_eq!(allowed(&any), Some("*"));
    }

    #[tokio::test]
    async fn a_browser_may_ask_first_without_a_key() {
        let response = ask(&[APP], Method::OPTIONS, APP).await;
        assert_eq!(response.status(), 200);
        assert_eq!(allowed(&response), Some(APP));
        let headers = response.headers();
        assert!(
            headers["access-control-allow-headers"]
                .to_str()
                .unwrap()
                .contains("authorization")
        );
        assert!(headers.contains_key("x-request-id"));
        // Without such sites, it is a method like others.
        assert_eq!(ask(&[], Method::OPTIONS, APP).await.status(), 405);
    }
}
