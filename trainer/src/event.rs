use std::io::Write;

use llmopt_domain::TrainingEvent;

use crate::TrainerError;

/// Where events go: one JSON object a line.
pub struct Events<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Events<'a> {
    /// Reports to `out`.
    pub fn to(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    /// Writes one event and flushes it.
    ///
    /// # Errors
    /// If nobody reads any more: a run whose parent is gone stops, and can be resumed.
    pub fn send(&mut self, event: &TrainingEvent) -> Result<(), TrainerError> {
        let line =
            serde_json::to_string(event).map_err(|source| TrainerError::Event(source.into()))?;
        writeln!(self.out, "{line}")
            .and_then(|()| self.out.flush())
            .map_err(TrainerError::Event)
    }
}
