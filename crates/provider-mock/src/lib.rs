//! A stand-in for the APIs of OpenAI and Anthropic, which answers as their published descriptions say, and fails
//! as a test wants it to. For tests and scripts only.
//!
//! Knows what the two APIs take and send, remembers what it was asked, and says what it would bill. Does not know
//! how llmopt's own clients of these APIs work, so that neither side can be wrong in the same way; no model answers.

mod anthropic;
mod behaviour;
mod control;
mod delivery;
mod exchange;
mod openai;
mod refusal;
mod request;
mod responses;
mod server;
mod state;

pub use behaviour::{Behaviour, Fault};
pub use exchange::{Api, Ended, Exchange, Tokens};
pub use server::{Mock, MockError};
