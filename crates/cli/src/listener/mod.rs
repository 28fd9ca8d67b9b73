//! What a user sees of a trainer at work.

mod evaluation;
mod training;

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use evaluation::EvaluationListener;
pub(crate) use training::TrainingListener;

use crate::{
    failure::Failure,
    output::{Output, note},
};

/// How often a plain line tells of progress.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress as a bar where a person looks on, else as a line now and then.
struct Progress<'a> {
    output: &'a mut Output,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
}

impl<'a> Progress<'a> {
    fn new(output: &'a mut Output, template: &str) -> Self {
        let looked_at = output.is_terminal() && !output.is_json();
        let bar = looked_at.then(|| {
            let bar = ProgressBar::no_length();
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self {
            output,
            bar: bar.filter(|bar| !bar.is_hidden()),
            last_line: None,
        }
    }

    /// Says how far it is.
    fn advance(&mut self, done: u64, total: u64, text: &str) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(text.to_owned());
            return Ok(());
        }
        let is_due = self
            .last_line
            .is_none_or(|last| last.elapsed() >= LINE_EVERY);
        if !is_due && done < total {
            return Ok(());
        }
        self.last_line = Some(Instant::now());
        self.output.line(format!("{done}/{total} {text}"))
    }

    /// Writes a line that stays.
    fn line(&mut self, line: &str) -> Result<(), Failure> {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.output.line(line)),
            None => self.output.line(line),
        }
    }

    /// Writes a line of the trainer's log.
    fn log(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}
