use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, Uri, header};

use crate::{Code, Origins, Problem};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Keeps the pages of other sites away from a server that asks those of its machine for no key.
///
/// A browser on this machine reaches the server for whatever page it shows. Such a page's requests name
/// where it comes from (`Origin`, or `Sec-Fetch-Site`), or, where its site's name was made to point at this
/// machine, a name that is not this machine's (`Host`). Programs send none of these but their own `Host`.
/// The pages of sites that `origins` names are let in.
///
/// # Errors
/// The [`Problem`] of a request that comes from elsewhere.
pub(crate) fn refuse_foreign(
    uri: &Uri,
    headers: &HeaderMap,
    origins: &Origins,
) -> Result<(), Problem> {
    match foreign(uri, headers, origins) {
        None => Ok(()),
        Some((name, found)) => Err(Problem::new(
            Code::ForeignOrigin,
            format!(
                "expected a `{name}` of this machine, found `{found}`: the server answers only those who are here"
            ),
        )),
    }
}

/// Returns the header that names another machine, and what it says.
fn foreign(uri: &Uri, headers: &HeaderMap, origins: &Origins) -> Option<(HeaderName, String)> {
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
    if headers
        .get(header::ORIGIN)
        .is_some_and(|it| origins.name(it))
    {
        return None;
    }
    if let Some(site) = text(&FETCH_SITE).filter(|site| site == "cross-site") {
        return Some((FETCH_SITE, site));
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
    // A browser sends a name and a number, and nothing else passes as one.
    let after_name = authority.as_str().strip_prefix(authority.host());
    if !after_name.is_some_and(|it| it.is_empty() || it.strip_prefix(':').is_some_and(is_port)) {
        return false;
    }
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn is_port(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn found(host: &str, origin: Option<&str>) -> Option<HeaderName> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let origins = Origins::These(vec![HeaderValue::from_static("https://named.example")]);
        foreign(&Uri::from_static("/api/v1/models"), &headers, &origins).map(|(name, _)| name)
    }

    #[test]
    fn images_and_the_like_of_other_sites_are_known_by_what_browsers_say() {
        let site = |site: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "127.0.0.1:8080".parse().unwrap());
            headers.insert(FETCH_SITE, site.parse().unwrap());
            let uri = Uri::from_static("/api/v1/models");
            foreign(&uri, &headers, &Origins::None).map(|(name, _)| name)
        };
        assert_eq!(site("cross-site"), Some(FETCH_SITE));
        for here in ["none", "same-origin", "same-site"] {
            assert_eq!(site(here), None, "{here}");
        }
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
    fn pages_of_a_site_that_was_named_are_let_in_by_this_machines_name() {
        assert_eq!(found("localhost:8080", Some("https://named.example")), None);
        let elsewhere = found("evil.example", Some("https://named.example"));
        assert_eq!(elsewhere, Some(header::HOST));
    }

    #[test]
    fn pages_of_other_sites_are_not() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:8080",
            "10.0.0.1",
            "localhost.evil",
            "localhost:;8080",
            "localhost:+80",
            "localhost:65536",
            "[::1]8:80",
            "evil.example@localhost",
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
