use serde::{Deserialize, Serialize};

use crate::Tokens;

/// How a request is answered. By default, with what the user said, as fast as can be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// What is answered.
    pub text: Option<String>,
    /// What is counted, in place of words.
    pub tokens: Option<Tokens>,
    /// The tier that the answer says it was served in.
    pub service_tier: Option<String>,
    /// Where the answer says it was made, if it is Anthropic's.
    pub inference_geo: Option<String>,
    /// Milliseconds before the head of the response.
    pub head_ms: u64,
    /// Milliseconds before each event of a stream.
    pub event_ms: u64,
}

impl Behaviour {
    /// Makes a request fail.
    pub fn failing(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }
}

/// What goes wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// 429, for requests that come too fast.
    RateLimited {
        /// The header of that name: seconds or a date.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// 429 without a time after which to come again: the account is at its end.
    QuotaExhausted,
    /// The error that the API has for this status.
    Status {
        /// Which.
        status: u16,
    },
    /// Whatever is wanted.
    Raw {
        /// The status.
        status: u16,
        /// The headers, `content-type` among them.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// An answer that says it is of another type.
    ContentType {
        /// Which.
        value: String,
    },
    /// The connection ends in the middle of the body.
    CutAfter {
        /// After so many bytes of it.
        bytes: usize,
    },
    /// The connection ends.
    BreakAfter {
        /// After so many events of a stream.
        events: usize,
    },
    /// A stream ends as if it were whole.
    EndAfter {
        /// After so many events.
        events: usize,
    },
    /// A stream has an error in place of the rest: `overloaded_error`, or OpenAI's `server_error`.
    ErrorAfter {
        /// After so many events.
        events: usize,
    },
    /// A stream has nothing more to say, and does not end.
    StallAfter {
        /// After so many events.
        events: usize,
    },
    /// A stream has an event that is no JSON; a whole answer is cut off.
    MalformedAfter {
        /// After so many events.
        events: usize,
    },
    /// A stream has a line of this size, which means nothing.
    HugeLine {
        /// How many bytes.
        bytes: usize,
    },
    /// The tokens are not told.
    NoUsage,
}
