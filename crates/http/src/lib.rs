//! What every HTTP route stands behind: request ids, problems, bodies and pages.
//!
//! Knows how a request is decoded and an error rendered, the same in every process. Does not know any
//! route, nor what a service does; who may ask, and how often, comes with the platform's keys.

mod accept;
mod body;
mod code;
mod convert;
mod page;
mod problem;
mod request_id;
mod router;
mod time;

pub use accept::accepts_stream;
pub use body::{JsonBody, Parameters};
pub use code::Code;
pub use page::{PageParameters, PageView};
pub use problem::{FieldProblem, Problem, Validation};
pub use request_id::RequestId;
pub use router::{API, platform};
pub use time::timestamp;
