use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    response::{Sse, sse::Event},
    routing::post,
};
use futures::{FutureExt, Stream, StreamExt, future::join_all, stream};
use llmopt_domain::{KeyLimits, Scope};
use llmopt_service::{Keys, NewKey};
use llmopt_storage::{AnswerClaim, AnswerStore, Claimed, KeptAnswer, StorageError};
use llmopt_storage_embedded::{Database, SqliteAnswerStore, SqliteRecordStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::*;
use crate::{Access, Guard, platform};

const BEGAN: u64 = 1_800_000_000_000;
const LEASE_MS: u64 = 60_000;

/// What the routes of the tests do.
struct Work {
    /// How often anything was done.
    count: AtomicUsize,
    /// What is done waits for one of these.
    permits: Semaphore,
    /// How the next answers fail.
    failures: Mutex<Vec<StatusCode>>,
}

/// A store that is away at some of its calls.
struct Shaky {
    inner: SqliteAnswerStore,
    claims: AtomicBool,
    finishes: AtomicBool,
    /// How often an answer was to be kept, each of which waits for a permit.
    finishing: AtomicUsize,
    permits: Semaphore,
}

struct Place {
    root: TempDir,
    store: Arc<Shaky>,
    now_ms: Arc<AtomicU64>,
    work: Arc<Work>,
    guard: Guard,
}

#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    replayed: bool,
    headers: Vec<(String, String)>,
    bytes: Vec<u8>,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let inner = SqliteAnswerStore::open(&root.path().join("answers.db")).unwrap();
        Self {
            root,
            store: Arc::new(Shaky {
                inner,
                claims: AtomicBool::new(true),
                finishes: AtomicBool::new(true),
                finishing: AtomicUsize::new(0),
                permits: Semaphore::new(1_000_000),
            }),
            now_ms: Arc::new(AtomicU64::new(BEGAN)),
            work: Arc::new(Work {
                count: AtomicUsize::new(0),
                permits: Semaphore::new(1_000_000),
                failures: Mutex::default(),
            }),
            guard: Guard::Nobody,
        }
    }

    fn answers(&self) -> Answers {
        let clock = Arc::clone(&self.now_ms);
        Answers::with_clock(
            self.store.clone(),
            Arc::new(move || clock.load(Ordering::SeqCst)),
        )
    }

    fn router(&self) -> Router {
        let routes = Router::new()
            .route("/upload", post(upload))
            .layer(DefaultBodyLimit::disable())
            .route("/work/{id}", post(work).get(work))
            .route("/stream", post(stream_numbers))
            .with_state(Arc::clone(&self.work));
        let access = Access {
            guard: self.guard.clone(),
            answers: Some(self.answers()),
            ..Access::open()
        };
        platform(routes, access)
    }

    fn done(&self) -> usize {
        self.work.count.load(Ordering::SeqCst)
    }

    fn fail_with(&self, failures: &[u16]) {
        let codes = failures.iter().map(|it| StatusCode::from_u16(*it).unwrap());
        self.work.failures.lock().unwrap().extend(codes);
    }

    fn later(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    async fn ask(&self, key: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.send(request(key, path, body)).await
    }

    async fn send(&self, request: Request) -> Answer {
        let response = self.router().oneshot(request).await.unwrap();
        read(response).await
    }

    /// Waits until as much was done.
    async fn until_done(&self, count: usize) {
        while self.done() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Asks until the request is not in flight any more.
    async fn settled(&self, key: &str, path: &str, body: &'static str) -> Answer {
        loop {
            let answer = self.ask(key, path, body).await;
            if answer.code() != "idempotency_in_flight" {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    fn code(&self) -> String {
        let json: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        json["code"].as_str().unwrap_or_default().to_owned()
    }

    fn refused(&self) -> (u16, String) {
        (self.status, self.code())
    }
}

#[async_trait::async_trait]
impl AnswerStore for Shaky {
    async fn claim(&self, id: &str, claim: &AnswerClaim) -> Result<Claimed, StorageError> {
        check(&self.claims)?;
        self.inner.claim(id, claim).await
    }

    async fn look(&self, id: &str, now_ms: u64) -> Result<Option<Claimed>, StorageError> {
        self.inner.look(id, now_ms).await
    }

    async fn renew(&self, id: &str, holder: &str, until_ms: u64) -> Result<(), StorageError> {
        self.inner.renew(id, holder, until_ms).await
    }

    async fn finish(
        &self,
        id: &str,
        holder: &str,
        answer: &KeptAnswer,
    ) -> Result<(), StorageError> {
        self.finishing.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await.unwrap().forget();
        check(&self.finishes)?;
        self.inner.finish(id, holder, answer).await
    }

    async fn release(&self, id: &str, holder: &str) -> Result<(), StorageError> {
        self.inner.release(id, holder).await
    }
}

fn check(is_there: &AtomicBool) -> Result<(), StorageError> {
    if is_there.load(Ordering::SeqCst) {
        return Ok(());
    }
    Err(StorageError::Unavailable {
        operation: "use",
        subject: "answers".to_owned(),
        source: "it is away".into(),
    })
}

fn request(key: &str, path: &str, body: impl Into<Body>) -> Request {
    Request::post(format!("/api/v1{path}"))
        .header(KEY, key)
        .body(body.into())
        .unwrap()
}

async fn read(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let headers = parts.headers.iter().map(text);
    let others = ["x-request-id", "idempotent-replayed", "content-length"];
    Answer {
        status: parts.status.as_u16(),
        replayed: parts.headers.contains_key("idempotent-replayed"),
        headers: headers
            .filter(|(name, _)| !others.contains(&name.as_str()))
            .collect(),
        bytes: to_bytes(body, usize::MAX).await.unwrap().to_vec(),
    }
}

impl Work {
    /// Returns how often anything was done, this time included.
    async fn wait(&self) -> Result<usize, Problem> {
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        self.permits.acquire().await.unwrap().forget();
        let failure = self.failures.lock().unwrap().pop();
        match failure {
            Some(StatusCode::IM_A_TEAPOT) => panic!("a fault of ours"),
            Some(status) if status.is_client_error() => {
                Err(Problem::new(Code::InUse, "another has it"))
            }
            Some(_) => Err(Problem::new(Code::Internal, "it failed")),
            None => Ok(count),
        }
    }
}

async fn work(
    State(work): State<Arc<Work>>,
    body: String,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<Value>), Problem> {
    let count = work.wait().await?;
    let shown = json!({ "count": count, "body": body });
    let location = [(header::LOCATION, "/made")];
    Ok((StatusCode::CREATED, location, Json(shown)))
}

/// Reads as many bytes as the first header says, and leaves the rest.
async fn upload(
    State(work): State<Arc<Work>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let most: usize = headers["most"].to_str().unwrap().parse().unwrap();
    let mut parts = body.into_data_stream();
    let mut size = 0;
    while size < most
        && let Some(part) = parts.next().await
    {
        size += part
            .map_err(|_| Problem::new(Code::InvalidRequest, "it broke off"))?
            .len();
    }
    Ok(Json(json!({ "count": work.wait().await?, "size": size })))
}

/// Sends three events, each when it is permitted; one that fails ends them.
async fn stream_numbers(
    State(work): State<Arc<Work>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold((work, 0), |(work, sent)| async move {
        if sent == 3 {
            return None;
        }
        let (event, sent) = match work.wait().await {
            Ok(count) => (
                Event::default().event("text").data(count.to_string()),
                sent + 1,
            ),
            Err(_) => (Event::default().event("error").data("{}"), 3),
        };
        Some((Ok(event), (work, sent)))
    });
    Sse::new(events)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_callers_at_once_have_the_work_done_once() {
    let place = Place::new();
    place.work.permits.forget_permits(1_000_000);
    let router = place.router();
    let callers = (0..50).map(|_| {
        let sent = router.clone().oneshot(request("key", "/work/a", "asked"));
        tokio::spawn(async move { read(sent.await.unwrap()).await })
    });
    let callers: Vec<_> = callers.collect();
    place.until_done(1).await;
    place.work.permits.add_permits(1);
    let answers = join_all(callers).await.into_iter().map(Result::unwrap);
    let (answered, refused): (Vec<_>, Vec<_>) = answers.partition(|it| it.status == 201);
    assert!(
        refused
            .iter()
            .all(|it| it.code() == "idempotency_in_flight")
    );
    assert!(refused.iter().all(|it| {
        let after = ("retry-after".to_owned(), "1".to_owned());
        it.status == 409 && it.headers.contains(&after)
    }));
    let firsts = answered.iter().filter(|it| !it.replayed).count();
    assert_eq!(firsts, 1, "{answered:?}");
    assert_eq!(place.done(), 1);
    for answer in &answered {
        assert_eq!(answer.json(), json!({ "count": 1, "body": "asked" }));
        assert!(
            answer
                .headers
                .contains(&("location".to_owned(), "/made".to_owned()))
        );
    }
}

#[tokio::test]
async fn the_same_answer_is_given_again_for_a_day() {
    let place = Place::new();
    let first = place.ask("key", "/work/a", "asked").await;
    assert!(!first.replayed);
    place.later(24 * 3_600 * 1_000 - 1);
    let again = place.ask("key", "/work/a", "asked").await;
    assert!(again.replayed);
    assert_eq!(
        again,
        Answer {
            replayed: true,
            ..first
        }
    );
    place.later(1);
    let anew = place.ask("key", "/work/a", "asked").await;
    assert_eq!((anew.replayed, place.done()), (false, 2));
}

#[tokio::test]
async fn a_key_is_one_requests_in_flight_and_afterwards() {
    let place = Place::new();
    place.work.permits.forget_permits(1_000_000);
    let router = place.router();
    let first = tokio::spawn(router.oneshot(request("key", "/work/a", "asked")));
    place.until_done(1).await;
    let other = (422, "idempotency_key_reused".to_owned());
    let large = "x".repeat(3 << 20);
    for round in 0..2 {
        for (path, body) in [
            ("/work/a", "else"),
            ("/work/b", "asked"),
            ("/work/a?b", "asked"),
            ("/work/a", &large),
        ] {
            let answer = place.ask("key", path, body.to_owned()).await;
            assert_eq!(answer.refused(), other, "{path} in round {round}");
        }
        let same = place.ask("key", "/work/a", "asked").await;
        if round == 0 {
            assert_eq!(same.code(), "idempotency_in_flight");
            place.work.permits.add_permits(1);
            place.settled("key", "/work/a", "asked").await;
        } else {
            assert!(same.replayed);
        }
    }
    assert_eq!(first.await.unwrap().unwrap().status(), 201);
    // Another route has names of its own, and so has another key.
    place.work.permits.add_permits(9);
    assert_eq!(place.ask("key", "/stream", "else").await.status, 200);
    assert_eq!(place.ask("other", "/work/a", "else").await.status, 201);
}

#[tokio::test]
async fn what_is_asked_without_a_key_or_only_read_passes_untouched() {
    let place = Place::new();
    for round in 1..=2 {
        let get = Request::get("/api/v1/work/a").header(KEY, "key");
        let answer = place.send(get.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.json()["count"], round * 2 - 1);
        let post = Request::post("/api/v1/work/a").body(Body::empty()).unwrap();
        let answer = place.send(post).await;
        assert_eq!(
            (answer.json()["count"].as_u64(), answer.replayed),
            (Some(round * 2), false)
        );
    }
    assert_eq!(place.ask("key", "/nowhere", "").await.code(), "no_route");
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    let place = Place::new();
    let long = "k".repeat(256);
    for wrong in ["", " ", "a b", "é", &long] {
        let value = HeaderValue::from_bytes(wrong.as_bytes()).unwrap();
        let mut request = request("key", "/work/a", "");
        request.headers_mut().insert(KEY, value);
        let answer = place.send(request).await;
        assert_eq!(
            answer.refused(),
            (400, "invalid_request".to_owned()),
            "{wrong:?}"
        );
    }
    let mut twice = request("key", "/work/a", "");
    twice
        .headers_mut()
        .append(KEY, HeaderValue::from_static("key"));
    assert_eq!(place.send(twice).await.status, 400);
    assert_eq!(place.done(), 0);
    assert_eq!(place.ask(&long[1..], "/work/a", "").await.status, 201);
}

#[tokio::test]
async fn what_failed_can_be_mended_under_the_same_key() {
    let place = Place::new();
    place.fail_with(&[500, 409]);
    assert_eq!(
        place.ask("key", "/work/a", "wrong").await.refused(),
        (409, "in_use".to_owned())
    );
    assert_eq!(
        place.ask("key", "/work/a", "wrong").await.refused(),
        (500, "internal".to_owned())
    );
    let mended = place.ask("key", "/work/a", "right").await;
    assert_eq!(mended.json(), json!({ "count": 3, "body": "right" }));
    assert!(place.ask("key", "/work/a", "right").await.replayed);
}

#[tokio::test]
async fn a_fault_of_ours_is_a_problem_and_frees_the_request_after_its_lease() {
    let place = Place::new();
    place.fail_with(&[418]);
    let answer = place.ask("key", "/work/a", "asked").await;
    assert_eq!(answer.refused(), (500, "internal".to_owned()));
    let answer = place.ask("key", "/work/a", "asked").await;
    assert_eq!(answer.code(), "idempotency_in_flight");
    place.later(LEASE_MS);
    assert_eq!(place.ask("key", "/work/a", "asked").await.status, 201);
}

#[tokio::test]
async fn whoever_hangs_up_finds_the_answer_later() {
    let place = Place::new();
    place.work.permits.forget_permits(1_000_000);
    let router = place.router();
    let hung_up = tokio::spawn(router.oneshot(request("key", "/work/a", "asked")));
    place.until_done(1).await;
    hung_up.abort();
    assert!(hung_up.await.unwrap_err().is_cancelled());
    place.work.permits.add_permits(1);
    let answer = place.settled("key", "/work/a", "asked").await;
    assert_eq!(
        (answer.replayed, answer.json()["count"].as_u64()),
        (true, Some(1))
    );
}

#[tokio::test]
async fn a_stream_comes_as_it_is_made_and_again_byte_for_byte() {
    let place = Place::new();
    place.work.permits.forget_permits(1_000_000);
    let router = place.router();
    let response = router.oneshot(request("key", "/stream", "")).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut parts = response.into_body().into_data_stream();
    let mut bytes = Vec::new();
    for count in 1..=3 {
        // The next cannot be on its way: it is not permitted.
        place.work.permits.add_permits(1);
        let part = parts.next().await.unwrap().unwrap();
        assert_eq!(part, format!("event: text\ndata: {count}\n\n"));
        bytes.extend_from_slice(&part);
    }
    assert!(parts.next().await.is_none());
    // It was kept before its end was told.
    let again = place.ask("key", "/stream", "").await;
    assert!(again.replayed);
    assert_eq!(again.bytes, bytes);
    assert!(
        again
            .headers
            .contains(&("content-type".to_owned(), "text/event-stream".to_owned()))
    );
    assert_eq!(place.done(), 3);
}

#[tokio::test]
async fn no_answer_ends_before_it_is_kept() {
    let place = Place::new();
    place.store.permits.forget_permits(1_000_000);
    let mut whole = Box::pin(place.ask("key", "/work/a", "asked"));
    // It is polled as it goes on, and must not be done when it is to be kept.
    while place.store.finishing.load(Ordering::SeqCst) < 1 {
        assert!((&mut whole).now_or_never().is_none());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!((&mut whole).now_or_never().is_none());
    place.store.permits.add_permits(1);
    assert_eq!(whole.await.status, 201);

    let router = place.router();
    let response = router.oneshot(request("key", "/stream", "")).await.unwrap();
    let mut parts = response.into_body().into_data_stream();
    for _ in 0..3 {
        parts.next().await.unwrap().unwrap();
    }
    while place.store.finishing.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(parts.next().now_or_never().is_none());
    place.store.permits.add_permits(1);
    assert!(parts.next().await.is_none());
}

#[tokio::test]
async fn a_stream_whose_reader_hangs_up_is_made_to_its_end_and_kept() {
    let place = Place::new();
    place.work.permits.forget_permits(1_000_000);
    let router = place.router();
    let response = router.oneshot(request("key", "/stream", "")).await.unwrap();
    place.work.permits.add_permits(1);
    let mut parts = response.into_body().into_data_stream();
    parts.next().await.unwrap().unwrap();
    drop(parts);
    place.work.permits.add_permits(2);
    let answer = place.settled("key", "/stream", "").await;
    assert_eq!(
        answer.bytes,
        b"event: text\ndata: 1\n\nevent: text\ndata: 2\n\nevent: text\ndata: 3\n\n"
    );
    assert_eq!((answer.replayed, place.done()), (true, 3));
}

#[tokio::test]
async fn a_stream_that_fails_is_free_as_soon_as_its_reader_knows() {
    let place = Place::new();
    place.fail_with(&[500]);
    let router = place.router();
    let response = router.oneshot(request("key", "/stream", "")).await.unwrap();
    let mut parts = response.into_body().into_data_stream();
    let part = parts.next().await.unwrap().unwrap();
    assert_eq!(part, "event: error\ndata: {}\n\n");
    let again = place.ask("key", "/stream", "").await;
    assert_eq!((again.replayed, place.done()), (false, 4));
    assert!(place.ask("key", "/stream", "").await.replayed);
}

#[tokio::test]
async fn the_request_of_a_dead_process_is_free_after_its_lease() {
    let place = Place::new();
    place.work.permits.forget_permits(1_000_000);
    // A runtime that ends as a killed process does: nothing of it goes on.
    let dead = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let asked = place.router().oneshot(request("key", "/work/a", "asked"));
    dead.spawn(asked);
    place.until_done(1).await;
    let end = tokio::task::spawn_blocking(|| dead.shutdown_timeout(Duration::from_secs(60)));
    end.await.unwrap();
    place.later(LEASE_MS - 1);
    let early = place.ask("key", "/work/a", "asked").await;
    assert_eq!(early.refused(), (409, "idempotency_in_flight".to_owned()));
    place.later(1);
    let other = place.ask("key", "/work/a", "else").await;
    assert_eq!(other.refused(), (422, "idempotency_key_reused".to_owned()));
    place.work.permits.add_permits(1);
    let answer = place.ask("key", "/work/a", "asked").await;
    assert_eq!(
        (answer.status, answer.replayed, place.done()),
        (201, false, 2)
    );
}

#[tokio::test]
async fn nothing_is_done_while_the_store_is_away() {
    let place = Place::new();
    place.store.claims.store(false, Ordering::SeqCst);
    let answer = place.ask("key", "/work/a", "asked").await;
    assert_eq!(answer.refused(), (503, "store_unavailable".to_owned()));
    assert_eq!(place.done(), 0);
    place.store.claims.store(true, Ordering::SeqCst);
    assert_eq!(place.ask("key", "/work/a", "asked").await.status, 201);
}

#[tokio::test]
async fn an_answer_that_cannot_be_kept_is_given_all_the_same() {
    let place = Place::new();
    place.store.finishes.store(false, Ordering::SeqCst);
    assert_eq!(place.ask("key", "/work/a", "asked").await.status, 201);
    place.store.finishes.store(true, Ordering::SeqCst);
    let answer = place.ask("key", "/work/a", "asked").await;
    assert_eq!(answer.code(), "idempotency_in_flight");
    place.later(LEASE_MS);
    let answer = place.ask("key", "/work/a", "asked").await;
    assert_eq!((answer.status, place.done()), (201, 2));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_given_once_and_never_worked_out_again() {
    let place = Place::new();
    let router = Router::new().route("/large", post(async || "x".repeat(LARGEST_ANSWER)));
    let access = Access {
        answers: Some(place.answers()),
        ..Access::open()
    };
    let router = platform(router, access);
    let ask = async || {
        read(
            router
                .clone()
                .oneshot(request("key", "/large", ""))
                .await
                .unwrap(),
        )
        .await
    };
    assert_eq!(ask().await.bytes.len(), LARGEST_ANSWER);
    let unavailable = (409, "idempotency_answer_unavailable".to_owned());
    assert_eq!(ask().await.refused(), unavailable);
}

fn uploading(key: &str, most: usize, body: &str) -> Request {
    let mut request = request(key, "/upload", parts_of(body));
    request.headers_mut().insert("most", most.into());
    request
}

/// A body that comes bit by bit.
fn parts_of(body: &str) -> Body {
    let parts: Vec<_> = body
        .as_bytes()
        .chunks(60_000)
        .map(Bytes::copy_from_slice)
        .collect();
    Body::from_stream(stream::iter(parts.into_iter().map(Ok::<_, Infallible>)))
}

#[tokio::test]
async fn a_body_that_is_not_kept_is_compared_as_it_passes() {
    let body = "x".repeat(5 << 20);
    let other = format!("{}y", &body[1..]);
    // The second leaves most of its body unread.
    for most in [usize::MAX, 3 << 20, 1] {
        let place = Place::new();
        let first = place.send(uploading("key", most, &body)).await;
        assert_eq!(first.status, 200, "{first:?}");
        let again = place.send(uploading("key", most, &body)).await;
        assert!(again.replayed);
        assert_eq!(again.bytes, first.bytes);
        for wrong in [&other, "small"] {
            let answer = place.send(uploading("key", most, wrong)).await;
            assert_eq!(answer.refused(), (422, "idempotency_key_reused".to_owned()));
        }
        assert_eq!(place.done(), 1);
    }
}

#[tokio::test]
async fn a_large_body_is_in_flight_whatever_it_is_and_free_where_it_breaks_off() {
    let place = Place::new();
    place.work.permits.forget_permits(1_000_000);
    let body = "x".repeat(5 << 20);
    let router = place.router();
    let first = tokio::spawn(router.oneshot(uploading("key", 1, &body)));
    place.until_done(1).await;
    let same = place.send(uploading("key", 1, &body)).await;
    assert_eq!(same.code(), "idempotency_in_flight");
    place.work.permits.add_permits(9);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);

    let cut = [Ok(Bytes::from(body.clone())), Err("the line is cut")];
    for most in [1, usize::MAX] {
        let key = format!("cut{most}");
        let cut = Body::from_stream(stream::iter(cut.clone()));
        let mut request = request(&key, "/upload", cut);
        request.headers_mut().insert("most", most.into());
        place.send(request).await;
        // Nobody knows what was asked.
        let whole = place.send(uploading(&key, most, &body)).await;
        assert_eq!((whole.status, whole.replayed), (200, false));
    }
}

#[tokio::test]
async fn callers_have_keys_of_their_own_and_a_rotated_one_learns_no_answer() {
    let mut place = Place::new();
    let database = Database::open(&place.root.path().join("llmopt.db")).unwrap();
    let records = || Arc::new(SqliteRecordStore::new(database.clone()));
    let keys = Keys::new(
        records(),
        Arc::new(SqliteRecordStore::new(database.clone())),
    );
    place.guard = Guard::Everybody(keys.clone());
    let issue = async || {
        let request = NewKey {
            name: "tests".to_owned(),
            scopes: BTreeSet::from([Scope::Admin]),
            limits: KeyLimits::default(),
            expires_ms: None,
        };
        keys.create(request).await.unwrap()
    };
    let (one, two) = (issue().await, issue().await);
    let ask = async |text: &str| {
        let mut request = request("key", "/work/a", "asked");
        let bearer = format!("Bearer {text}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        place.send(request).await
    };
    assert_eq!(ask(&one.text.expose()).await.json()["count"], 1);
    assert_eq!(ask(&two.text.expose()).await.json()["count"], 2);
    assert!(ask(&one.text.expose()).await.replayed);
    let rotated = keys
        .rotate(&one.key.id, Duration::from_secs(60))
        .await
        .unwrap();
    let answer = ask(&rotated.text.expose()).await;
    let unavailable = (409, "idempotency_answer_unavailable".to_owned());
    assert_eq!(answer.refused(), unavailable);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("rotated")
    );
    assert!(ask(&one.text.expose()).await.replayed);
    assert_eq!(ask("llmopt_nobody").await.status, 401);
}
