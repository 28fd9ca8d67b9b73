use llmopt_domain::{EvaluationMetrics, TrainingEvent};

use super::Progress;
use crate::{
    failure::Failure,
    output::{Output, bytes_text, count_text, seconds_text},
    trainer::Listener,
};

const BAR: &str = "{bar:24} {pos}/{len} {wide_msg}";

/// Shows a training run and remembers how it ended.
pub(crate) struct TrainingListener<'a> {
    progress: Progress<'a>,
    /// The step of the last checkpoint.
    pub(crate) checkpoint: Option<u64>,
    /// The last result on the held-out rows.
    pub(crate) metrics: Option<EvaluationMetrics>,
}

impl<'a> TrainingListener<'a> {
    pub(crate) fn new(output: &'a mut Output) -> Self {
        Self {
            progress: Progress::new(output, BAR),
            checkpoint: None,
            metrics: None,
        }
    }
}

impl Listener for TrainingListener<'_> {
    fn event(&mut self, event: TrainingEvent, line: &str) -> Result<(), Failure> {
        match &event {
            TrainingEvent::Checkpoint { step } | TrainingEvent::Interrupted { step } => {
                self.checkpoint = Some(*step);
            }
            TrainingEvent::Evaluated { metrics, .. } => self.metrics = Some(*metrics),
            _ => {}
        }
        if self.progress.output.is_json() {
            return self.progress.output.line(line);
        }
        match &event {
            TrainingEvent::Step {
                step, total_steps, ..
            } => self
                .progress
                .advance(*step, *total_steps, &step_text(&event)),
            TrainingEvent::Progress { done, total } => {
                self.progress
                    .advance(*done, *total, "held-out rows answered")
            }
            _ => match lasting_text(&event) {
                Some(text) => self.progress.line(&text),
                None => Ok(()),
            },
        }
    }

    fn log(&mut self, line: &str) {
        self.progress.log(line);
    }
}

fn step_text(event: &TrainingEvent) -> String {
    let TrainingEvent::Step {
        loss,
        tokens_per_second,
        peak_memory_bytes,
        peak_gpu_memory_bytes,
        seconds_left,
        ..
    } = event
    else {
        return String::new();
    };
    format!(
        "loss {loss:.4}, {} tokens/s, {}, {} left",
        count_text(*tokens_per_second as u64),
        bytes_text(peak_gpu_memory_bytes.unwrap_or(*peak_memory_bytes)),
        seconds_text(*seconds_left)
    )
}

/// Says what a user still wants to read afterwards; `None` for what the end says better.
fn lasting_text(event: &TrainingEvent) -> Option<String> {
    match event {
        TrainingEvent::Preparing { what } => Some(format!("{what} ...")),
        TrainingEvent::Started {
            step,
            total_steps,
            trainable_parameters,
            parameters,
            device,
            ..
        } => {
            let from = if *step > 0 {
                format!("going on after step {step}: ")
            } else {
                String::new()
            };
            Some(format!(
                "{from}{} steps on {device}, training {} of {} parameters",
                count_text(*total_steps),
                count_text(*trainable_parameters),
                count_text(*parameters)
            ))
        }
        TrainingEvent::Checkpoint { step } => Some(format!("checkpoint after step {step}")),
        TrainingEvent::Evaluated { step, metrics } => Some(format!(
            "held-out rows after step {step}: {}",
            metrics_text(metrics)
        )),
        TrainingEvent::Step { .. }
        | TrainingEvent::Progress { .. }
        | TrainingEvent::Interrupted { .. }
        | TrainingEvent::Published { .. } => None,
    }
}

fn metrics_text(metrics: &EvaluationMetrics) -> String {
    let mut text = format!(
        "loss {:.4}, perplexity {:.3}",
        metrics.loss, metrics.perplexity
    );
    if let Some(share) = metrics.exact_match {
        text.push_str(&format!(", exact match {share:.3}"));
    }
    text
}
