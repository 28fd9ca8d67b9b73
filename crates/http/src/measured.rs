use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequestParts, MatchedPath, Request},
    http::{Method, StatusCode, header, request::Parts},
    response::Response,
};
use llmopt_telemetry::{Meter, RequestEnd, Unmetered};
use rustix::time::{ClockId, clock_gettime};
use tracing::Span;

use crate::{Caller, Problem, RequestId};

/// Routes that are asked so often that a line for each would drown the log.
const QUIET: [&str; 2] = ["/api/v1/health", "/api/v1/ready"];
/// What went wrong where nobody waited for the answer.
const CANCELLED: &str = "cancelled";
/// What went wrong where that has no name.
const OTHER: &str = "_OTHER";

/// The trace that a request is a part of: whoever took the request puts it beside it.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its id, for the log.
    pub id: String,
    /// The request's own part of it, which ends with the answer.
    pub span: Span,
}

/// Who counts what routes do.
#[derive(Clone)]
pub struct Metered(pub Arc<dyn Meter>);

impl<S: Sync> FromRequestParts<S> for Metered {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let own = parts.extensions.get::<Self>().cloned();
        Ok(own.unwrap_or_else(|| Self(Arc::new(Unmetered))))
    }
}

/// A request from its headers to the last byte of its answer, or to where nobody waits for that any more: then it
/// is counted, and told in the log.
pub(crate) struct Measure {
    meter: Arc<dyn Meter>,
    method: &'static str,
    route: Option<MatchedPath>,
    id: RequestId,
    trace: Option<Trace>,
    began: Instant,
    cpu: Duration,
    answer: Option<Answer>,
    bytes: u64,
    /// Why the answer is not whole.
    broken: Option<&'static str>,
}

/// What is known of an answer once it begins.
struct Answer {
    status: StatusCode,
    error: Option<&'static str>,
    caller: Option<Caller>,
}

impl Measure {
    /// Begins with a request, which gets its id and its meter.
    pub(crate) fn begin(meter: Arc<dyn Meter>, request: &mut Request) -> Self {
        let id = RequestId::of(request.headers());
        let method = known(request.method());
        meter.begin(method);
        let extensions = request.extensions_mut();
        extensions.insert(id.clone());
        extensions.insert(Metered(Arc::clone(&meter)));
        Self {
            meter,
            method,
            route: extensions.get::<MatchedPath>().cloned(),
            id,
            trace: extensions.remove::<Trace>(),
            began: Instant::now(),
            cpu: Duration::ZERO,
            answer: None,
            bytes: 0,
            broken: Some(CANCELLED),
        }
    }

    pub(crate) fn id(&self) -> &RequestId {
        &self.id
    }

    /// Waits for the answer, and counts the processor time of this thread until it begins.
    pub(crate) async fn work<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            let before = thread_time();
            let polled = work.as_mut().poll(context);
            self.cpu += thread_time().saturating_sub(before);
            polled
        })
        .await
    }

    /// Goes along with the answer to its end.
    pub(crate) fn follow(mut self, response: Response) -> Response {
        let status = response.status();
        let problem = response.extensions().get::<Problem>();
        let code = problem.map(|problem| problem.code().as_str());
        self.answer = Some(Answer {
            status,
            error: code.or_else(|| status.is_server_error().then_some(OTHER)),
            caller: response.extensions().get::<Caller>().cloned(),
        });
        let length = length(&response);
        if self.method == "HEAD" {
            // Its body is dropped unread, as it should be.
            self.broken = None;
        }
        response.map(|body| {
            Body::new(MeasuredBody {
                body,
                length,
                measure: self,
            })
        })
    }

    fn route(&self) -> Option<&str> {
        self.route.as_ref().map(MatchedPath::as_str)
    }

    fn error(&self) -> Option<&'static str> {
        let answer = self.answer.as_ref();
        self.broken
            .or_else(|| answer.and_then(|answer| answer.error))
    }

    fn log(&self) {
        let status = self.answer.as_ref().map(|answer| answer.status);
        let is_quiet = self.route().is_some_and(|route| QUIET.contains(&route));
        if is_quiet && status.is_some_and(|status| status.is_success()) {
            return;
        }
        let caller = self
            .answer
            .as_ref()
            .and_then(|answer| answer.caller.as_ref());
        tracing::info!(
            target: "llmopt::access",
            method = self.method,
            route = self.route().unwrap_or("-"),
            status = status.map(|status| status.as_u16()),
            latency_ms = self.began.elapsed().as_secs_f64() * 1e3,
            bytes = self.bytes,
            error = self.error(),
            key = caller.map(Caller::id),
            request_id = self.id.as_str(),
            trace_id = self.trace.as_ref().map(|trace| trace.id.as_str()),
            "request"
        );
    }

    fn end_span(&self, span: &Span) {
        if let Some(answer) = &self.answer {
            let status = answer.status;
            span.record("http.response.status_code", i64::from(status.as_u16()));
            if status.is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
        }
        span.record("http.response.body.size", self.bytes.cast_signed());
        if let Some(error) = self.error() {
            span.record("error.type", error);
        }
        // It ends where it was left last, and its answer came after that.
        span.in_scope(|| ());
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        let end = RequestEnd {
            method: self.method,
            route: self.route(),
            status: self.answer.as_ref().map(|answer| answer.status.as_u16()),
            error: self.error(),
            duration: self.began.elapsed(),
            cpu: self.cpu,
            bytes: self.bytes,
            id: self.id.as_str(),
            trace: self.trace.as_ref().map(|trace| trace.id.as_str()),
        };
        self.meter.request(&end);
        if let Some(trace) = &self.trace {
            self.end_span(&trace.span);
        }
        self.log();
    }
}

/// The body of an answer that is counted as it leaves.
struct MeasuredBody {
    body: Body,
    /// How many bytes it has, where that is known: nobody asks for more than those.
    length: Option<u64>,
    measure: Measure,
}

impl HttpBody for MeasuredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.measure.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(None) => self.measure.broken = None,
            Poll::Ready(Some(Err(_))) => self.measure.broken = Some(OTHER),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

impl Drop for MeasuredBody {
    fn drop(&mut self) {
        // Nobody asks a body for more that says it has no more.
        if self.body.is_end_stream() || self.length == Some(self.measure.bytes) {
            self.measure.broken = None;
        }
    }
}

fn length(response: &Response) -> Option<u64> {
    let told = response.headers().get(header::CONTENT_LENGTH);
    let told = told.and_then(|length| length.to_str().ok()?.parse().ok());
    told.or_else(|| response.body().size_hint().exact())
}

/// Returns the method's name where it is the standard's: callers may make up others.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => OTHER,
    }
}

/// Returns the processor time that this thread has taken.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

#[cfg(test)]
mod tests;
