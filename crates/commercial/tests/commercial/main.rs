//! Questions to commercial models, from what the caller asks to what the ledger has, against servers that speak
//! the providers' APIs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod place;
mod questions;
mod responses;
