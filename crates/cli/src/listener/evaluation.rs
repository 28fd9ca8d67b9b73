use llmopt_domain::{EvaluationMetrics, TrainingEvent};

use super::Progress;
use crate::{failure::Failure, output::Output, trainer::Listener};

const BAR: &str = "{bar:24} {pos}/{len} {msg}, {eta} left";

/// Shows an evaluation and remembers what came out.
pub(crate) struct EvaluationListener<'a> {
    progress: Progress<'a>,
    pub(crate) metrics: Option<EvaluationMetrics>,
}

impl<'a> EvaluationListener<'a> {
    pub(crate) fn new(output: &'a mut Output) -> Self {
        Self {
            progress: Progress::new(output, BAR),
            metrics: None,
        }
    }
}

impl Listener for EvaluationListener<'_> {
    fn event(&mut self, event: TrainingEvent, line: &str) -> Result<(), Failure> {
        if let TrainingEvent::Evaluated { metrics, .. } = &event {
            self.metrics = Some(*metrics);
        }
        if self.progress.output.is_json() {
            return self.progress.output.line(line);
        }
        match event {
            TrainingEvent::Progress { done, total } => {
                self.progress.advance(done, total, "rows answered")
            }
            TrainingEvent::Preparing { what } => self.progress.line(&format!("{what} ...")),
            _ => Ok(()),
        }
    }

    fn log(&mut self, line: &str) {
        self.progress.log(line);
    }
}
