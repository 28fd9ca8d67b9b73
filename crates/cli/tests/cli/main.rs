//! The command line as a user runs it, with a trainer that computes nothing.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod dataset;
mod evaluate;
mod generate;
mod help;
mod models;
mod prepared;
mod prices;
mod serve;
mod spending;
mod support;
mod train;
