use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderName, Uri, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use llmopt_http::{Code, Problem};

/// Keeps the pages of other sites away from a server that asks nobody for a key.
///
/// A browser on this machine reaches the server for whatever page it shows. Such a page's requests name
/// where it comes from (`Origin`), or, where its site's name was made to point at this machine, a name
/// that is not this machine's (`Host`). Programs send neither a foreign `Host` nor any `Origin`.
pub(crate) fn guard(router: Router, address: SocketAddr) -> Router {
    if !address.ip().is_loopback() {
        // Whoever let other machines in decides under which names.
        return router;
    }
    router.layer(from_fn(refuse_foreign))
}

async fn refuse_foreign(request: Request, next: Next) -> Response {
    match foreign(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some((name, found)) => Problem::new(
            Code::ForeignOrigin,
            format!("expected a `{name}` of this machine, found `{found}`: the server asks for no key and answers only those who are here"),
        )
        .into_response(),
    }
}

/// Returns the header that names another machine, and what it says.
fn foreign(uri: &Uri, headers: &HeaderMap) -> Option<(HeaderName, String)> {
    let text = |name: &HeaderName| {
        let value = headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    // HTTP/2 has the host in the request's own line.
    let host = uri
        .authority()
        .map(ToString::to_string)
        .or_else(|| text(&header::HOST));
    if let Some(host) = host
        && !is_here(&host)
    {
        return Some((header::HOST, host));
    }
    let origin = text(&header::ORIGIN)?;
    let here = origin
        .split_once("://")
        .is_some_and(|(_, host)| is_here(host));
    (!here).then_some((header::ORIGIN, origin))
}

/// Whether `host`, perhaps with a port, is this machine.
fn is_here(host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else {
        return false;
    };
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(host: &str, origin: Option<&str>) -> Option<HeaderName> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        foreign(&Uri::from_static("/api/v1/models"), &headers).map(|(name, _)| name)
    }

    #[test]
    fn those_who_are_here_are_let_in() {
        for host in [
            "127.0.0.1:8080",
            "localhost",
            "LOCALHOST:1",
            "[::1]:80",
            "127.9.9.9",
        ] {
            assert_eq!(found(host, None), None, "{host}");
            let origin = format!("http://{host}");
            assert_eq!(found(host, Some(&origin)), None, "{origin}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_not() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:8080",
            "10.0.0.1",
            "localhost.evil",
        ] {
            assert_eq!(found(host, None), Some(header::HOST), "{host}");
        }
        for origin in [
            "https://evil.example",
            "null",
            "http://localhost.evil",
            "file://",
        ] {
            let refused = found("localhost:8080", Some(origin));
            assert_eq!(refused, Some(header::ORIGIN), "{origin}");
        }
    }
}
