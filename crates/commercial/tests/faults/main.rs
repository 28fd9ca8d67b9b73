//! What becomes of a question when everything that can fails: what its caller sees, how often a provider is asked,
//! and what is billed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod bench;
mod between;
mod case;
mod hang_ups;
mod lasting;
mod random;
mod seen;
mod table;
mod turns;
mod writes;
