//! The use cases of llmopt: finding models, preparing training jobs and evaluations, keeping track of
//! jobs, showing what a model sees of a dataset.
//!
//! Knows the ports and the formats of datasets, models and artifacts. Does not know who asks (a command
//! line, an HTTP route), the environment, the network, tensors or any particular store; prints nothing.

mod answers;
mod blocking;
mod catalog;
mod clock;
mod dataset_report;
mod dataset_source;
mod datasets;
mod dispatcher;
mod error;
mod estimate;
mod evaluation;
mod generation;
mod generator;
mod health;
mod hub;
mod init;
mod job_claim;
mod job_inputs;
mod job_log;
mod jobs;
mod keys;
mod limiter;
mod machine;
mod memory;
mod model;
mod models;
mod part_uploads;
mod preview;
mod reference;
mod repairs;
mod stored_generator;
#[cfg(test)]
mod testing;
mod tokens;
mod training;
mod training_jobs;

pub use answers::{
    AnswerLease, Answers, Begun, Known, LARGEST_ANSWER, PastAnswer, Recalled, RequestName,
};
pub use catalog::{CatalogModel, ModelCatalog};
pub use dataset_report::{DatasetReport, TokenRequest};
pub use dataset_source::DatasetSource;
pub use datasets::{DatasetUpload, Datasets, Uploaded};
pub use dispatcher::{Dispatch, Dispatcher, WorkerEnd};
pub use error::ServiceError;
pub use estimate::{
    JobEstimate, MachineEstimate, MemoryEstimate, SpeedBasis, TrainingMachine, estimate_training,
};
pub use evaluation::{EvaluationRequest, Weights, prepare_evaluation};
pub use generation::{AnswerWeights, Answerer, Generation, Question};
pub use generator::{
    CacheStatus, FailureKind, FinishReason, GenerationError, GenerationEvent, GenerationLine,
    GenerationRequest, GenerationStream, ModelFiles, RemoteFailure, Sampling, ServedModel,
    TextGenerator,
};
pub use health::{
    CacheFigures, Check, Gpu, GpuProbe, Health, HealthSources, JobCounts, Latencies,
    ProviderCircuit, ProviderFigures, ProviderProbe, QueueCounts, Requests, Status,
};
pub use hub::{HubFailure, ModelHub, NoHub};
pub use init::{InitRequest, ModelSizes, NewModel, init_model};
pub use job_claim::{Claimed, ClaimedJob, JobWorker, Tended};
pub use job_inputs::localise;
pub use job_log::NumberedEvent;
pub use jobs::{Job, JobLock, Jobs};
pub use keys::{IssuedKey, Keys, NewKey};
pub use limiter::{Granted, Limiter};
pub use llmopt_preparation::{
    HistogramBar, OverlongRows, SuggestedValue, Suggestion, TokenLengths, TokenOptions,
    TokenReport, TokenStatistics, TrainingEstimate, VocabularyUse,
};
pub use machine::{Cpu, Disk, Machine, Memory};
pub use model::{ModelSummary, ResolvedModel};
pub use models::{Models, is_description};
pub use part_uploads::{PartError, PartReceipt};
pub use preview::{Preview, PreviewRequest, PreviewToken, model_context, open_encoder, preview};
pub use reference::{HubRepository, ModelReference};
pub use repairs::Mended;
pub use stored_generator::StoredGenerator;
pub use tokens::{token_options, token_report, token_statistics};
pub use training::{PreparedJob, TrainingRequest, check_unchanged, prepare_training};
pub use training_jobs::{
    EstimateRequest, JobRequest, JobStores, MetricPoint, Place, Submitted, TrainingJobs,
};
