//! What every HTTP route stands behind: request ids, keys, limits, answers that are given once, problems,
//! bodies and pages.
//!
//! Knows how a request is admitted and decoded and an error rendered, the same in every process. Does not
//! know what a route does, nor where keys and limits are kept.

mod accept;
mod access;
mod body;
mod code;
#[cfg(feature = "commercial")]
mod commercial;
mod convert;
mod described;
mod headers;
mod limits;
mod local;
mod measured;
mod once;
mod origins;
mod page;
mod problem;
mod request_id;
mod router;
mod time;
mod time_limit;

pub use accept::{ServerSentEvent, accepts_stream};
pub use access::{Access, Caller, ClientAddress, Guard, required_scope};
pub use body::{JsonBody, Parameters};
pub use code::Code;
#[cfg(feature = "commercial")]
pub use commercial::{asker, billed_request};
pub use described::{DescribedRouter, DescribedRoutes, Description};
pub use limits::{Limits, RouteLimit};
pub use measured::{Metered, Trace};
pub use origins::Origins;
pub use page::{PageParameters, PageView};
pub use problem::{BudgetShortage, FieldProblem, Problem, ProblemView, Validation};
pub use request_id::RequestId;
pub use router::{API, platform, platform_beside};
pub use time::{from_timestamp, now_ms, timestamp};

#[doc(hidden)]
pub use utoipa_axum;
