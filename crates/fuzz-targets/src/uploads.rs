use axum::{
    body::{Body, Bytes},
    http::{Request, header},
};
use futures::stream;
use llmopt_domain::Digest;
use llmopt_http::API;
use serde_json::Value;

use crate::{
    platform::{Answer, Platform, with_platform},
    text::{lossy, parts},
};

/// How a body is cut into pieces.
const PIECES: [usize; 2] = [usize::MAX, 7];

/// The query, the kind of body and, after a second NUL, the body, which comes whole and in pieces.
pub(crate) fn upload(bytes: &[u8]) {
    crate::guarded::forgive_the_libraries();
    let [query, kind, body] = parts(bytes);
    with_platform(|platform| {
        let [whole, cut] = PIECES.map(|piece| send(platform, query, kind, body, piece));
        let (Some(whole), Some(cut)) = (whole, cut) else {
            return;
        };
        if !whole.status.is_success() {
            assert_eq!(whole.status, cut.status);
            return;
        }
        let (kept, again) = (whole.json(), cut.json());
        assert_eq!((again, cut.status.as_u16()), (kept.clone(), 200));
        if !lossy(kind).to_ascii_lowercase().starts_with("multipart") {
            assert_eq!(kept["digest"], Digest::of_bytes(body).to_string());
        }
        check_shown(platform, &kept);
    });
}

fn send(
    platform: &Platform,
    query: &[u8],
    kind: &[u8],
    body: &[u8],
    piece: usize,
) -> Option<Answer> {
    let pieces = body.chunks(piece.min(body.len()).max(1));
    let pieces = pieces.map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)));
    let body = Body::from_stream(stream::iter(pieces.collect::<Vec<_>>()));
    let request = Request::post(format!("{API}/datasets?{}", lossy(query)))
        .header(header::CONTENT_TYPE, kind)
        .body(body);
    Some(platform.ask(request.ok()?))
}

/// What was kept is shown, with its report, and goes when it is told to.
fn check_shown(platform: &Platform, kept: &Value) {
    let route = format!("{API}/datasets/{}", kept["id"].as_str().unwrap());
    let ask = |method: &str, route: &str| {
        let request = Request::builder().method(method).uri(route);
        platform.ask(request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("GET", &route).json(), *kept);
    let report = ask("GET", &format!("{route}/report")).json();
    assert_eq!(
        (&report["rows"], &report["file"]),
        (&kept["rows"], &kept["name"])
    );
    assert_eq!(ask("DELETE", &route).status, 204);
    assert_eq!(ask("GET", &route).status, 404);
}
