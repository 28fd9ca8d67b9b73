//! A stand-in for the Lambda service and for an API before it: runs `provided.al2023` bootstraps, built
//! for this machine, as child processes, and hands them events by the Runtime API of 2018-06-01.
//!
//! Knows the protocols between clients, API Gateway (REST), Lambda and its functions, with their limits
//! and the forms of their errors. Does not know any function of ours; enforces neither permissions nor
//! memory, tries nothing again, and ends no answer that takes longer than an API would wait.

mod api;
mod body;
mod error;
mod function;
mod harness;
mod invocation;
mod lambda_api;
mod logs;
mod prelude;
mod process;
mod routes;
mod runtime_api;
mod spec;

pub use error::{FunctionError, HarnessError};
pub use harness::{Harness, HarnessBuilder};
pub use spec::{FunctionSpec, Launch};
