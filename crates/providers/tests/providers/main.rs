//! Both clients against a server that speaks both APIs, and that fails as it is told to.

#![expect(
    clippy::unwrap_used,
    reason = "tests fail by panicking, and so do their helpers"
)]

mod answers;
mod bodies;
mod failures;
mod keys;
mod lists;
mod responses;
mod retries;
mod setup;
