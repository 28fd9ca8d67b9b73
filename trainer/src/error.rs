use std::{io, path::PathBuf};

use llmopt_artifact::ArtifactError;
use llmopt_dataset::DatasetError;
use llmopt_domain::{ConfigProblem, ObjectKey};
use llmopt_service::ServiceError;
use llmopt_storage::StorageError;
use llmopt_tokenization::TokenizationError;
use tch::TchError;
use thiserror::Error;

/// Why a training or evaluation run did not finish.
#[derive(Debug, Error)]
pub enum TrainerError {
    /// The specification cannot be read.
    #[error("failed to read the job specification `{}`", path.display())]
    Spec {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Nothing says where the stores of submitted jobs are.
    #[error("failed to open the stores of jobs")]
    Stores(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A value of the configuration is out of range.
    #[error("the training configuration is wrong: {}", join(.0))]
    Config(Vec<ConfigProblem>),
    /// The dataset cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A row cannot be tokenized.
    #[error("failed to tokenize row {row} of `{}`", path.display())]
    Row {
        /// The dataset.
        path: PathBuf,
        /// The row, counted from 1.
        row: u64,
        /// What is wrong with it.
        source: TokenizationError,
    },
    /// Rows are longer than allowed.
    #[error(
        "{} of `{}` are longer than {limit} tokens, the longest has {longest}; nothing is cut silently: \
         shorten them, raise `max_length`, or set `overlong` to `drop`", rows_text(.rows), path.display()
    )]
    Overlong {
        /// The dataset.
        path: PathBuf,
        /// The rows, counted from 1.
        rows: Vec<u64>,
        /// The limit in tokens.
        limit: usize,
        /// The longest row in tokens.
        longest: usize,
    },
    /// No row, or no token with loss, is left to train on.
    #[error("`{}` leaves nothing to train on: {rows} rows, {labels} tokens with loss", path.display())]
    NothingToTrain {
        /// The dataset.
        path: PathBuf,
        /// Rows that are left.
        rows: usize,
        /// Their tokens with loss.
        labels: usize,
    },
    /// The tokenizer and the model do not belong together.
    #[error(
        "token id {id} in row {row} is outside the model's vocabulary of {vocabulary}: the folder's tokenizer and weights do not belong together"
    )]
    Vocabulary {
        /// The row, counted from 1.
        row: u64,
        /// The id.
        id: u32,
        /// The model's vocabulary size.
        vocabulary: usize,
    },
    /// A name in `lora.target_modules` fits no layer.
    #[error(
        "`lora.target_modules` names `{0}`, which the model does not have: choose from `c_attn`, `c_proj`, `c_fc`, or a path such as `h.0.attn.c_attn`"
    )]
    TargetModule(String),
    /// An adapter's tensor has the wrong shape.
    #[error(
        "adapter tensor `{name}` has shape {found:?}: expected {expected:?} for this base model"
    )]
    AdapterShape {
        /// The tensor.
        name: String,
        /// The shape that fits.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// The model's output layer is not its token embeddings.
    #[error(
        "`{}`: `tie_word_embeddings` is `false`; expected a GPT-2 whose output layer is its token embeddings",
        path.display()
    )]
    Untied {
        /// The model's folder.
        path: PathBuf,
    },
    /// Weights are of a type that is not trained on.
    #[error("weights of type {0} are not supported: expected F32, F16 or BF16")]
    Dtype(String),
    /// Training diverged.
    #[error(
        "step {step} gave loss {loss} and gradient norm {gradient_norm}; nothing was published and the last checkpoint is from before: lower `learning_rate` or raise `warmup_ratio`"
    )]
    NotFinite {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// Its gradient norm.
        gradient_norm: f64,
    },
    /// The held-out rows gave a loss that is no number.
    #[error(
        "the loss on the held-out rows is {loss}: the weights have diverged or are damaged; lower `learning_rate`"
    )]
    EvaluationNotFinite {
        /// The loss.
        loss: f64,
    },
    /// What would be published is wrong.
    #[error("refused to publish: {0}")]
    Unpublishable(String),
    /// The job has checkpoints but was not asked to resume.
    #[error("this job already has a checkpoint, `{key}`: resume it, or delete it to start anew")]
    AlreadyStarted {
        /// The last checkpoint.
        key: ObjectKey,
    },
    /// A checkpoint does not fit the job.
    #[error("checkpoint `{key}` cannot be resumed from: {reason}")]
    Checkpoint {
        /// The checkpoint.
        key: ObjectKey,
        /// Why not.
        reason: String,
    },
    /// A model folder or an artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The base model's tokenizer or template.
    #[error(transparent)]
    Tokenization(#[from] TokenizationError),
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The job's record.
    #[error(transparent)]
    Service(Box<ServiceError>),
    /// libtorch.
    #[error("libtorch failed")]
    Torch(#[source] TchError),
    /// The device's memory is too small.
    #[error(
        "there is too little memory for this; lower `micro_batch_size`, which changes nothing but rounding, or train \
         with `lora`, or in `bf16`"
    )]
    OutOfMemory(#[source] TchError),
    /// There is no GPU, and nothing else is wanted.
    #[error(
        "`LLMOPT_DEVICE` is `cuda`, and {reason}; see whether `nvidia-smi` shows a GPU and a driver of version 580 or \
         newer, or set it to `auto` to train on the processor"
    )]
    NoGpu {
        /// Why not.
        reason: String,
    },
    /// Reporting.
    #[error("failed to report an event")]
    Event(#[source] io::Error),
    /// Writing.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl TrainerError {
    /// Returns whether a store is away, or another process is at the job's files: the job may go on later
    /// as it is.
    pub fn is_passing(&self) -> bool {
        let is_away = |error: &StorageError| matches!(error, StorageError::Unavailable { .. });
        match self {
            Self::Storage(error) => is_away(error),
            Self::Service(error) => match &**error {
                ServiceError::Storage(error) => is_away(error),
                ServiceError::JobRunning { .. } => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// Returns the process's exit code: 2 where the input must change, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Artifact(ArtifactError::Io { .. }) => 1,
            Self::Spec { .. }
            | Self::Config(_)
            | Self::Dataset(_)
            | Self::Row { .. }
            | Self::Overlong { .. }
            | Self::NothingToTrain { .. }
            | Self::Vocabulary { .. }
            | Self::TargetModule(_)
            | Self::AdapterShape { .. }
            | Self::Untied { .. }
            | Self::Dtype(_)
            | Self::AlreadyStarted { .. }
            | Self::Artifact(_)
            | Self::Tokenization(_) => 2,
            Self::NotFinite { .. }
            | Self::EvaluationNotFinite { .. }
            | Self::Unpublishable(_)
            | Self::Checkpoint { .. }
            | Self::Storage(_)
            | Self::Service(_)
            | Self::Stores(_)
            | Self::Torch(_)
            | Self::OutOfMemory(_)
            | Self::NoGpu { .. }
            | Self::Event(_)
            | Self::Write { .. } => 1,
        }
    }
}

impl From<TchError> for TrainerError {
    fn from(error: TchError) -> Self {
        let text = error.to_string();
        if text.contains("out of memory") || text.contains("can't allocate memory") {
            Self::OutOfMemory(error)
        } else {
            Self::Torch(error)
        }
    }
}

impl From<ServiceError> for TrainerError {
    fn from(error: ServiceError) -> Self {
        Self::Service(Box::new(error))
    }
}

fn join(problems: &[ConfigProblem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Names up to ten rows and counts the rest.
fn rows_text(rows: &[u64]) -> String {
    let named: Vec<String> = rows.iter().take(10).map(u64::to_string).collect();
    let rest = rows.len().saturating_sub(10);
    let more = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    format!("rows {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> StorageError {
        StorageError::Unavailable {
            operation: "publish",
            subject: "models/a/1".to_owned(),
            source: "tests".into(),
        }
    }

    #[test]
    fn where_memory_is_full_the_error_says_what_to_lower() {
        let error = |text: &str| TrainerError::from(TchError::Torch(text.to_owned())).to_string();
        for text in [
            "CUDA out of memory. Tried to allocate 20.00 MiB.",
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.",
        ] {
            assert!(error(text).contains("`micro_batch_size`"), "{text}");
        }
        assert_eq!(error("index out of range"), "libtorch failed");
    }

    #[test]
    fn only_what_may_be_otherwise_later_is_passing() {
        for error in [
            TrainerError::Storage(away()),
            ServiceError::from(away()).into(),
        ] {
            assert!(error.is_passing(), "{error:?}");
        }
        let missing = || StorageError::NoRecord {
            kind: "job",
            id: "a".to_owned(),
        };
        for error in [
            TrainerError::Storage(missing()),
            ServiceError::from(missing()).into(),
            TrainerError::TargetModule("x".to_owned()),
        ] {
            assert!(!error.is_passing(), "{error:?}");
        }
    }
}
