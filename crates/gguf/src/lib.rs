//! Writes GGUF files, which llama.cpp reads, from model folders and adapters.
//!
//! Knows GGUF version 3, llama.cpp's names for the parts of a GPT-2, its element types F32, F16 and
//! Q8_0, and how it describes a byte-level BPE. Does not know llama.cpp itself, K-quants, or how to
//! read a GGUF file.
//!
//! A file depends on nothing but the contents of the folders it is made from: the same model gives the
//! same bytes, whenever and wherever it is written.

mod adapter;
mod element;
mod error;
mod metadata;
mod model;
mod names;
mod special;
mod tensor;
#[cfg(test)]
mod testing;
mod tokenizer;
mod tokenizer_file;
mod vocabulary;
mod weight_type;
mod writer;

pub use adapter::write_adapter;
pub use error::GgufError;
pub use model::write_model;
pub use weight_type::WeightType;
