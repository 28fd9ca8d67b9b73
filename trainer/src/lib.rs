//! Fine-tunes and evaluates GPT-2 models on libtorch.
//!
//! Knows tensors, the recipe of a training run, its checkpoints and what it publishes. Does not know
//! HTTP, queues, nor how a dataset or a base model was found: a job's specification names them.

mod checkpoint;
mod device;
mod error;
mod evaluate;
mod event;
mod generate;
mod job;
mod loss;
mod memory;
pub mod model;
pub mod optimizer;
mod order;
mod publish;
mod recipe;
mod rows;
pub mod schedule;
pub mod step;
mod stop;
pub mod weights;
mod work;

pub use device::{open_device, pick_device};
pub use error::TrainerError;
pub use evaluate::run_evaluation;
pub use event::Events;
pub use job::{JobEnd, JobPlace, run_claimed, run_patiently};
pub use recipe::{Outcome, Worker, run_job};
pub use stop::StopSignal;
pub use work::{work, worker_name};
