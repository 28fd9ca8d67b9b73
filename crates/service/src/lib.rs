//! The use cases of llmopt: finding models, preparing training jobs and evaluations, keeping track of
//! jobs, showing what a model sees of a dataset.
//!
//! Knows the ports and the formats of datasets, models and artifacts. Does not know who asks (a command
//! line, an HTTP route), the environment, the network, tensors or any particular store; prints nothing.

mod error;
mod evaluation;
mod jobs;
mod model;
mod models;
mod preview;
mod reference;
mod tokens;
mod training;

pub use error::ServiceError;
pub use evaluation::{EvaluationRequest, prepare_evaluation};
pub use jobs::{Job, JobLock, Jobs};
pub use model::{ModelSummary, ResolvedModel};
pub use models::{Models, Resolution};
pub use preview::{Preview, PreviewToken, preview};
pub use reference::{HubRepository, ModelReference};
pub use tokens::{HistogramBar, TokenStatistics, token_statistics};
pub use training::{PreparedJob, TrainingRequest, check_unchanged, prepare_training};
