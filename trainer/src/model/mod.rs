//! The GPT-2 family on packed sequences (Radford et al. 2019).

mod attention;
mod gpt2;
mod linear;
mod packed;

pub use attention::{Cache, packed_attention};
pub use gpt2::{Compute, Gpt2, Layers, Norm};
pub use linear::{Linear, Lora};
pub use packed::PackedBatch;
