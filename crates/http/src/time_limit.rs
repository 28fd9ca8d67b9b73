use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{API, Code, Problem};

/// Routes that only look something up, or note something. A function has 29 s, and is to say itself that it was
/// too slow.
const SHORT: Duration = Duration::from_secs(25);
/// A job whose base model is fetched when it is submitted.
const FETCH: Duration = Duration::from_secs(3_600);
/// A file of 4 GiB on a slow line, and its validation. A body that pauses is given up long before.
const UPLOAD: Duration = Duration::from_secs(6 * 3_600);

/// Gives a request up that takes longer than its route may until its answer begins: the work is dropped, which
/// ends it.
pub(crate) async fn end_in_time(request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.and_then(|path| path.as_str().strip_prefix(API));
    let Some(longest) = longest(request.method(), route.unwrap_or_default()) else {
        return next.run(request).await;
    };
    match tokio::time::timeout(longest, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let seconds = longest.as_secs();
            let detail = format!("the answer took longer than {seconds} s and was given up");
            Problem::new(Code::RequestTimeout, detail).into_response()
        }
    }
}

/// Returns how long a route may take until its answer begins; `None` where it looks to that itself.
fn longest(method: &Method, route: &str) -> Option<Duration> {
    match route.split('/').nth(1).unwrap_or_default() {
        // Each question to a model has a time of its own.
        "generate" => None,
        "commercial" if route == "/commercial/compare" => None,
        "datasets" if method == Method::POST || method == Method::PUT => Some(UPLOAD),
        "training" if method == Method::POST => Some(FETCH),
        _ => Some(SHORT),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use axum::{Router, body::Body, routing::get};
    use tower::ServiceExt;

    use super::*;
    use crate::{Access, platform};

    /// Notes that the work it is part of was dropped.
    struct Dropped(Arc<AtomicBool>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_given_up_and_ended() {
        let ended = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&ended);
        let never = move || -> Work {
            let dropped = Dropped(Arc::clone(&noted));
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(dropped);
            })
        };
        let routes = Router::new().route("/models", get(never));
        let request = Request::get("/api/v1/models").body(Body::empty());
        let response = platform(routes, Access::open())
            .oneshot(request.unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 504);
        assert!(ended.load(Ordering::SeqCst));
    }

    #[test]
    fn routes_that_take_long_may() {
        for (method, route, seconds) in [
            (Method::GET, "/models", Some(25)),
            (Method::GET, "/training/jobs/{job_id}/events", Some(25)),
            (Method::POST, "/training/jobs", Some(3_600)),
            (Method::POST, "/datasets", Some(21_600)),
            (
                Method::PUT,
                "/datasets/uploads/{upload_id}/parts/{part_number}",
                Some(21_600),
            ),
            (Method::POST, "/generate", None),
            (Method::POST, "/commercial/compare", None),
            (Method::GET, "/commercial/usage", Some(25)),
            (Method::GET, "", Some(25)),
        ] {
            let longest = longest(&method, route);
            assert_eq!(longest.map(|it| it.as_secs()), seconds, "{method} {route}");
        }
    }
}
