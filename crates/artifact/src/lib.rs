//! The files of a model folder: configuration, safetensors, PEFT adapter, manifest, metadata and
//! model card.
//!
//! Knows the names, formats and checks of those files, and reads weights without copying them. Does
//! not know how to compute with a tensor, what a tokenizer does, or where published folders live.

mod adapter;
mod error;
mod files;
mod gpt2;
pub mod mapped;
mod model;
mod safetensors_reader;
mod safetensors_writer;
#[cfg(test)]
mod testing;

pub use adapter::{AdapterConfig, AdapterFolder, LoraFactor, adapter_tensor_name};
pub use error::ArtifactError;
pub use gpt2::Gpt2Config;
pub use mapped::MappedFile;
pub use model::{ModelFolder, saved_tensor_name};
pub use safetensors::Dtype;
pub use safetensors_reader::{SafetensorsFile, TensorView};
pub use safetensors_writer::{OwnedTensor, SafetensorsWriter, TensorSpec, write_safetensors};
