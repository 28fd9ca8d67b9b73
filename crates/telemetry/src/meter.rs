use std::time::Duration;

/// Takes what is measured. Each call comes on the way of a request: it has to be quick, and cannot fail.
pub trait Meter: Send + Sync {
    /// A request with this method has come.
    fn begin(&self, method: &'static str);

    /// A request has come to its end, after [`Meter::begin`] with the same method.
    fn request(&self, end: &RequestEnd<'_>);

    /// A request was refused because of a limit.
    fn refusal(&self, scope: RefusalScope);

    /// An answer of a model has come to its end.
    fn answer(&self, end: &AnswerEnd<'_>);

    /// Sums up all requests since the process started; `None` where that would not be all of them.
    fn requests(&self) -> Option<RequestSummary>;
}

/// A request that came to its end.
#[derive(Clone, Copy, Debug)]
pub struct RequestEnd<'a> {
    /// Its method, one of the standard's or `_OTHER`.
    pub method: &'static str,
    /// The template of its route, if it has one.
    pub route: Option<&'a str>,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong, if anything did: a code, `_OTHER` or `cancelled`.
    pub error: Option<&'static str>,
    /// From its headers to the last byte of its answer.
    pub duration: Duration,
    /// Processor time until the answer began.
    pub cpu: Duration,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// Its id, for what keeps single requests.
    pub id: &'a str,
    /// The trace that it is a part of, likewise.
    pub trace: Option<&'a str>,
}

/// What the limit is of that refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalScope {
    /// An address.
    Address,
    /// A key.
    Key,
    /// A route, for each caller.
    Route,
    /// Nobody could count.
    Uncounted,
}

impl RefusalScope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Address, Self::Key, Self::Route, Self::Uncounted];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Key => "key",
            Self::Route => "route",
            Self::Uncounted => "uncounted",
        }
    }
}

/// An answer of a model that came to its end.
#[derive(Clone, Copy, Debug)]
pub struct AnswerEnd<'a> {
    /// Whose model it is.
    pub provider: &'a str,
    /// The model's whole id; `None` where there is no such model.
    pub model: Option<&'a str>,
    /// What it took, or what went wrong: a code, or `cancelled`.
    pub outcome: Result<AnswerUse, &'static str>,
    /// From the question to the end.
    pub duration: Duration,
}

/// What a whole answer took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerUse {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// From the question to the first token.
    pub first_token: Duration,
    /// Whether the model was in memory; `None` where it is not one that is here.
    pub cached: Option<bool>,
    /// What it cost.
    pub cost_picodollars: u64,
}

impl AnswerEnd<'_> {
    /// Returns how long each token took after the first, where there were more.
    pub fn output_token(&self) -> Option<Duration> {
        let used = self.outcome.ok()?;
        let rest = used.output_tokens.checked_sub(1).filter(|rest| *rest > 0)?;
        let rest = u32::try_from(rest).unwrap_or(u32::MAX);
        Some(self.duration.saturating_sub(used.first_token) / rest)
    }
}

/// All requests since a process started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestSummary {
    /// Those that came to their end.
    pub total: u64,
    /// The same by the class of their status, such as `2xx`; `cancelled` are those without an answer.
    pub by_status: Vec<(&'static str, u64)>,
    /// Those under way.
    pub active: u64,
    /// How long they took, once there were any.
    pub latency: Option<Latency>,
}

/// Of all requests, how long the fastest half, nine tenths and 99 of a hundred took at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Half of them, in milliseconds.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmetered;

impl Meter for Unmetered {
    fn begin(&self, _: &'static str) {}

    fn request(&self, _: &RequestEnd<'_>) {}

    fn refusal(&self, _: RefusalScope) {}

    fn answer(&self, _: &AnswerEnd<'_>) {}

    fn requests(&self) -> Option<RequestSummary> {
        None
    }
}
