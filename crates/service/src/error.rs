use std::{error::Error, io, path::PathBuf};

use llmopt_artifact::ArtifactError;
use llmopt_dataset::{DatasetError, ValidationReport};
use llmopt_domain::{ConfigProblem, IdentityError, JobState, ModelId};
use llmopt_preparation::PreparationError;
use llmopt_storage::StorageError;
use llmopt_tokenization::TokenizationError;

use crate::{GenerationError, PartError};

/// Why a use case could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A text names a model in none of the known ways.
    #[error(
        "`{0}` names no model: expected a folder, `ft:BASE:NAME[:VERSION]`, the name of a published model, or `OWNER/NAME[@REVISION]` on a Hub"
    )]
    Reference(String),
    /// A path that should be a model's folder is none.
    #[error("`{}` is no folder: expected a folder with `config.json` and `model.safetensors`", path.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
    },
    /// A name or an id is malformed.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No model of this id or name was published.
    #[error("no model `{name}` was published")]
    UnknownModel {
        /// The id or name, as the user gave it.
        name: String,
    },
    /// A published model does not have the version.
    #[error("model `{id}` has no version {version}: the newest is {newest}")]
    UnknownVersion {
        /// The model.
        id: ModelId,
        /// The version asked for.
        version: u32,
        /// The newest there is.
        newest: u32,
    },
    /// Several published models have the name.
    #[error("`{name}` could be {}: expected one model", list(candidates))]
    Ambiguous {
        /// The name, as the user gave it.
        name: String,
        /// The models that have it.
        candidates: Vec<ModelId>,
    },
    /// Values of a training configuration are out of range.
    #[error("the training configuration is wrong: {}", list(.0))]
    Config(Vec<ConfigProblem>),
    /// A dataset has errors; nothing starts.
    #[error("`{}` has errors", report.file)]
    Findings {
        /// Everything that was found.
        report: Box<ValidationReport>,
    },
    /// A row cannot be rendered or tokenized.
    #[error("`{}`, row {row}: failed to tokenize it", path.display())]
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
        "`{}`, {}: expected at most {limit} tokens, found up to {longest}", path.display(), rows_text(.rows)
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
    /// Rows have no token with loss.
    #[error("`{}`, {}: expected a response to learn from, found no token with loss", path.display(), rows_text(.rows))]
    NothingToLearn {
        /// The dataset.
        path: PathBuf,
        /// The rows, counted from 1; all of them where empty.
        rows: Vec<u64>,
    },
    /// A token lies outside the model's vocabulary.
    #[error(
        "`{}`, row {row}: token id {id} is outside the model's vocabulary of {vocabulary}: the tokenizer and the weights in the model's folder do not belong together", path.display()
    )]
    Vocabulary {
        /// The dataset.
        path: PathBuf,
        /// The row, counted from 1.
        row: u64,
        /// The id.
        id: u32,
        /// The model's vocabulary size.
        vocabulary: usize,
    },
    /// A dataset does not have the row.
    #[error("`{}` has no row {row}: expected 1 to {rows}", path.display())]
    NoRow {
        /// The dataset.
        path: PathBuf,
        /// The row asked for.
        row: u64,
        /// The rows it has.
        rows: u64,
    },
    /// No unfinished job has the id.
    #[error("no unfinished job `{0}`")]
    UnknownJob(String),
    /// There is no unfinished job at all.
    #[error("there is no unfinished job to resume")]
    NothingToResume,
    /// Another process works on the job.
    #[error("job `{job}` is being worked on by another process")]
    JobRunning {
        /// The job's short id.
        job: String,
    },
    /// The inputs of a job are no longer what they were.
    #[error("job `{job}` cannot go on: {what} is not what it was when the job began")]
    JobChanged {
        /// The job's short id.
        job: String,
        /// What changed.
        what: String,
    },
    /// No job was submitted with the id.
    #[error("there is no training job `{0}`")]
    UnknownTrainingJob(String),
    /// A job is not in a state for what was asked.
    #[error("training job `{id}` is {}", state.as_str())]
    JobState {
        /// The job.
        id: String,
        /// The state it is in.
        state: JobState,
    },
    /// A worker has lost its job to another.
    #[error("the worker has lost job `{id}`: its claim expired")]
    ClaimLost {
        /// The job.
        id: String,
    },
    /// A job has no checkpoint after the step asked for.
    #[error("the job has no checkpoint after step {step}: it has {available:?}")]
    NoCheckpoint {
        /// The step asked for.
        step: u64,
        /// The steps of those there are.
        available: Vec<u64>,
    },
    /// No dataset was uploaded with the id.
    #[error("there is no dataset `{0}`")]
    UnknownDataset(String),
    /// Nothing was sent to an upload, or there is none with the id.
    #[error("nothing was sent to an upload `{0}`")]
    UnknownUpload(String),
    /// What was sent in parts is not taken.
    #[error(transparent)]
    Parts(#[from] PartError),
    /// Files are sent in requests here, however large.
    #[error("there is no upload apart from a request here: requests take files of any size")]
    NoUploads,
    /// An active job needs the dataset.
    #[error("dataset `{id}` is needed by training job `{job}`")]
    DatasetInUse {
        /// The dataset.
        id: String,
        /// The job.
        job: String,
    },
    /// An active job needs the model.
    #[error("model `{id}` is needed by training job `{job}`")]
    ModelInUse {
        /// The model.
        id: String,
        /// The job.
        job: String,
    },
    /// An uploaded file is of no kind that is read.
    #[error("`{name}` is {found}: expected JSONL, JSON, CSV, Parquet or text; {fix}")]
    Upload {
        /// The file, as its owner calls it.
        name: String,
        /// What it is.
        found: String,
        /// What its owner can do about it.
        fix: &'static str,
    },
    /// A model gave no answer.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// The model holds no adapter or no merged weights, but these were asked for.
    #[error("`{}` {problem}", path.display())]
    Unsuitable {
        /// The model's folder.
        path: PathBuf,
        /// What is the matter with it.
        problem: String,
    },
    /// A Hub does not have the model, or does not give it.
    #[error(transparent)]
    HubRefused(Box<dyn Error + Send + Sync>),
    /// A Hub did not answer as it should.
    #[error(transparent)]
    HubFailed(Box<dyn Error + Send + Sync>),
    /// A dataset cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A model folder or an artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A model's tokenizer or template.
    #[error(transparent)]
    Tokenization(#[from] TokenizationError),
    /// There is no such platform key.
    #[error("there is no key `{0}`")]
    UnknownKey(String),
    /// A key can no longer be used.
    #[error("key `{0}` was revoked or has expired")]
    KeyEnded(String),
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file of ours cannot be read or written.
    #[error("failed to {operation} `{}`", path.display())]
    File {
        /// What was tried: `read` or `write`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<PreparationError> for ServiceError {
    fn from(error: PreparationError) -> Self {
        match error {
            PreparationError::Dataset(error) => error.into(),
            PreparationError::Row { path, row, source } => Self::Row { path, row, source },
        }
    }
}

impl ServiceError {
    /// Names a dataset as its owner does, who knows nothing of where it lies.
    #[must_use]
    pub(crate) fn in_file(mut self, name: &str) -> Self {
        match &mut self {
            Self::Row { path, .. } | Self::NoRow { path, .. } => *path = name.into(),
            Self::Dataset(DatasetError::Content(finding)) => {
                name.clone_into(&mut finding.place.file);
            }
            _ => {}
        }
        self
    }

    /// Returns whether only other input mends this.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Artifact(ArtifactError::Io { .. }) => false,
            Self::Reference(_)
            | Self::NoFolder { .. }
            | Self::Identity(_)
            | Self::UnknownModel { .. }
            | Self::UnknownVersion { .. }
            | Self::Ambiguous { .. }
            | Self::Config(_)
            | Self::Findings { .. }
            | Self::Row { .. }
            | Self::Overlong { .. }
            | Self::NothingToLearn { .. }
            | Self::Vocabulary { .. }
            | Self::NoRow { .. }
            | Self::UnknownJob(_)
            | Self::NothingToResume
            | Self::JobChanged { .. }
            | Self::UnknownTrainingJob(_)
            | Self::JobState { .. }
            | Self::NoCheckpoint { .. }
            | Self::UnknownDataset(_)
            | Self::UnknownUpload(_)
            | Self::Parts(_)
            | Self::NoUploads
            | Self::DatasetInUse { .. }
            | Self::ModelInUse { .. }
            | Self::Upload { .. }
            | Self::Unsuitable { .. }
            | Self::HubRefused(_)
            | Self::UnknownKey(_)
            | Self::KeyEnded(_)
            | Self::Dataset(_)
            | Self::Artifact(_)
            | Self::Tokenization(_) => true,
            Self::Generation(error) => error.is_input(),
            Self::JobRunning { .. }
            | Self::ClaimLost { .. }
            | Self::HubFailed(_)
            | Self::Storage(_)
            | Self::File { .. } => false,
        }
    }

    /// Returns what the user can do next, where the message does not say it already.
    pub fn next_step(&self) -> Option<String> {
        let step = match self {
            Self::UnknownModel { .. } | Self::UnknownVersion { .. } => {
                "see what there is with `llmopt models list`; a base model can be a folder, OWNER/NAME on a Hub, or a well-known name such as `gpt2`"
            }
            Self::Ambiguous { .. } => "give the whole id",
            Self::Overlong { .. } => {
                "nothing is cut silently: shorten these rows, raise `max_length` up to the model's context, or set `overlong` to `drop`"
            }
            Self::NothingToLearn { .. } => "give these rows a response",
            Self::UnknownJob(_) | Self::NothingToResume => {
                "start one with `llmopt train --base-model BASE --dataset FILE --name NAME`"
            }
            Self::UnknownUpload(_) => {
                "send the file before the upload expires, then complete it; or begin another"
            }
            Self::Parts(error) => return error.next_step().map(str::to_owned),
            Self::NoUploads => "`POST` the file to `/api/v1/datasets`",
            Self::UnknownKey(_) => "see what there is with `llmopt keys list`",
            Self::KeyEnded(_) => "create another",
            Self::JobRunning { .. } => "wait until it is done, or stop it",
            Self::JobState { state, .. } if state.is_active() => {
                "wait until it has ended, or stop it"
            }
            Self::DatasetInUse { .. } | Self::ModelInUse { .. } => {
                "stop the job first, or wait until it has ended"
            }
            Self::JobChanged { .. } => {
                "put it back as it was, or start a new job with `--dataset`, `--base-model` and `--name`"
            }
            _ => return None,
        };
        Some(step.to_owned())
    }

    /// Returns a function that wraps an I/O error of `operation` on `path`.
    pub(crate) fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            operation,
            path,
            source,
        }
    }
}

fn list(items: &[impl ToString]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// Names up to ten rows and counts the rest.
fn rows_text(rows: &[u64]) -> String {
    const NAMED: usize = 10;
    let named: Vec<String> = rows.iter().take(NAMED).map(u64::to_string).collect();
    let noun = if rows.len() == 1 { "row" } else { "rows" };
    match rows.len() {
        0 => "all rows".to_owned(),
        count if count > NAMED => {
            format!("{noun} {} and {} more", named.join(", "), count - NAMED)
        }
        _ => format!("{noun} {}", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rows_are_named_up_to_ten_and_then_counted() {
        assert_eq!(rows_text(&[7]), "row 7");
        assert_eq!(rows_text(&[1, 2]), "rows 1, 2");
        let many: Vec<u64> = (1..=12).collect();
        assert_eq!(
            rows_text(&many),
            "rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"
        );
    }
}
