use std::{io, path::PathBuf, sync::Arc};

use llmopt_artifact::ArtifactError;
use llmopt_domain::Digest;
use llmopt_gguf::GgufError;
use llmopt_llama::LlamaError;
use llmopt_service::GenerationError;
use llmopt_tokenization::TokenizationError;
use thiserror::Error;

/// Why a model is not in memory, or the engine not there.
#[derive(Debug, Error)]
pub enum InferenceError {
    /// The model's folder or the adapter's is not what it should be.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The model cannot be written in llama.cpp's format.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// llama.cpp refuses the model.
    #[error(transparent)]
    Llama(#[from] LlamaError),
    /// The tokenizer cannot be opened, or does not encode as in training.
    #[error(transparent)]
    Tokenization(#[from] TokenizationError),
    /// A file or folder could not be read or made.
    #[error("failed to {operation} `{path}`")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("failed to parse `{path}`")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The base model is no longer what the adapter was trained on.
    #[error(
        "`{folder}` has the digest `{found}`: expected `{expected}`, which the adapter was trained on; restore the base model"
    )]
    BaseChanged {
        /// The base model's folder.
        folder: PathBuf,
        /// What it was.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A folder was written to while it was read.
    #[error("`{folder}` changed while it was read: try again when it is whole")]
    Changing {
        /// The folder.
        folder: PathBuf,
    },
    /// The tokenizer has tokens that the model does not know.
    #[error(
        "the tokenizer of `{folder}` has {tokens} tokens and the model's embedding {rows} rows: check that they belong together"
    )]
    Vocabulary {
        /// The tokenizer's folder.
        folder: PathBuf,
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Tokens of the model.
        rows: usize,
    },
    /// The model is larger than all the memory that models may have.
    #[error("the model takes {size_bytes} bytes and all models may take {limit_bytes}")]
    TooLarge {
        /// What it takes.
        size_bytes: u64,
        /// What there may be.
        limit_bytes: u64,
    },
    /// The operating system gives no thread.
    #[error("failed to start a thread")]
    Thread(#[source] io::Error),
    /// The work on the model ended before its time.
    #[error("the work on the model was interrupted")]
    Interrupted,
}

impl InferenceError {
    /// Returns a function that wraps an I/O error of `operation` on `path`.
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }

    /// Says it to a caller of the port who asked for the model `key`; others may be told the same.
    pub(crate) fn for_load(self: Arc<Self>, key: &str) -> GenerationError {
        let key = key.to_owned();
        match *self {
            Self::TooLarge {
                size_bytes,
                limit_bytes,
            } => GenerationError::TooLarge {
                key,
                size_bytes,
                limit_bytes,
            },
            _ => GenerationError::Load {
                key,
                source: Box::new(self),
            },
        }
    }

    /// Says it to a caller of the port whose answer was begun.
    pub(crate) fn for_answer(self, key: &str) -> GenerationError {
        GenerationError::Compute {
            key: key.to_owned(),
            source: Box::new(self),
        }
    }
}
