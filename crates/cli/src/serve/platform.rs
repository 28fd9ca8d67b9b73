use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use llmopt_commercial_function::CommercialState;
use llmopt_config::{Environment, ModelWeights};
use llmopt_domain::{Rate, TrainingJob, UploadedDataset};
use llmopt_exporters::{PrometheusMeter, Traces};
use llmopt_generate_function::{AnswerWorker, GenerateState, QueuedAnswers};
use llmopt_http::{Access, Guard, Limits, Metered, Origins, RouteLimit, platform_beside};
use llmopt_inference::{EngineOptions, LlamaEngine, WeightType};
use llmopt_service::{
    Answers, Datasets, Generation, Health, HealthSources, JobStores, Keys, Limiter, ModelCatalog,
    Place, ServiceError, StoredGenerator, TextGenerator, TrainingJobs,
};
use llmopt_storage::{FolderStore, MessageQueue, RateStore, RecordStore, StorageError};
use llmopt_storage_embedded::{
    Database, FileFolderStore, FilePartStore, SqliteAnswerStore, SqliteEventLog,
    SqliteMessageQueue, SqliteRateStore, SqliteRecordStore,
};
use llmopt_training_function::{LiveStreams, TrainingState};

use super::{
    commercial::CommercialModels,
    gpus::NvmlGpuProbe,
    metrics::{self, Scraped},
};
use crate::{context::Context, failure::Failure, hub::Hub};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const QUEUE: &str = "training";
const QUESTIONS: &str = "questions";
/// Whoever works on them decides when to give up. The message of a job that was handed out so often is lost, which the
/// next sweep makes up for.
const MAX_RECEIVES: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

/// How long a count of jobs and messages counts.
const COUNT_EVERY: Duration = Duration::from_secs(2);

/// The platform on the embedded stores of one data directory.
pub(crate) struct Platform {
    pub(crate) stores: JobStores,
    pub(crate) keys: Keys,
    limiter: Limiter,
    limits: Limits,
    origins: Origins,
    is_development: bool,
    answers: Answers,
    datasets: Datasets,
    catalog: ModelCatalog,
    jobs: TrainingState,
    generate: GenerateState,
    pub(crate) commercial: CommercialModels,
    scraped: Scraped,
    is_traced: bool,
}

impl Platform {
    pub(crate) fn open(context: &Context) -> Result<Self, Failure> {
        let data_dir = context.data_dir.clone();
        let Opened {
            stores,
            datasets,
            keys,
            questions,
        } = open_stores(&data_dir).map_err(ServiceError::from)?;
        let rates = SqliteRateStore::open(&data_dir.join(SqliteRateStore::FILE_NAME))
            .map_err(ServiceError::from)?;
        let rates: Arc<dyn RateStore> = Arc::new(rates);
        let commercial = CommercialModels::open(context, Arc::clone(&rates))?;
        let answers = SqliteAnswerStore::open(&data_dir.join(SqliteAnswerStore::FILE_NAME))
            .map_err(ServiceError::from)?;
        let answers = Answers::new(Arc::new(answers));
        let datasets = Datasets::new(
            Arc::clone(&stores.folders),
            datasets,
            Arc::clone(&stores.records),
        );
        let parts = FilePartStore::open(&data_dir).map_err(ServiceError::from)?;
        let datasets = datasets.with_parts(Arc::new(parts));
        let engine = LlamaEngine::new(&engine_options(context));
        let engine = Arc::new(engine.map_err(|error| Failure::failed_from(&error))?);
        let folders = || Arc::clone(&stores.folders);
        let generator: Arc<dyn TextGenerator> = Arc::new(StoredGenerator::new(folders(), engine));
        let place = Place {
            data_dir: data_dir.clone(),
            code_version: VERSION.to_owned(),
        };
        let hub = Hub::new(&context.settings, data_dir.join("hub"));
        let meter = PrometheusMeter::new().map_err(|error| Failure::failed_from(&error))?;
        let meter = Arc::new(meter);
        let health = Health::new(HealthSources {
            stores: stores.clone(),
            generator: Some(Arc::clone(&generator)),
            meter: Arc::clone(&meter) as Arc<_>,
            gpus: Some(Arc::new(NvmlGpuProbe::default())),
            providers: Some(Arc::new(commercial.clone())),
            data_dir: data_dir.clone(),
            version: VERSION.to_owned(),
            memory_limit_bytes: None,
            count_every: COUNT_EVERY,
        });
        Ok(Self {
            catalog: ModelCatalog::new(folders(), Arc::clone(&stores.records)),
            jobs: TrainingState {
                jobs: TrainingJobs::new(stores.clone(), datasets.clone(), Arc::new(hub), place),
                threads: context.settings.threads,
                machine: context.training_machine(),
                streams: LiveStreams {
                    poll: Duration::from_millis(200),
                    longest: None,
                },
            },
            generate: GenerateState {
                generation: Generation::new(folders(), data_dir, generator),
                commercial: Some(commercial.commercial.clone()),
                queued: Some(QueuedAnswers {
                    answers: answers.clone(),
                    queue: questions,
                    keys: Some(keys.clone()),
                }),
                timeout: context.settings.model_timeout,
                longest: None,
            },
            scraped: Scraped {
                meter,
                health,
                service: context.settings.service_name.clone(),
            },
            is_traced: context.traces.is_some(),
            datasets,
            keys,
            limiter: Limiter::new(rates),
            commercial,
            is_development: context.settings.environment == Environment::Development,
            origins: Origins::of(&context.settings.cors_origins),
            answers,
            limits: Limits {
                address: context.settings.requests_per_minute.map(Rate::per_minute),
                key: context
                    .settings
                    .key_requests_per_minute
                    .map(Rate::per_minute),
                routes: context
                    .settings
                    .route_limits
                    .iter()
                    .map(|it| RouteLimit::new(&it.route, it.requests_per_minute, it.burst))
                    .collect(),
                open_in_outage: context.settings.open_in_outage,
            },
            stores,
        })
    }

    /// Returns who answers the questions that are queued.
    pub(crate) fn answer_worker(&self) -> Option<AnswerWorker> {
        let meter = Metered(Arc::clone(&self.scraped.meter) as Arc<_>);
        AnswerWorker::new(self.generate.clone(), meter)
    }

    /// Returns the routes that answer questions, for whoever may use the data directory: without keys and limits.
    pub(crate) fn generate_router(&self) -> Router {
        llmopt_generate_function::router(self.generate.clone())
    }

    /// Returns the routes about commercial models, in the same way.
    pub(crate) fn commercial_router(&self) -> Router {
        llmopt_commercial_function::router(CommercialState {
            commercial: self.commercial.commercial.clone(),
            generation: Some(self.generate.generation.clone()),
            timeout: self.generate.timeout,
            longest: None,
        })
    }

    /// Returns every route of the platform, for a server that listens on `address`.
    ///
    /// The route of `inference` is not among them: it takes folders of this machine, which only
    /// `generate` may name, and that has the engine in its own process here.
    pub(crate) fn router(&self, address: SocketAddr) -> Router {
        let routes = Router::new()
            .merge(llmopt_health_function::router(self.scraped.health.clone()))
            .merge(llmopt_models_function::router(self.catalog.clone()))
            .merge(llmopt_datasets_function::router(self.datasets.clone()))
            .merge(llmopt_training_function::router(self.jobs.clone()))
            .merge(self.generate_router())
            .merge(self.commercial_router())
            .merge(llmopt_keys_function::router(self.keys.clone()));
        let keys = self.keys.clone();
        let access = Access {
            guard: if address.ip().is_loopback() {
                Guard::OnceThereAreKeys(keys)
            } else {
                Guard::Everybody(keys)
            },
            limiter: Some(self.limiter.clone()),
            limits: self.limits.clone(),
            origins: self.origins.clone(),
            is_local: address.ip().is_loopback(),
            // Whoever is on this machine may read its log.
            tells_causes: self.is_development && address.ip().is_loopback(),
            answers: Some(self.answers.clone()),
            meter: Arc::clone(&self.scraped.meter) as Arc<_>,
        };
        let router = platform_beside(routes, metrics::router(self.scraped.clone()), access);
        if self.is_traced {
            Traces::follow(router)
        } else {
            router
        }
    }
}

/// The stores of a data directory.
struct Opened {
    stores: JobStores,
    datasets: Arc<dyn RecordStore<UploadedDataset>>,
    keys: Keys,
    questions: Arc<dyn MessageQueue>,
}

fn open_stores(data_dir: &std::path::Path) -> Result<Opened, StorageError> {
    let folders: Arc<dyn FolderStore> = Arc::new(FileFolderStore::open(data_dir)?);
    let database = Database::open(&data_dir.join(Database::FILE_NAME))?;
    let records: Arc<dyn RecordStore<TrainingJob>> =
        Arc::new(SqliteRecordStore::new(database.clone()));
    let datasets = Arc::new(SqliteRecordStore::new(database.clone()));
    let keys = Keys::new(
        Arc::new(SqliteRecordStore::new(database.clone())),
        Arc::new(SqliteRecordStore::new(database.clone())),
    );
    let stores = JobStores {
        folders,
        records,
        logs: Arc::new(SqliteEventLog::new(database.clone())),
        queue: Arc::new(SqliteMessageQueue::new(
            database.clone(),
            QUEUE,
            MAX_RECEIVES,
        )),
    };
    Ok(Opened {
        stores,
        datasets,
        keys,
        questions: Arc::new(SqliteMessageQueue::new(database, QUESTIONS, MAX_RECEIVES)),
    })
}

fn engine_options(context: &Context) -> EngineOptions {
    let settings = &context.settings;
    EngineOptions {
        max_models: settings.model_cache,
        max_bytes: settings.model_cache_bytes,
        weights: match settings.model_weights {
            ModelWeights::F32 => WeightType::F32,
            ModelWeights::F16 => WeightType::F16,
            ModelWeights::Q8_0 => WeightType::Q8_0,
        },
        threads: settings.model_threads,
        at_once: NonZeroU32::new(settings.threads / settings.model_threads)
            .unwrap_or(NonZeroU32::MIN),
        ..EngineOptions::new(converted(&context.data_dir))
    }
}

fn converted(data_dir: &std::path::Path) -> PathBuf {
    data_dir.join("gguf")
}
