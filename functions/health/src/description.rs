use axum::{
    Router,
    http::{HeaderName, header},
    routing::get,
};

/// What `crates/openapi` renders; a test there holds it to the code.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");
const PAGE: &str = include_str!("page.html");
/// The page runs its own script, known by its digest, and nothing else, and asks nobody but its server.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'sha256-wVhloRLvUf+RcIL/eavToGzSwpVVS2e0TNEeRppgp44='; style-src 'unsafe-inline'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the description of this API, for OpenAPI 3.1.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "health",
    responses((status = 200, description = "The description.", body = Object))
)]
pub(crate) async fn get_openapi() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// Returns the page that shows the description to people.
///
/// It holds nothing that is secret. Where a key is needed for the description, whoever looks at the page
/// types one in.
pub(crate) fn page() -> Router {
    Router::new().route("/docs", get(get_page))
}

async fn get_page() -> ([(HeaderName, &'static str); 2], &'static str) {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    (headers, PAGE)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_page_may_run_its_own_script() {
        let script = PAGE.split_once("<script>").unwrap().1;
        let script = script.split_once("</script>").unwrap().0;
        let digest = STANDARD.encode(Sha256::digest(script));
        let allowed = format!("script-src 'sha256-{digest}'");
        assert!(PAGE_POLICY.contains(&allowed), "expected {allowed}");
    }

    #[test]
    fn the_page_asks_nobody_else() {
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://"));
    }
}
