use std::{
    collections::VecDeque,
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};
use llmopt_domain::{JobEvent, JobEventBody};
use llmopt_http::{Parameters, Problem, ServerSentEvent, Validation, accepts_stream, timestamp};
use llmopt_service::{NumberedEvent, TrainingJobs};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::TrainingState;

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;
const LAST_EVENT_ID: &str = "last-event-id";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventParameters {
    /// Only events with a greater number.
    after: Option<u64>,
    /// Events at most, 1 to 1,000; a live stream has no limit.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

impl EventParameters {
    /// Checks everything, and returns the number that only later events are asked for with: that of the last
    /// that a stream sent before it broke off, where it says so.
    fn after(&self, headers: &HeaderMap) -> Result<u64, Problem> {
        let mut validation = Validation::default();
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        validation.require((1..=MAX_LIMIT).contains(&limit), "limit", || {
            format!("expected 1 to {MAX_LIMIT}, found {limit}")
        });
        // What a store counts in.
        let counts = |number: &u64| i64::try_from(*number).is_ok();
        let after = self.after.unwrap_or(0);
        validation.require(counts(&after), "after", || {
            format!("expected the number of an event, found {after}")
        });
        let last = headers.get(LAST_EVENT_ID).map(|value| {
            let number = value.to_str().ok().and_then(|text| text.parse().ok());
            number
                .filter(counts)
                .ok_or("expected the number of an event")
        });
        let last = last.and_then(|last| validation.take(LAST_EVENT_ID, last));
        validation.finish()?;
        Ok(last.unwrap_or(after))
    }
}

/// An event as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct EventView {
    sequence: u64,
    time: String,
    #[serde(flatten)]
    #[schema(value_type = JobEventBody)]
    body: Map<String, Value>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EventsView {
    data: Vec<EventView>,
    /// The number to ask for later events with.
    last: u64,
}

/// Lists a job's events, or, where `text/event-stream` is accepted, sends them as they happen until
/// the job has ended, or for as long as the process may stream. A stream that ended early goes on after its `Last-Event-ID`.
#[utoipa::path(
    get,
    path = "/training/jobs/{job_id}/events",
    tag = "training",
    params(
        ("job_id" = String, Path, description = "The job's id."),
        EventParameters,
        ("last-event-id" = Option<u64>, Header, description = "The number of the last event of a stream that ended early."),
    ),
    responses(
        (
            status = 200,
            description = "The events; or a stream of them, each named for what happened.",
            content((EventsView = "application/json"), (ServerSentEvent = "text/event-stream"))
        ),
        (status = 404, description = "`job_not_found`"),
    )
)]
pub(crate) async fn list_events(
    State(state): State<TrainingState>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<EventParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = parameters.after(&headers)?;
    if accepts_stream(&headers) {
        // An unknown job is a problem, not a stream.
        state.jobs.get(&id).await?;
        let events = live(&state, id, after);
        return Ok(Sse::new(events)
            .keep_alive(KeepAlive::default())
            .into_response());
    }
    let limit = parameters.limit.unwrap_or(DEFAULT_LIMIT);
    let events = state.jobs.events(&id, after, limit).await?;
    let last = events.last().map_or(after, |event| event.sequence);
    let data = events.into_iter().map(EventView::from).collect();
    Ok(Json(EventsView { data, last }).into_response())
}

/// Where a live stream stands.
struct Live {
    jobs: TrainingJobs,
    id: String,
    after: u64,
    waiting: VecDeque<NumberedEvent>,
    poll: Duration,
    /// When the stream ends though the job has not.
    until: Option<Instant>,
    /// Whether the job was over when it was last looked at.
    over: bool,
    ended: bool,
}

fn live(
    state: &TrainingState,
    id: String,
    after: u64,
) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let live = Live {
        jobs: state.jobs.clone(),
        id,
        after,
        poll: state.streams.poll,
        until: state
            .streams
            .longest
            .map(|longest| Instant::now() + longest),
        waiting: VecDeque::new(),
        over: false,
        ended: false,
    };
    stream::unfold(live, |mut live| async {
        let event = live.next().await?;
        Some((Ok(event), live))
    })
}

impl Live {
    async fn next(&mut self) -> Option<Event> {
        while !self.ended {
            if let Some(event) = self.waiting.pop_front() {
                return Some(self.send(event).await);
            }
            match self.jobs.events(&self.id, self.after, MAX_LIMIT).await {
                Ok(events) if events.is_empty() => {
                    // The record says that a job is over a moment before its log does, and alone where a
                    // process died in between.
                    let was_over = self.over;
                    self.over = self.is_over().await;
                    if self.over && was_over {
                        return None;
                    }
                    if self.until.is_some_and(|until| until <= Instant::now()) {
                        return None;
                    }
                    tokio::time::sleep(self.poll).await;
                }
                Ok(events) => self.waiting.extend(events),
                Err(error) => {
                    self.ended = true;
                    let problem = Problem::from(error).to_json(None);
                    return Some(Event::default().event("error").data(problem.to_string()));
                }
            }
        }
        None
    }

    async fn send(&mut self, event: NumberedEvent) -> Event {
        self.after = event.sequence;
        if let JobEventBody::State(state) = &event.event.body {
            // A job that was resumed has events after its end.
            self.ended = state.is_final() && self.waiting.is_empty() && self.is_over().await;
        }
        let view = EventView::from(event);
        let name = view.body.get("event").and_then(Value::as_str);
        Event::default()
            .id(view.sequence.to_string())
            .event(name.unwrap_or("message"))
            .data(serde_json::to_string(&view).unwrap_or_default())
    }

    async fn is_over(&self) -> bool {
        let job = self.jobs.get(&self.id).await;
        job.map_or(true, |job| !job.state.is_active())
    }
}

impl From<NumberedEvent> for EventView {
    fn from(numbered: NumberedEvent) -> Self {
        let JobEvent { time_ms, body } = numbered.event;
        let body = match serde_json::to_value(body) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        };
        Self {
            sequence: numbered.sequence,
            time: timestamp(time_ms),
            body,
        }
    }
}
