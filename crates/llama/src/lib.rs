//! The unsafe edge of llama.cpp: models, contexts and adapters that cannot be misused.
//!
//! Knows how to map a GGUF file, keep the state of one sequence of tokens and turn tokens into logits,
//! on the processor and in f32 where the file leaves a choice. What would make llama.cpp end the
//! process (a token outside the vocabulary, a context that overflows, a context that outlives its
//! model) is an error here or does not compile. Does not know how GGUF files are made, text,
//! sampling, or more than one sequence in a context.

mod adapter;
mod backend;
mod context;
mod error;
mod gelu;
mod log;
mod model;
mod size;

pub use adapter::Adapter;
pub use backend::system_info;
pub use context::{Cancelled, Context, ContextOptions};
pub use error::LlamaError;
pub use gelu::Gelu;
pub use model::Model;
pub use size::ModelShape;
