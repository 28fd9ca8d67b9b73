use std::sync::Mutex;

use axum::{
    Router,
    body::to_bytes,
    http::HeaderValue,
    response::IntoResponse,
    routing::{get, post},
};
use llmopt_telemetry::{AnswerEnd, RefusalScope, RequestSummary};
use tower::ServiceExt as _;

use super::*;
use crate::{Access, Code, platform};

/// What a [`RequestEnd`] says, but how long things took.
#[derive(Clone, Debug, PartialEq)]
struct End {
    method: &'static str,
    route: Option<String>,
    status: Option<u16>,
    error: Option<&'static str>,
    bytes: u64,
}

#[derive(Default)]
struct Noted {
    begun: Mutex<u32>,
    ends: Mutex<Vec<End>>,
}

impl Meter for Noted {
    fn begin(&self, _: &'static str) {
        *self.begun.lock().unwrap() += 1;
    }

    fn request(&self, end: &RequestEnd<'_>) {
        self.ends.lock().unwrap().push(End {
            method: end.method,
            route: end.route.map(str::to_owned),
            status: end.status,
            error: end.error,
            bytes: end.bytes,
        });
    }

    fn refusal(&self, _: RefusalScope) {}

    fn answer(&self, _: &AnswerEnd<'_>) {}

    fn requests(&self) -> Option<RequestSummary> {
        None
    }
}

async fn refuse() -> Problem {
    Problem::new(Code::InUse, "another has it")
}

async fn break_off() -> Response {
    let parts = [Ok("12345"), Err(std::io::Error::other("gone"))];
    Body::from_stream(futures::stream::iter(parts)).into_response()
}

async fn endless() -> Response {
    let parts = std::iter::repeat_with(|| Ok::<_, std::io::Error>("12345"));
    Body::from_stream(futures::stream::iter(parts)).into_response()
}

async fn measured() -> &'static str {
    "six by"
}

async fn sized() -> Response {
    let parts = [Ok::<_, std::io::Error>("123"), Ok("456")];
    let mut response = Body::from_stream(futures::stream::iter(parts)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("6"));
    response
}

fn routes(meter: &Arc<Noted>) -> Router {
    let routes = Router::new()
        .route("/whole/{id}", get(measured))
        .route("/refuse", post(refuse))
        .route("/broken", get(break_off))
        .route("/endless", get(endless))
        .route("/sized", get(sized));
    let access = Access {
        meter: Arc::clone(meter) as Arc<dyn Meter>,
        ..Access::open()
    };
    platform(routes, access)
}

fn request(method: &str, path: &str) -> Request {
    let request = axum::http::Request::builder().method(method).uri(path);
    request.body(Body::empty()).unwrap()
}

/// Makes a request, reads the answer to its end, and returns what was measured.
async fn measure(method: &str, path: &str) -> End {
    let meter = Arc::new(Noted::default());
    let response = routes(&meter).oneshot(request(method, path)).await.unwrap();
    assert!(
        meter.ends.lock().unwrap().is_empty(),
        "it is not at its end"
    );
    let _ = to_bytes(response.into_body(), usize::MAX).await;
    only(&meter)
}

fn only(meter: &Noted) -> End {
    assert_eq!(*meter.begun.lock().unwrap(), 1);
    let ends = meter.ends.lock().unwrap();
    assert_eq!(ends.len(), 1, "{ends:?}");
    ends[0].clone()
}

#[tokio::test]
async fn a_request_is_measured_by_its_routes_template_and_the_bytes_of_its_answer() {
    let end = measure("GET", "/api/v1/whole/secret").await;
    let expected = End {
        method: "GET",
        route: Some("/api/v1/whole/{id}".to_owned()),
        status: Some(200),
        error: None,
        bytes: 6,
    };
    assert_eq!(end, expected);
}

#[tokio::test]
async fn a_problem_is_measured_by_its_code() {
    let end = measure("POST", "/api/v1/refuse").await;
    assert_eq!((end.status, end.error), (Some(409), Some("in_use")));
    assert!(end.bytes > 100);
}

#[tokio::test]
async fn what_no_route_takes_has_no_route_and_a_method_that_is_made_up_no_name() {
    let end = measure("SECRET", "/api/v1/secret").await;
    assert_eq!((end.method, end.route), ("_OTHER", None));
    assert_eq!((end.status, end.error), (Some(404), Some("no_route")));
}

#[tokio::test]
async fn a_stream_is_counted_to_its_end_and_one_that_breaks_off_is_a_fault() {
    let end = measure("GET", "/api/v1/broken").await;
    assert_eq!((end.bytes, end.error), (5, Some("_OTHER")));
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_measured_as_that() {
    let meter = Arc::new(Noted::default());
    let response = routes(&meter).oneshot(request("GET", "/api/v1/endless"));
    let mut body = response.await.unwrap().into_body();
    let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
    assert!(frame.await.unwrap().is_ok());
    drop(body);
    let end = only(&meter);
    assert_eq!((end.status, end.bytes), (Some(200), 5));
    assert_eq!(end.error, Some("cancelled"));
}

#[tokio::test]
async fn an_answer_of_which_all_was_taken_that_it_promised_is_whole() {
    let meter = Arc::new(Noted::default());
    let response = routes(&meter).oneshot(request("GET", "/api/v1/sized"));
    let mut body = response.await.unwrap().into_body();
    for _ in 0..2 {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        assert!(frame.await.unwrap().is_ok());
    }
    // A server asks for no more.
    drop(body);
    assert_eq!(only(&meter).error, None);
}

#[tokio::test]
async fn a_request_that_is_given_up_before_its_answer_is_measured_without_a_status() {
    let meter = Arc::new(Noted::default());
    let (began, waits) = tokio::sync::oneshot::channel::<()>();
    let began = Arc::new(Mutex::new(Some(began)));
    let hang = move || async move {
        drop(began.lock().unwrap().take());
        std::future::pending::<()>().await;
    };
    let access = Access {
        meter: Arc::clone(&meter) as Arc<dyn Meter>,
        ..Access::open()
    };
    let routes = platform(Router::new().route("/hang", get(hang)), access);
    let asked = tokio::spawn(routes.oneshot(request("GET", "/api/v1/hang")));
    let _ = waits.await;
    asked.abort();
    assert!(asked.await.is_err());
    let end = only(&meter);
    assert_eq!((end.status, end.error), (None, Some("cancelled")));
}
