use std::path::PathBuf;

use thiserror::Error;

/// Why llama.cpp cannot be used, or not in this way.
#[derive(Debug, Error)]
pub enum LlamaError {
    /// llama.cpp was compiled for another processor.
    #[error(
        "llama.cpp was compiled with {instructions}, which this processor lacks: build it without `GGML_{instructions}=ON`"
    )]
    Processor {
        /// The instructions, such as `AVX2`.
        instructions: &'static str,
    },
    /// A path that C cannot express.
    #[error("`{path}` contains a zero byte")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A model file is missing, damaged or of a kind that cannot be decoded with.
    #[error("llama.cpp cannot load the model `{path}`: {reason}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What llama.cpp says.
        reason: String,
    },
    /// An adapter file is missing, damaged or does not fit the model.
    #[error("llama.cpp cannot load the adapter `{path}`: {reason}")]
    Adapter {
        /// The file.
        path: PathBuf,
        /// What llama.cpp says.
        reason: String,
    },
    /// An adapter was loaded for another model than the context's.
    #[error("the adapter was loaded for another model than the context's")]
    ForeignAdapter,
    /// A context cannot have this size.
    #[error("a context cannot have {found} {what}: expected 1 to {limit}")]
    Options {
        /// What there would be too many or too few of.
        what: &'static str,
        /// How many were asked for.
        found: u32,
        /// How many there may be.
        limit: u32,
    },
    /// There is no memory for a context, or the model allows none.
    #[error("llama.cpp cannot make a context of {tokens} tokens: {reason}")]
    Context {
        /// Tokens it was to hold.
        tokens: u32,
        /// What llama.cpp says.
        reason: String,
    },
    /// A batch is empty or larger than the context computes at once.
    #[error("cannot decode {found} tokens at once: expected 1 to {limit}")]
    Batch {
        /// Tokens in the batch.
        found: usize,
        /// Tokens there may be.
        limit: usize,
    },
    /// A context would hold more tokens than it can.
    #[error("{found} tokens do not fit after the {position} in the context, which holds {limit}")]
    Full {
        /// Tokens to be added.
        found: usize,
        /// Tokens in the context.
        position: usize,
        /// Tokens there may be.
        limit: usize,
    },
    /// A token is not in the model's vocabulary.
    #[error("token id `{id}` is not in the model's vocabulary of {size}")]
    Token {
        /// The id.
        id: u32,
        /// The vocabulary's size.
        size: usize,
    },
    /// The flag was raised while tokens were decoded: the context holds those before.
    #[error("decoding was cancelled")]
    Cancelled,
    /// The weights are damaged, or too large for f32.
    #[error("the model gives a logit that is no finite number")]
    NotFinite,
    /// llama.cpp failed to compute.
    #[error("llama.cpp failed to decode (status {status}): {reason}")]
    Decode {
        /// What `llama_decode` returned.
        status: i32,
        /// What llama.cpp says.
        reason: String,
    },
}
