use std::sync::Arc;

use llmopt_domain::{JobEvent, JobEventBody, StateEvent};
use llmopt_storage::{EventLog, StorageError};

use crate::{ServiceError, clock::now_ms};

/// How often an append is tried anew where others append to the same log.
const ATTEMPTS: u32 = 20;

/// The logs of training jobs.
#[derive(Clone)]
pub(crate) struct JobLog {
    logs: Arc<dyn EventLog>,
}

/// An entry of a job's log with its number, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberedEvent {
    /// Its number.
    pub sequence: u64,
    /// What happened.
    pub event: JobEvent,
}

impl JobLog {
    pub(crate) fn new(logs: Arc<dyn EventLog>) -> Self {
        Self { logs }
    }

    /// Appends a change of state.
    pub(crate) async fn state(&self, job: &str, event: StateEvent) -> Result<(), ServiceError> {
        let event = JobEvent {
            time_ms: now_ms(),
            body: JobEventBody::State(event),
        };
        self.append(job, &[event]).await
    }

    /// Returns the number of the log's last entry.
    pub(crate) async fn end(&self, job: &str) -> Result<u64, ServiceError> {
        Ok(self.logs.last(&name(job)).await?)
    }

    /// Appends events in order, all or none, wherever the log ends.
    pub(crate) async fn append(&self, job: &str, events: &[JobEvent]) -> Result<(), ServiceError> {
        self.append_at(job, self.end(job).await?, events).await
    }

    /// As [`append`](Self::append), after entry `last` or where others have come, later; unless they are
    /// there, right after it, from a call whose answer was lost.
    pub(crate) async fn append_at(
        &self,
        job: &str,
        mut last: u64,
        events: &[JobEvent],
    ) -> Result<(), ServiceError> {
        let bodies = events.iter().map(serde_json::to_string);
        let bodies: Vec<String> = bodies
            .collect::<Result<_, _>>()
            .map_err(|error| ServiceError::file("render", "an event")(error.into()))?;
        let log = name(job);
        for _ in 0..ATTEMPTS {
            match self.logs.append(&log, last, &bodies).await {
                Err(StorageError::Conflict { .. }) => {}
                appended => return Ok(appended.map(drop)?),
            }
            let count = u32::try_from(bodies.len()).unwrap_or(u32::MAX);
            let there = self.logs.read(&log, last, count).await?;
            if there.iter().map(|entry| &entry.body).eq(&bodies) {
                return Ok(());
            }
            last = self.logs.last(&log).await?;
        }
        Err(StorageError::Conflict { subject: log }.into())
    }

    /// Returns the events after number `after`, at most `limit`.
    pub(crate) async fn read(
        &self,
        job: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<NumberedEvent>, ServiceError> {
        let entries = self.logs.read(&name(job), after, limit).await?;
        let parse = |entry: llmopt_storage::LogEntry| {
            let event =
                serde_json::from_str(&entry.body).map_err(|error| StorageError::Corrupt {
                    subject: name(job),
                    reason: format!("entry {} cannot be read: {error}", entry.sequence),
                })?;
            Ok(NumberedEvent {
                sequence: entry.sequence,
                event,
            })
        };
        entries.into_iter().map(parse).collect()
    }
}

fn name(job: &str) -> String {
    format!("job/{job}")
}
