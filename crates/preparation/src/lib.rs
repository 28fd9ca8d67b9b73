//! Makes a dataset what a model is trained on: rows as tokens with the mask of what carries loss.
//!
//! Reads and tokenizes on all cores, in constant memory, and hands the rows over in their order. Does not know
//! what becomes of them: whether they are counted, shown, written or trained on.

mod encode;
mod error;

pub use encode::{EncodedRow, encode_rows};
pub use error::PreparationError;
