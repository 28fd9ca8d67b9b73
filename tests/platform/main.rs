//! The whole platform over HTTP: the real `llmopt serve` with the real trainer, on the tiny model of
//! the trainer's fixtures.
//!
//! Both binaries are built by `cargo test --workspace`; `cargo build --workspace` builds them for
//! `cargo test -p llmopt-tests`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says why it is skipped"
)]

mod access;
mod budgets;
mod canaries;
mod collector;
mod commercial;
mod contract;
mod datasets;
mod examples;
mod guide;
mod hostile;
mod killed;
mod life;
mod observed;
mod once;
mod page;
mod queued;
mod scrape;
mod server;
#[path = "../shared/datasets.rs"]
mod shared;
mod spending;
