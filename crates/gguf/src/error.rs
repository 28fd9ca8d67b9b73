use std::path::{Path, PathBuf};

use llmopt_artifact::{ArtifactError, Dtype};
use llmopt_tokenization::TokenizationError;
use thiserror::Error;

/// Why a GGUF file could not be written.
#[derive(Debug, Error)]
pub enum GgufError {
    /// The file system refused.
    #[error("failed to {operation} `{}`", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file of the tokenizer is no JSON, or not of the form its name promises.
    #[error("failed to read `{}` as JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// The model folder or adapter folder could not be read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The tokenizer could not be opened.
    #[error(transparent)]
    Tokenizer(#[from] TokenizationError),
    /// No weight type has this name.
    #[error("unknown weight type `{found}`: expected `f32`, `f16` or `q8_0`")]
    UnknownWeightType {
        /// The name.
        found: String,
    },
    /// The tokenizer splits text by other rules than GPT-2's.
    #[error(
        "`{}`: `{field}` is `{found}`; expected {expected}: only GPT-2's byte-level BPE is written as GGUF, because llama.cpp would split text into other tokens",
        path.display()
    )]
    NotGpt2Tokenizer {
        /// The file.
        path: PathBuf,
        /// The key, such as `pre_tokenizer.type`.
        field: String,
        /// What GPT-2's tokenizer has there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A merge is not a pair of tokens.
    #[error("`{}`: merge {number} is `{found}`; expected two tokens with one space between", path.display())]
    Merge {
        /// The file.
        path: PathBuf,
        /// Which merge, counted from 1.
        number: usize,
        /// What it says.
        found: String,
    },
    /// The tokenizer has ids that the model has no embedding for.
    #[error(
        "the tokenizer of `{}` has an id {id}, and the model's embedding has {rows} rows: expected at least {needed}; check that tokenizer and model belong together",
        path.display(),
        needed = u64::from(*id) + 1
    )]
    VocabularyTooLong {
        /// The tokenizer's file.
        path: PathBuf,
        /// The tokenizer's greatest id.
        id: u32,
        /// Rows of the embedding.
        rows: usize,
    },
    /// A token has two ids, or an id two tokens.
    #[error("`{}`: token `{token}` with id {id} is there with another {other}; expected one id for each token", path.display())]
    AmbiguousToken {
        /// The tokenizer's file.
        path: PathBuf,
        /// The token.
        token: String,
        /// Its id.
        id: u32,
        /// What it has two of: `id`, or the id has: `token`.
        other: &'static str,
    },
    /// A tensor is none that llama.cpp has a name for.
    #[error("tensor `{tensor}` is no part of a GPT-2 in llama.cpp")]
    NoPlace {
        /// The tensor.
        tensor: String,
    },
    /// A layer is adapted whose update llama.cpp cannot apply.
    #[error(
        "the adapter `{}` is for `{module}`, too: expected `attn.c_attn`, `attn.c_proj`, `mlp.c_fc` and `mlp.c_proj` of blocks only; merge it into the model instead",
        folder.display()
    )]
    NotAdaptable {
        /// The adapter's folder.
        folder: PathBuf,
        /// The layer.
        module: String,
    },
    /// An adapter's scale is zero or no number, which a GGUF file cannot say.
    #[error("the adapter `{}` has `lora_alpha` `{lora_alpha}`: expected another number than zero", folder.display())]
    NoScale {
        /// The adapter's folder.
        folder: PathBuf,
        /// What its configuration says.
        lora_alpha: f64,
    },
    /// A tensor has a type that is not read.
    #[error("tensor `{tensor}` is of type `{found}`; expected `F32`, `F16` or `BF16`")]
    Dtype {
        /// The tensor.
        tensor: String,
        /// The type.
        found: Dtype,
    },
    /// A weight is infinite, not a number, or too large.
    #[error("tensor `{tensor}` holds `{value}`, which is no finite number in {element}")]
    NotRepresentable {
        /// The tensor.
        tensor: String,
        /// The weight.
        value: f32,
        /// The type it was to be written in.
        element: &'static str,
    },
}

impl GgufError {
    /// Returns a function that wraps an I/O error of `operation` on `path`.
    pub(crate) fn io(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}
