//! Renders conversations with a chat template and tokenizes them: one function for training,
//! evaluation and serving, so that what is trained is what is served, token for token.
//!
//! Knows Hugging Face's tokenizer files, its dialect of Jinja and which tokens carry loss. Does not
//! know datasets, rows, models or tensors: it turns turns into ids and ids into text.

mod bpe;
mod byte_level;
mod corpus;
mod encoder;
mod error;
mod fast;
mod files;
mod guard;
mod lock;
mod pieces;
#[cfg(test)]
mod reference;
mod save;
mod sources;
mod stream;
mod template;
#[cfg(test)]
mod testing;

pub use bpe::train_bpe;
pub use encoder::{EncodedExample, Encoder};
pub use error::TokenizationError;
pub use lock::TemplateLock;
pub use stream::TextStream;
pub use template::DEFAULT_CHAT_TEMPLATE;
