use std::path::PathBuf;

use async_trait::async_trait;
use llmopt_domain::{Conversation, Digest, ObjectKey, error_chain};
use llmopt_storage::StorageError;
use llmopt_tokenization::TokenizationError;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::mpsc::Receiver;
use utoipa::ToSchema;

/// Where the files of a model are that a generator loads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFiles {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// Published at this key.
    Published(ObjectKey),
}

/// A model as a generator loads it; `F` says where its files are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServedModel<F = ModelFiles> {
    /// Names these very files: what was loaded under it is used again.
    pub key: String,
    /// The folder with the configuration and the weights, all of them or the base's.
    pub weights: F,
    /// The digest that the folder must have (`ModelFolder::digest`): what the adapter was trained on.
    pub weights_digest: Option<Digest>,
    /// The folder with the adapter to put on the weights, if any; where it is published, the model's own
    /// folder, which has it in `adapter`.
    pub adapter: Option<F>,
    /// The folder with the tokenizer, the chat template and, where it was trained here, its lock.
    pub tokenizer: F,
}

/// How the next token is chosen, and when to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Tokens to generate at most.
    pub max_tokens: u32,
    /// Logits are divided by it; 0 takes the likeliest token always.
    pub temperature: f32,
    /// Only the likeliest tokens that have this share of the probability together are drawn from.
    pub top_p: f32,
    /// Texts that end the answer where one appears; it is left out.
    pub stop: Vec<String>,
    /// Fixes what is drawn: the same request with the same seed gives the same answer.
    pub seed: u64,
}

/// What a generator is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationRequest<F = ModelFiles> {
    /// The model.
    pub model: ServedModel<F>,
    /// The turns to answer, and the tools that the answer may call.
    pub conversation: Conversation,
    /// How.
    pub sampling: Sampling,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it, or one of the texts asked for did.
    Stop,
    /// It has as many tokens as were asked for, or as the model's context holds.
    Length,
}

/// What a generator says while it works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum GenerationEvent {
    /// The next part of the answer: whole characters, never empty.
    Text {
        /// The part.
        text: String,
    },
    /// The answer is whole; nothing comes after this.
    Finished {
        /// Why it ended.
        finish_reason: FinishReason,
        /// Tokens of the turns, with what the template adds.
        prompt_tokens: u32,
        /// Tokens generated, the one that ended it included.
        completion_tokens: u32,
        /// Whether the model was in memory when the request came.
        cached: bool,
        /// Milliseconds from the request to the first token, loading the model included.
        first_token_ms: u64,
    },
}

/// Why there is no answer, or only a part of one.
#[derive(Debug, Error)]
pub enum GenerationError {
    /// The turns cannot be rendered or tokenized.
    #[error(transparent)]
    Tokenization(#[from] TokenizationError),
    /// The turns leave no room for an answer.
    #[error(
        "the prompt has {tokens} tokens and the model's context holds {context}: expected room for an answer"
    )]
    Overlong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of the model's context.
        context: usize,
    },
    /// The model is larger than all the memory that models may have.
    #[error(
        "model `{key}` takes {size_bytes} bytes in memory and all models together may take {limit_bytes}"
    )]
    TooLarge {
        /// The model.
        key: String,
        /// What it takes.
        size_bytes: u64,
        /// What there may be.
        limit_bytes: u64,
    },
    /// The model cannot be loaded.
    #[error("failed to load model `{key}`")]
    Load {
        /// The model.
        key: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The files of the model cannot be had.
    #[error("failed to fetch model `{key}`")]
    Files {
        /// The model.
        key: String,
        /// Why.
        source: StorageError,
    },
    /// A generator in another process failed, as it says.
    #[error("{}", .0.message)]
    Elsewhere(RemoteFailure),
    /// Computing failed.
    #[error("failed to generate with model `{key}`")]
    Compute {
        /// The model.
        key: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl GenerationError {
    /// Returns whether only another request mends this.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Tokenization(_) | Self::Overlong { .. } => true,
            Self::Elsewhere(failure) => failure.kind == FailureKind::Input,
            Self::TooLarge { .. }
            | Self::Load { .. }
            | Self::Files { .. }
            | Self::Compute { .. } => false,
        }
    }
}

/// What a caller of a generator in another process can react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Only another request mends it.
    Input,
    /// The model does not fit into that process's memory.
    TooLarge,
    /// It may work another time.
    Unavailable,
    /// A fault of ours.
    Internal,
}

/// A failure as a generator tells it to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteFailure {
    /// What can be done about it.
    pub kind: FailureKind,
    /// What failed and why.
    pub message: String,
}

impl From<&GenerationError> for RemoteFailure {
    fn from(error: &GenerationError) -> Self {
        let kind = match error {
            GenerationError::Tokenization(_) | GenerationError::Overlong { .. } => {
                FailureKind::Input
            }
            GenerationError::TooLarge { .. } => FailureKind::TooLarge,
            GenerationError::Files {
                source: StorageError::Unavailable { .. },
                ..
            } => FailureKind::Unavailable,
            GenerationError::Elsewhere(failure) => failure.kind,
            GenerationError::Load { .. }
            | GenerationError::Files { .. }
            | GenerationError::Compute { .. } => FailureKind::Internal,
        };
        Self {
            kind,
            message: error_chain(error),
        }
    }
}

/// What a generator says, as one line of JSON on its way to another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerationLine {
    /// The next event.
    Event(GenerationEvent),
    /// The end of an answer that failed.
    Failure(RemoteFailure),
}

/// An answer as it comes into being. Dropping it stops the work on it.
pub type GenerationStream = Receiver<Result<GenerationEvent, GenerationError>>;

/// Answers conversations with a model.
///
/// The tokens of the turns are those of `Encoder::encode_prompt`, and so those of training. At
/// temperature 0, and with a seed at any other, an answer depends on the request alone.
///
/// `F` says where it finds the files of models: a [`PathBuf`] in folders of this machine only.
#[async_trait]
pub trait TextGenerator<F = ModelFiles>: Send + Sync {
    /// Begins an answer, as soon as the model is loaded. The stream ends with
    /// [`GenerationEvent::Finished`] or with an error.
    ///
    /// # Errors
    /// If the model cannot be loaded, or the turns cannot be encoded or are too long.
    async fn generate(
        &self,
        request: GenerationRequest<F>,
    ) -> Result<GenerationStream, GenerationError>;

    /// Tells what is in memory; `None` where that is another process's.
    fn cache(&self) -> Option<CacheStatus>;
}

/// What a generator keeps in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheStatus {
    /// Models in memory.
    pub models: u32,
    /// Models that may be in memory at most.
    pub max_models: u32,
    /// What they take together, in bytes.
    pub size_bytes: u64,
    /// Requests that found their model in memory.
    pub hits: u64,
    /// Requests that did not.
    pub misses: u64,
}
