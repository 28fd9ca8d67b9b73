//! The engine from outside: real models, real llama.cpp, the numbers of transformers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it counted"
)]

mod answers;
mod cancelling;
mod loading;
mod stress;
mod turns;
mod workplace;
