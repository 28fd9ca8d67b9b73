//! The files of a model folder: configuration, safetensors, PEFT adapter, manifest, metadata and
//! model card.
//!
//! Knows the names, formats and checks of those files, and reads weights without copying them. Does
//! not know how to compute with a tensor, what a tokenizer does, or where published folders live.

mod adapter;
mod card;
mod derive;
mod error;
mod files;
mod gpt2;
mod init;
mod manifest;
pub mod mapped;
mod metadata;
mod model;
mod record;
mod safetensors_reader;
mod safetensors_writer;
#[cfg(test)]
mod testing;

pub use adapter::{AdapterConfig, AdapterFolder, LoraFactor, adapter_tensor_name};
pub use card::ModelCard;
pub use error::ArtifactError;
pub use gpt2::Gpt2Config;
pub use init::init_gpt2;
pub use manifest::{Lineage, Manifest, ManifestFile};
pub use mapped::MappedFile;
pub use metadata::{
    EvaluationResults, LossPoint, Resources, RowCounts, TrainingMetadata, without_folders,
};
pub use model::{ModelFolder, saved_tensor_name};
pub use safetensors::Dtype;
pub use safetensors_reader::{TensorFile, TensorView};
pub use safetensors_writer::{OwnedTensor, SafetensorsWriter, TensorSpec, write_safetensors};
