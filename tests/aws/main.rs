//! The whole platform on an AWS emulator: the real functions under its Lambda, the real trainer on its
//! queue. Nothing here names a store but by what the processes are told.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod commercial;
mod datasets;
mod life;
mod once;
mod secrets;
#[path = "../shared/datasets.rs"]
mod shared;
mod streams;
