use std::{
    num::NonZeroU32,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use futures::StreamExt;
use llmopt_service::{
    Answers, CacheStatus, GenerationError, GenerationEvent, GenerationRequest, GenerationStream,
    Keys, Models, TextGenerator,
};
use llmopt_storage_embedded::{
    Database, FileFolderStore, SqliteAnswerStore, SqliteMessageQueue, SqliteRecordStore,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Sender};
use tower::ServiceExt;

use super::*;

mod commercial;
mod queued;

type Line = Sender<Result<GenerationEvent, GenerationError>>;

/// Says one word and never ends; keeps its end of the line, so that a test sees when nobody listens.
#[derive(Default)]
struct Endless {
    line: Mutex<Option<Line>>,
}

#[async_trait]
impl TextGenerator for Endless {
    async fn generate(&self, _: GenerationRequest) -> Result<GenerationStream, GenerationError> {
        let (sender, stream) = mpsc::channel(2);
        let text = "once".to_owned();
        sender
            .send(Ok(GenerationEvent::Text { text }))
            .await
            .unwrap();
        *self.line.lock().unwrap() = Some(sender);
        Ok(stream)
    }

    fn cache(&self) -> Option<CacheStatus> {
        None
    }
}

impl Endless {
    /// Waits until nobody wants the answer any more.
    async fn is_given_up(&self) {
        let line = self.line.lock().unwrap().clone().unwrap();
        line.closed().await;
    }
}

struct Place {
    generator: Arc<Endless>,
    state: GenerateState,
    router: Router,
    folder: tempfile::TempDir,
    /// How much later than now it is for those who keep answers, in milliseconds.
    late_ms: Arc<AtomicU64>,
}

fn queued(folder: &Path, late_ms: &Arc<AtomicU64>) -> QueuedAnswers {
    let answers = SqliteAnswerStore::open(&folder.join("answers.db")).unwrap();
    let late_ms = Arc::clone(late_ms);
    let clock = Arc::new(move || llmopt_http::now_ms() + late_ms.load(Ordering::SeqCst));
    let database = Database::open(&folder.join("llmopt.db")).unwrap();
    let most = NonZeroU32::new(1_000).unwrap();
    QueuedAnswers {
        answers: Answers::with_clock(Arc::new(answers), clock),
        queue: Arc::new(SqliteMessageQueue::new(database.clone(), "questions", most)),
        keys: Some(Keys::new(
            Arc::new(SqliteRecordStore::new(database.clone())),
            Arc::new(SqliteRecordStore::new(database)),
        )),
    }
}

async fn place(timeout: Duration) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(FileFolderStore::open(folder.path()).unwrap());
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/tests/fixtures/tiny-gpt2");
    Models::new(&*store)
        .import(&fixture, &"tiny".parse().unwrap())
        .await
        .unwrap();
    let generator = Arc::new(Endless::default());
    let late_ms = Arc::<AtomicU64>::default();
    let queued = queued(folder.path(), &late_ms);
    let generation = Generation::new(store, folder.path().to_owned(), generator.clone());
    let state = GenerateState {
        generation,
        commercial: None,
        queued: Some(queued),
        timeout,
        longest: None,
    };
    Place {
        router: router(state.clone()),
        state,
        generator,
        folder,
        late_ms,
    }
}

fn request(stream: bool) -> Request<Body> {
    let body = json!({"model_id": "base:tiny", "prompt": "Hi", "stream": stream});
    Request::post("/generate")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up_with_504() {
    let place = place(SHORT).await;
    let response = place.router.oneshot(request(false)).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["code"], "model_timeout");
    place.generator.is_given_up().await;
}

#[tokio::test]
async fn a_stream_that_takes_too_long_ends_with_an_error() {
    let place = place(SHORT).await;
    let response = place.router.oneshot(request(true)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(
        text.starts_with("event: text\ndata: {\"text\":\"once\"}\n\n"),
        "{text}"
    );
    assert!(text.contains("event: error\ndata: {"), "{text}");
    assert!(text.contains("model_timeout"), "{text}");
    place.generator.is_given_up().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_stops_the_work() {
    let place = place(LONG).await;
    let response = place.router.oneshot(request(true)).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    assert!(body.next().await.unwrap().is_ok());
    drop(body);
    place.generator.is_given_up().await;
}

#[tokio::test]
async fn an_unknown_model_is_a_problem_and_not_a_stream() {
    let place = place(LONG).await;
    let body = json!({"model_id": "base:nobody", "prompt": "Hi", "stream": true});
    let request = Request::post("/generate")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = place.router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}
