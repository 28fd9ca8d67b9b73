//! The engine from outside: real models, real llama.cpp, the numbers of transformers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod answers;
mod cancelling;
mod loading;
mod stress;
mod workplace;
