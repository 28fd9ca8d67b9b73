use std::io::Write;

use llmopt_domain::TrainingEvent;
use llmopt_service::ClaimedJob;

use crate::TrainerError;

/// Where events go.
pub enum Events<'a> {
    /// To whoever reads: one JSON object a line.
    Lines(&'a mut dyn Write),
    /// To the record and the log of a job.
    Job(&'a ClaimedJob),
}

impl Events<'_> {
    /// Passes one event on.
    ///
    /// # Errors
    /// If nobody reads any more: a run whose parent is gone stops, and can be resumed.
    pub fn send(&mut self, event: &TrainingEvent) -> Result<(), TrainerError> {
        match self {
            Self::Lines(out) => write_line(out, event),
            Self::Job(job) => {
                job.report(event);
                Ok(())
            }
        }
    }
}

fn write_line(out: &mut dyn Write, event: &TrainingEvent) -> Result<(), TrainerError> {
    let line = serde_json::to_string(event).map_err(|source| TrainerError::Event(source.into()))?;
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(TrainerError::Event)
}
