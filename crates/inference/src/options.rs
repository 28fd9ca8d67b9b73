use std::{num::NonZeroU32, path::PathBuf};

use llmopt_gguf::WeightType;

/// How a [`LlamaEngine`](crate::LlamaEngine) works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Models in memory at most.
    pub max_models: NonZeroU32,
    /// Bytes that all models may take together, if there is a bound.
    pub max_bytes: Option<u64>,
    /// The type of the weights in memory.
    pub weights: WeightType,
    /// Threads that compute one answer. They wait for each other by spinning: where other programs want
    /// the processors too, one is by far the fastest.
    pub threads: NonZeroU32,
    /// Answers, of as many models, that are computed at the same moment; others take turns with them
    /// token by token. Threads for all of them together should be no more than there are processors.
    pub at_once: NonZeroU32,
    /// Tokens that a context holds at most, prompt and answer together; a model's own limit may be
    /// less. Memory for each model grows with it.
    pub max_context_tokens: NonZeroU32,
    /// The folder for models in llama.cpp's format. It is a cache: what is missing is made again.
    pub folder: PathBuf,
}

impl EngineOptions {
    /// Returns options for 3 models without a bound on bytes, in the default type of weights, one answer at
    /// a time on one thread, with contexts of at most 4096 tokens.
    pub fn new(folder: PathBuf) -> Self {
        const THREE: NonZeroU32 = NonZeroU32::new(3).unwrap();
        const CONTEXT: NonZeroU32 = NonZeroU32::new(4096).unwrap();
        Self {
            max_models: THREE,
            max_bytes: None,
            weights: WeightType::default(),
            threads: NonZeroU32::MIN,
            at_once: NonZeroU32::MIN,
            max_context_tokens: CONTEXT,
            folder,
        }
    }
}
