//! The harness with functions of its own (`examples/`), asked over HTTP and by the official SDK.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod api;
mod lambda_api;
mod life;
mod support;
