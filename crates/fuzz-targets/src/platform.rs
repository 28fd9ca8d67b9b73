use std::{
    fs,
    future::Future,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use llmopt_generate_function::GenerateState;
use llmopt_http::{API, Access, platform};
use llmopt_service::{
    CacheStatus, Datasets, FinishReason, Generation, GenerationError, GenerationEvent,
    GenerationRequest, GenerationStream, Health, HealthSources, JobStores, Keys, ModelCatalog,
    Models, NoHub, Place, TextGenerator, TrainingJobs, TrainingMachine,
};
use llmopt_spending::{LogAlerts, Spending};
use llmopt_storage_embedded::{
    Database, FileFolderStore, SqliteEventLog, SqliteMessageQueue, SqliteRecordStore,
    SqliteSpendStore,
};
use llmopt_telemetry::Unmetered;
use llmopt_training_function::{LiveStreams, TrainingState};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{runtime, sync::mpsc};
use tower::ServiceExt;

use crate::text::check_message;

/// A base model that the platform has.
pub(crate) const BASE: &str = "base:tiny";

/// The whole platform over the embedded stores of a folder of its own, with one base model.
pub(crate) struct Platform {
    runtime: runtime::Runtime,
    routes: Router,
    pub(crate) stores: JobStores,
    pub(crate) keys: Keys,
    pub(crate) spending: Spending,
    /// The id of a dataset that can be trained on.
    pub(crate) dataset: String,
    _folder: TempDir,
}

/// An answer of the platform.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

thread_local! {
    static PLATFORM: Platform = Platform::open();
}

/// Does `work` with this thread's platform.
pub(crate) fn with_platform<T>(work: impl FnOnce(&Platform) -> T) -> T {
    PLATFORM.with(work)
}

/// Returns a file or folder of the small model that the tests share.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../trainer/tests/fixtures");
    Path::new(folder).join(name)
}

/// Says one word to everybody.
pub(crate) struct OneWord;

#[async_trait]
impl TextGenerator for OneWord {
    async fn generate(&self, _: GenerationRequest) -> Result<GenerationStream, GenerationError> {
        let (sender, stream) = mpsc::channel(2);
        let text = "word".to_owned();
        sender
            .send(Ok(GenerationEvent::Text { text }))
            .await
            .unwrap();
        let last = GenerationEvent::Finished {
            finish_reason: FinishReason::Stop,
            prompt_tokens: 1,
            completion_tokens: 1,
            cached: true,
            first_token_ms: 0,
        };
        sender.send(Ok(last)).await.unwrap();
        Ok(stream)
    }

    fn cache(&self) -> Option<CacheStatus> {
        None
    }
}

impl Platform {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let (runtime, stores) = (runtime.unwrap(), stores(&root));
        let database = Database::open(&root.join(Database::FILE_NAME)).unwrap();
        let folders = || Arc::clone(&stores.folders);
        let datasets = Datasets::new(
            folders(),
            Arc::new(SqliteRecordStore::new(database.clone())),
            Arc::clone(&stores.records),
        );
        let keys = Keys::new(
            Arc::new(SqliteRecordStore::new(database.clone())),
            Arc::new(SqliteRecordStore::new(database.clone())),
        );
        let spending = SqliteSpendStore::open(&root.join(SqliteSpendStore::FILE_NAME)).unwrap();
        let spending = Spending::new(Arc::new(spending), Arc::new(LogAlerts));
        let name = "tiny".parse().unwrap();
        let models = Models::new(&*stores.folders);
        let base = fixture("tiny-gpt2");
        runtime.block_on(models.import(&base, &name)).unwrap();
        let dataset = runtime.block_on(dataset(&datasets));
        let routes = Router::new()
            .merge(llmopt_health_function::router(Health::new(HealthSources {
                stores: stores.clone(),
                generator: None,
                meter: Arc::new(Unmetered),
                gpus: None,
                providers: None,
                data_dir: root.clone(),
                version: "0".to_owned(),
                memory_limit_bytes: None,
                count_every: Duration::ZERO,
            })))
            .merge(llmopt_models_function::router(ModelCatalog::new(
                folders(),
                Arc::clone(&stores.records),
            )))
            .merge(llmopt_datasets_function::router(datasets.clone()))
            .merge(llmopt_training_function::router(TrainingState {
                jobs: jobs(&stores, &datasets, &root),
                threads: 1,
                machine: TrainingMachine {
                    name: "local".to_owned(),
                    usd_per_hour: None,
                },
                streams: LiveStreams {
                    poll: Duration::from_millis(1),
                    longest: Some(Duration::ZERO),
                },
            }))
            .merge(llmopt_generate_function::router(GenerateState {
                generation: Generation::new(folders(), root, Arc::new(OneWord)),
                commercial: None,
                queued: None,
                timeout: Duration::from_secs(5),
                longest: None,
            }))
            .merge(llmopt_keys_function::router(keys.clone()));
        Self {
            runtime,
            routes,
            spending,
            stores,
            keys,
            dataset,
            _folder: folder,
        }
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Asks the platform, to which everybody may do everything.
    pub(crate) fn ask(&self, request: Request<Body>) -> Answer {
        self.ask_as(request, Access::open())
    }

    /// Asks the platform behind `access`, and checks what holds for every answer.
    pub(crate) fn ask_as(&self, request: Request<Body>, access: Access) -> Answer {
        let routes = platform(self.routes.clone(), access);
        let answer = self.block_on(async {
            let response = routes.oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            Answer {
                status: parts.status,
                headers: parts.headers,
                body: to_bytes(body, usize::MAX).await.unwrap().to_vec(),
            }
        });
        answer.check();
        answer
    }

    /// Posts a JSON body to a route.
    pub(crate) fn post(&self, route: &str, body: &[u8]) -> Answer {
        let request = Request::post(format!("{API}{route}"));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.ask(request.body(Body::from(body.to_vec())).unwrap())
    }
}

impl Answer {
    /// Returns the body of an answer that is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Nothing that is asked is a fault of ours; what is refused says why, and by which request.
    fn check(&self) {
        let status = self.status;
        let body = String::from_utf8_lossy(&self.body);
        assert!(!status.is_server_error(), "{status}: {body}");
        let id = self.headers["x-request-id"].to_str().unwrap();
        if !status.is_client_error() || self.body.is_empty() {
            return;
        }
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{body}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status.as_u16());
        assert_eq!(problem["request_id"], id);
        for field in ["code", "title", "detail"] {
            check_message(problem[field].as_str().unwrap());
        }
        for error in problem["errors"].as_array().into_iter().flatten() {
            check_message(error["detail"].as_str().unwrap());
            assert!(error["pointer"].is_string(), "{body}");
        }
    }
}

fn stores(root: &Path) -> JobStores {
    fs::create_dir_all(root).unwrap();
    let database = Database::open(&root.join(Database::FILE_NAME)).unwrap();
    let receives = NonZeroU32::MAX;
    JobStores {
        folders: Arc::new(FileFolderStore::open(root).unwrap()),
        records: Arc::new(SqliteRecordStore::new(database.clone())),
        logs: Arc::new(SqliteEventLog::new(database.clone())),
        queue: Arc::new(SqliteMessageQueue::new(database, "jobs", receives)),
    }
}

fn jobs(stores: &JobStores, datasets: &Datasets, root: &Path) -> TrainingJobs {
    let place = Place {
        data_dir: root.to_owned(),
        code_version: "0".to_owned(),
    };
    TrainingJobs::new(stores.clone(), datasets.clone(), Arc::new(NoHub), place)
}

/// Keeps a dataset that can be trained on, and returns its id.
async fn dataset(datasets: &Datasets) -> String {
    let row = |i| format!("{{\"prompt\": \"count {i}\", \"response\": \"it is {i}\"}}\n");
    let rows: String = (0..10).map(row).collect();
    let mut upload = datasets.upload("rows.jsonl").await.unwrap();
    upload.write(rows.as_bytes()).await.unwrap();
    datasets.finish(upload).await.unwrap().dataset.id
}
