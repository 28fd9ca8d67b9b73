use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use llmopt_artifact::{AdapterFolder, ModelFolder};
use llmopt_domain::{EvaluationMetrics, EvaluationSpec, LessonKind, Overlong, TrainingEvent};
use llmopt_tokenization::Encoder;
use serde::Serialize;
use tch::{Device, Kind};

use crate::{
    Events, StopSignal, TrainerError,
    generate::{Decoding, greedy},
    model::{Compute, Gpt2, PackedBatch},
    pick_device,
    rows::{Limits, Row, Rows},
    weights::{LoadOptions, load_gpt2},
};

/// Rows computed at once: the loss of many rows never needs more memory than that of these.
const ROWS_AT_ONCE: usize = 8;
/// Rows decoded at once.
const DECODED_AT_ONCE: usize = 32;

/// What was generated for a row: one JSON line of a predictions file.
#[derive(Debug, Serialize)]
struct Prediction<'a> {
    row: u64,
    prompt: &'a str,
    expected: &'a str,
    generated: String,
    exact_match: bool,
    finish_reason: &'static str,
    prompt_ids: &'a [u32],
    generated_ids: &'a [u32],
}

/// What an evaluation needs beside the model and the rows.
pub(crate) struct Evaluation<'a> {
    pub(crate) encoder: &'a Encoder,
    pub(crate) compute: Compute,
    pub(crate) device: Device,
    /// 0 measures the loss only.
    pub(crate) max_new_tokens: u32,
    pub(crate) stop: &'a StopSignal,
}

/// Loads what `spec` names and evaluates it; reports progress and the result. Returns `None` where a
/// stop was asked for before the end.
///
/// # Errors
/// If the model, the adapter or the dataset cannot be read, or a predictions file cannot be written.
pub fn run_evaluation(
    spec: &EvaluationSpec,
    stop: &StopSignal,
    events: &mut Events<'_>,
) -> Result<Option<EvaluationMetrics>, TrainerError> {
    tch::set_num_threads(spec.threads as i32);
    let device = pick_device();
    let encoder = Encoder::open(&spec.tokenizer, None)?;
    let folder: &'static ModelFolder = Box::leak(Box::new(ModelFolder::open(&spec.model)?));
    let mut model = load_gpt2(
        folder,
        LoadOptions {
            trainable: false,
            kind: Kind::Float,
            device,
        },
    )?;
    if let Some(adapter) = &spec.adapter {
        model.attach_adapter(&AdapterFolder::open(adapter)?, device)?;
    }
    let limits = Limits {
        max_length: folder.config().n_positions,
        overlong: Overlong::Error,
        vocabulary: folder.config().vocab_size,
    };
    let mut rows = Rows::load(&spec.dataset, &spec.columns, &encoder, limits)?.rows;
    rows.truncate(spec.limit.map_or(usize::MAX, |limit| limit as usize));
    let evaluation = Evaluation {
        encoder: &encoder,
        compute: Compute::inference(Kind::Float),
        device,
        max_new_tokens: spec.max_new_tokens,
        stop,
    };
    evaluation.run(&model, &rows, spec.predictions.as_deref(), events)
}

impl Evaluation<'_> {
    /// Measures the loss of `rows` and, where answers are generated, how many are exactly right.
    pub(crate) fn run(
        &self,
        model: &Gpt2,
        rows: &[Row],
        predictions: Option<&Path>,
        events: &mut Events<'_>,
    ) -> Result<Option<EvaluationMetrics>, TrainerError> {
        let measured = self.loss_only(model, rows)?;
        let mut exact_match = None;
        // A text answers nothing: its loss is all there is to measure.
        let answers = |row: &Row| row.sample.lesson.kind() == LessonKind::Responses;
        if self.max_new_tokens > 0 && rows.iter().all(answers) {
            let Some(matches) = self.generate(model, rows, predictions, events)? else {
                return Ok(None);
            };
            exact_match = Some(matches as f64 / rows.len().max(1) as f64);
        }
        Ok(Some(EvaluationMetrics {
            exact_match,
            ..measured
        }))
    }

    /// Measures the loss of `rows`.
    pub(crate) fn loss_only(
        &self,
        model: &Gpt2,
        rows: &[Row],
    ) -> Result<EvaluationMetrics, TrainerError> {
        let loss = self.loss(model, rows)?;
        if !loss.is_finite() {
            return Err(TrainerError::EvaluationNotFinite { loss });
        }
        Ok(EvaluationMetrics {
            rows: rows.len() as u64,
            loss,
            // JSON has no infinity.
            perplexity: loss.exp().min(f64::MAX),
            exact_match: None,
        })
    }

    fn loss(&self, model: &Gpt2, rows: &[Row]) -> Result<f64, TrainerError> {
        let (mut sum, mut labels) = (0.0, 0);
        for chunk in rows.chunks(ROWS_AT_ONCE) {
            let encoded = chunk
                .iter()
                .map(|row| (&row.encoded.ids[..], &row.encoded.loss_mask[..]));
            let batch = PackedBatch::pack(encoded, self.device)?;
            sum += crate::loss::sum(model, &batch, &self.compute)?;
            labels += batch.labels();
        }
        Ok(sum / labels.max(1) as f64)
    }

    /// Generates an answer for every row and returns how many are right; `None` where stopped.
    fn generate(
        &self,
        model: &Gpt2,
        rows: &[Row],
        predictions: Option<&Path>,
        events: &mut Events<'_>,
    ) -> Result<Option<u64>, TrainerError> {
        let mut writer = predictions.map(PredictionWriter::create).transpose()?;
        let decoding = Decoding {
            max_new_tokens: self.max_new_tokens as usize,
            end_token: self.encoder.end_token_id(),
            device: self.device,
        };
        // Rows of like length waste little on padding; the file keeps the dataset's order.
        let mut prompts = rows
            .iter()
            .map(|row| self.prompt(row))
            .collect::<Result<Vec<_>, _>>()?;
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&index| prompts[index].len());
        let mut answers = vec![Vec::new(); rows.len()];
        for (done, chunk) in order.chunks(DECODED_AT_ONCE).enumerate() {
            if self.stop.requested() {
                return Ok(None);
            }
            let batch: Vec<&[u32]> = chunk.iter().map(|&index| &prompts[index][..]).collect();
            for (&index, answer) in chunk.iter().zip(greedy(model, &batch, decoding)?) {
                answers[index] = answer;
            }
            let done = (done * DECODED_AT_ONCE + chunk.len()) as u64;
            events.send(&TrainingEvent::Progress {
                done,
                total: rows.len() as u64,
            })?;
        }
        let mut matches = 0;
        for ((row, prompt_ids), generated_ids) in rows.iter().zip(prompts.drain(..)).zip(&answers) {
            let prediction = self.judge(row, &prompt_ids, generated_ids)?;
            matches += u64::from(prediction.exact_match);
            if let Some(writer) = &mut writer {
                writer.write(&prediction)?;
            }
        }
        if let Some(writer) = writer {
            writer.finish()?;
        }
        Ok(Some(matches))
    }

    fn prompt(&self, row: &Row) -> Result<Vec<u32>, TrainerError> {
        Ok(self
            .encoder
            .encode_prompt(&row.sample.conversation.prompt())?)
    }

    fn judge<'a>(
        &self,
        row: &'a Row,
        prompt_ids: &'a [u32],
        generated_ids: &'a [u32],
    ) -> Result<Prediction<'a>, TrainerError> {
        let (turns, expected) = row
            .sample
            .conversation
            .split_response()
            .unwrap_or((&[], ""));
        let generated = self.encoder.decode(generated_ids)?;
        let stopped = generated_ids.last() == Some(&self.encoder.end_token_id());
        Ok(Prediction {
            row: row.number,
            prompt: turns.last().map_or("", |turn| &turn.content),
            expected,
            exact_match: stopped && generated.trim() == expected.trim(),
            generated,
            finish_reason: if stopped { "stop" } else { "length" },
            prompt_ids,
            generated_ids,
        })
    }
}

/// Writes predictions to a file that appears under its name only when it is complete.
struct PredictionWriter<'a> {
    path: &'a Path,
    staged: std::path::PathBuf,
    out: BufWriter<File>,
}

impl<'a> PredictionWriter<'a> {
    fn create(path: &'a Path) -> Result<Self, TrainerError> {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".partial");
        let staged = path.with_file_name(name);
        let file = File::create(&staged).map_err(|source| TrainerError::Write {
            path: staged.clone(),
            source,
        })?;
        Ok(Self {
            path,
            staged,
            out: BufWriter::new(file),
        })
    }

    fn write(&mut self, prediction: &Prediction<'_>) -> Result<(), TrainerError> {
        let line = serde_json::to_string(prediction)
            .map_err(|source| TrainerError::Event(source.into()))?;
        writeln!(self.out, "{line}").map_err(|source| TrainerError::Write {
            path: self.staged.clone(),
            source,
        })
    }

    fn finish(mut self) -> Result<(), TrainerError> {
        let done = self
            .out
            .flush()
            .and_then(|()| std::fs::rename(&self.staged, self.path));
        done.map_err(|source| TrainerError::Write {
            path: self.path.to_owned(),
            source,
        })
    }
}
