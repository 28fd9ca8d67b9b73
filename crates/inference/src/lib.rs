//! Generates text on this machine: a cache of models on llama.cpp.
//!
//! Knows how a model folder becomes a model in memory, which models stay there, how several requests
//! share the processor, and how logits become text. Does not know who asks, where folders come from,
//! how a GGUF file is written or what llama.cpp's functions are called.

mod answer;
mod cache;
mod converted;
mod engine;
mod error;
mod loader;
mod options;
mod remembered;
mod reply;
mod sampler;
mod stop;
mod tokens;
mod turn;
mod worker;

pub use engine::LlamaEngine;
pub use error::InferenceError;
pub use llmopt_gguf::WeightType;
pub use options::EngineOptions;
