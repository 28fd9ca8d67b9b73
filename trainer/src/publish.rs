//! Makes a run's result visible, after checking it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use llmopt_artifact::{
    AdapterConfig, AdapterFolder, EvaluationResults, Lineage, Manifest, ModelCard, ModelFolder,
    Resources, RowCounts, SafetensorsWriter, TensorSpec, TrainingMetadata, without_folders,
    write_safetensors,
};
use llmopt_domain::{
    Digest, EvaluationMetrics, JobSpec, Lesson, Method, ObjectKey, Precision, Sample, TrainingEvent,
};
use llmopt_service::is_description;
use llmopt_storage::{FolderStore, StorageError};
use llmopt_tokenization::{Encoder, TemplateLock};
use serde::Serialize;
use tch::{Device, Kind, Tensor, no_grad};
use tokio::runtime::Runtime;

use crate::{
    TrainerError, Worker,
    checkpoint::RunState,
    device::device_name,
    memory::{peak_gpu_memory_bytes, peak_memory_bytes},
    model::{Compute, Gpt2, PackedBatch},
    rows::Rows,
    weights::{LoadOptions, dtype_of, load_gpt2, owned_tensor},
};

/// The adapter's folder within an artifact. It is not the artifact's own folder: transformers would
/// load the merged weights there and then put the adapter on them a second time.
const ADAPTER: &str = "adapter";
/// Conversations kept in the template lock.
const GOLDEN: usize = 8;
/// Of a text in it, its first characters.
const GOLDEN_CHARACTERS: usize = 2_000;
/// Rows and tokens of each on which exported weights are compared with the live ones.
const PROBE_ROWS: usize = 2;
const PROBE_TOKENS: usize = 256;
/// How far exported logits may lie from the live ones: the largest difference over the largest value.
/// f32 weights are written as they are; only the order of sums differs.
const F32_BOUND: f64 = 1e-4;
/// bf16 products have 8 bits: 2^-8 for each of a few dozen layers' roundings.
const BF16_BOUND: f64 = 6e-2;
/// Merged weights are written in 16 bits: 2^-11 of each weight (2^-8 where bf16 had to be taken).
const MERGED_BOUND: f64 = 2e-2;

/// Everything that is published beside the weights.
pub(crate) struct Publication<'a> {
    pub(crate) spec: &'a JobSpec,
    pub(crate) job: &'a Digest,
    pub(crate) state: &'a RunState,
    pub(crate) rows: &'a Rows,
    /// What the held-out rows gave after training, if there are any.
    pub(crate) metrics: Option<EvaluationMetrics>,
    /// Parameters that were trained, and all.
    pub(crate) parameters: (u64, u64),
    pub(crate) folder: &'static ModelFolder,
    pub(crate) encoder: &'a Encoder,
    pub(crate) device: Device,
}

impl Publication<'_> {
    /// Writes and checks all files below a staging folder, then publishes it as the model's next version.
    pub(crate) fn publish(
        &self,
        model: Gpt2,
        worker: &Worker<'_>,
    ) -> Result<TrainingEvent, TrainerError> {
        let &Worker { store, runtime, .. } = worker;
        let staged = runtime.block_on(store.stage())?;
        let folder = staged.path();
        let model = self.export(model, folder)?;
        self.write_merged(&model, folder)?;
        self.write_tokenizer(folder)?;
        self.check_merged(&model, folder)?;
        drop(model);
        let metadata = self.metadata();
        metadata.write(folder)?;
        let evaluation = self.evaluation();
        if let Some(evaluation) = &evaluation {
            evaluation.write(folder)?;
        }
        // Another job may take a version at any moment.
        let mut taken = None;
        let version = loop {
            let next = 1 + versions(self.spec, store, runtime)?
                .last()
                .map_or(0, |(version, _)| *version);
            let version = worker.reserve(next, taken)?;
            ModelCard {
                version,
                metadata: &metadata,
                evaluation: evaluation.as_ref(),
                license: None,
            }
            .write(folder)?;
            Manifest::of_folder(folder, Lineage::of_job(self.job, self.spec, version))?
                .write(folder)?;
            match runtime
                .block_on(store.publish(folder, &ObjectKey::model(&self.spec.model, version)))
            {
                Ok(()) => break version,
                Err(StorageError::AlreadyExists { .. }) => {
                    // A worker that had this very job before and lost it may have come this far.
                    if let Some(event) = already_published(self.spec, self.job, store, runtime)? {
                        return Ok(event);
                    }
                    taken = Some(version);
                }
                Err(error) => return Err(error.into()),
            }
        };
        Ok(published(self.spec, version, self.state.seconds))
    }

    /// Returns the model to merge: for LoRA the base as it is stored, with the adapter as it was
    /// written, which must agree with the live model.
    fn export(&self, live: Gpt2, folder: &Path) -> Result<Gpt2, TrainerError> {
        if self.spec.config.method == Method::Full {
            return Ok(live);
        }
        check_moved(&live)?;
        let adapter = folder.join(ADAPTER);
        self.write_adapter(&live, &adapter)?;
        let precise = matches!(self.spec.config.precision, Precision::F32);
        let kind = if precise { Kind::Float } else { Kind::BFloat16 };
        let expected = self.probe(&live, kind)?;
        drop(live);
        let options = LoadOptions {
            trainable: false,
            kind: Kind::Float,
            device: self.device,
        };
        let mut exported = load_gpt2(self.folder, options)?;
        exported.attach_adapter(&AdapterFolder::open(&adapter)?, self.device)?;
        let found = self.probe(&exported, Kind::Float)?;
        agree(
            "the adapter's",
            &found,
            &expected,
            if precise { F32_BOUND } else { BF16_BOUND },
        )?;
        Ok(exported)
    }

    fn write_adapter(&self, model: &Gpt2, folder: &Path) -> Result<(), TrainerError> {
        create_folder(folder)?;
        let parameters = model.adapter_parameters();
        let tensors = parameters
            .into_iter()
            .map(|(name, tensor)| owned_tensor(name, &tensor));
        let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        write_safetensors(&folder.join("adapter_model.safetensors"), tensors)?;
        Ok(AdapterConfig::for_gpt2(&self.spec.base.name, &self.spec.config.lora).write(folder)?)
    }

    /// Writes all weights, adapters added, in 16 bits, and the configuration they are loaded with.
    fn write_merged(&self, model: &Gpt2, folder: &Path) -> Result<(), TrainerError> {
        let kind = half_kind(model)?;
        let dtype = dtype_of(kind)?;
        let specs = model
            .named_weights()
            .into_iter()
            .map(|(name, tensor)| TensorSpec {
                name,
                dtype,
                shape: tensor.size().iter().map(|&size| size as usize).collect(),
            });
        let mut writer = SafetensorsWriter::create(&folder.join("model.safetensors"), specs)?;
        for merged in model.merged_weights() {
            let (name, weight) = merged?;
            let tensor = owned_tensor(name, &weight.f_to_kind(kind)?)?;
            writer.write(&tensor.name, &tensor.bytes)?;
        }
        writer.finish()?;
        Ok(self
            .folder
            .write_derived_config(folder, dtype, self.encoder.end_token_id())?)
    }

    /// Writes tokenizer, template and lock, and checks that the files give the ids that were trained.
    fn write_tokenizer(&self, folder: &Path) -> Result<(), TrainerError> {
        self.encoder.save(folder)?;
        let samples: Vec<_> = self
            .rows
            .rows
            .iter()
            .filter(|row| !row.sample.conversation.messages.is_empty())
            .take(GOLDEN)
            .map(|row| beginning(&row.sample))
            .collect();
        let lock = self.encoder.template_lock(&samples)?;
        lock.verify(&Encoder::open(folder, None)?)?;
        write_json(&folder.join(TemplateLock::FILE_NAME), &lock)
    }

    /// Compares the merged file's logits with those of the model it was made from.
    fn check_merged(&self, model: &Gpt2, folder: &Path) -> Result<(), TrainerError> {
        let expected = self.probe(model, Kind::Float)?;
        let merged: &'static ModelFolder = Box::leak(Box::new(ModelFolder::open(folder)?));
        let options = LoadOptions {
            trainable: false,
            kind: Kind::Float,
            device: self.device,
        };
        let found = self.probe(&load_gpt2(merged, options)?, Kind::Float)?;
        agree("the merged weights'", &found, &expected, MERGED_BOUND)
    }

    /// Computes the logits of a few labels, f32.
    fn probe(&self, model: &Gpt2, kind: Kind) -> Result<Tensor, TrainerError> {
        let rows = self.rows.rows.iter().take(PROBE_ROWS).map(|row| {
            let length = row.encoded.ids.len().min(PROBE_TOKENS);
            &row.encoded.ids[..length]
        });
        let rows: Vec<(&[u32], Vec<bool>)> = rows.map(|ids| (ids, vec![true; ids.len()])).collect();
        let batch = PackedBatch::pack(
            rows.iter().map(|(ids, mask)| (*ids, &mask[..])),
            self.device,
        )?;
        let logits = no_grad(|| model.label_logits(&batch, &Compute::inference(kind)))?;
        Ok(logits.f_to_kind(Kind::Float)?)
    }

    fn metadata(&self) -> TrainingMetadata {
        TrainingMetadata {
            format: 1,
            job: self.job.clone(),
            spec: without_folders(self.spec),
            code_version: self.spec.code_version.clone(),
            rows: RowCounts {
                training: self.rows.rows.len() as u64,
                evaluation: self.metrics.map(|metrics| metrics.rows),
                dropped: self.rows.dropped,
            },
            trainable_parameters: self.parameters.0,
            parameters: self.parameters.1,
            steps: self.state.step,
            tokens: self.state.tokens,
            loss_curve: self.state.losses.clone(),
            resources: Resources {
                device: device_name(self.device).to_owned(),
                peak_memory_bytes: peak_memory_bytes(),
                peak_gpu_memory_bytes: peak_gpu_memory_bytes(self.device),
                threads: self.spec.config.threads,
                seconds: self.state.seconds,
            },
            // A machine of one's own has no price that is known here.
            cost_picodollars: None,
        }
    }

    fn evaluation(&self) -> Option<EvaluationResults> {
        Some(EvaluationResults {
            format: 1,
            dataset: self.spec.evaluation.as_ref()?.digest.clone(),
            max_new_tokens: self.spec.config.evaluation_max_new_tokens,
            before: self.state.before,
            after: self.metrics?,
        })
    }
}

/// Returns a row as it is, and of a text its beginning: it may be a whole book.
fn beginning(sample: &Sample) -> Sample {
    let mut sample = sample.clone();
    if sample.lesson == Lesson::Text {
        for turn in &mut sample.conversation.messages {
            turn.content = turn.content.chars().take(GOLDEN_CHARACTERS).collect();
        }
    }
    sample
}

/// Returns the published versions of the job's model, in order.
fn versions(
    spec: &JobSpec,
    store: &dyn FolderStore,
    runtime: &Runtime,
) -> Result<Vec<(u32, ObjectKey)>, TrainerError> {
    let keys = runtime.block_on(store.list(&ObjectKey::model_versions(&spec.model)))?;
    let mut versions: Vec<(u32, ObjectKey)> = keys
        .into_iter()
        .filter_map(|key| Some((key.name().parse().ok()?, key)))
        .collect();
    versions.sort_unstable();
    Ok(versions)
}

/// Returns what was reported when this very job was published, if it was.
pub(crate) fn already_published(
    spec: &JobSpec,
    job: &Digest,
    store: &dyn FolderStore,
    runtime: &Runtime,
) -> Result<Option<TrainingEvent>, TrainerError> {
    for (version, key) in versions(spec, store, runtime)? {
        let folder = match runtime.block_on(store.open_part(&key, is_description)) {
            // Deleted since it was listed.
            Err(StorageError::NotFound { .. }) => continue,
            folder => folder?,
        };
        let metadata = TrainingMetadata::read(&folder)?;
        if metadata.job == *job {
            return Ok(Some(published(spec, version, metadata.resources.seconds)));
        }
    }
    Ok(None)
}

fn published(spec: &JobSpec, version: u32, seconds: f64) -> TrainingEvent {
    TrainingEvent::Published {
        key: ObjectKey::model(&spec.model, version).to_string(),
        version,
        seconds,
    }
}

/// Refuses adapters that hold something not finite, or whose B is zero throughout: nothing was learnt.
fn check_moved(model: &Gpt2) -> Result<(), TrainerError> {
    let mut moved = false;
    for (name, parameter) in model.adapter_parameters() {
        let largest = parameter
            .f_detach()?
            .f_abs()?
            .f_max()?
            .f_double_value(&[])?;
        if !largest.is_finite() {
            return Err(TrainerError::Unpublishable(format!(
                "`{name}` holds a value that is not finite"
            )));
        }
        moved |= name.contains("lora_B") && largest > 0.0;
    }
    if moved {
        Ok(())
    } else {
        Err(TrainerError::Unpublishable(
            "training moved no adapter".into(),
        ))
    }
}

/// Returns f16, which keeps more digits, or bf16 where a weight is too large for it. Refuses weights
/// that are not finite.
fn half_kind(model: &Gpt2) -> Result<Kind, TrainerError> {
    const LARGEST_HALF: f64 = 65_504.0;
    let mut kind = Kind::Half;
    for merged in model.merged_weights() {
        let (name, weight) = merged?;
        let largest = weight.f_abs()?.f_max()?.f_double_value(&[])?;
        if !largest.is_finite() {
            return Err(TrainerError::Unpublishable(format!(
                "`{name}` holds a value that is not finite"
            )));
        }
        if largest > LARGEST_HALF {
            kind = Kind::BFloat16;
        }
    }
    Ok(kind)
}

fn agree(what: &str, found: &Tensor, expected: &Tensor, bound: f64) -> Result<(), TrainerError> {
    let largest = expected.f_abs()?.f_max()?.f_double_value(&[])?;
    let distance = found
        .f_sub(expected)?
        .f_abs()?
        .f_max()?
        .f_double_value(&[])?
        / largest.max(f64::MIN_POSITIVE);
    // Written so that NaN is refused too.
    if distance <= bound {
        return Ok(());
    }
    let reason = format!(
        "{what} logits are off by {distance:.1e} of their range: expected at most {bound:.0e}"
    );
    Err(TrainerError::Unpublishable(reason))
}

fn create_folder(path: &Path) -> Result<(), TrainerError> {
    fs::create_dir_all(path).map_err(|source| TrainerError::Write {
        path: path.to_owned(),
        source,
    })
}

fn write_json(path: &PathBuf, value: &impl Serialize) -> Result<(), TrainerError> {
    let written = serde_json::to_vec_pretty(value)
        .map_err(std::io::Error::from)
        .and_then(|mut json| {
            json.push(b'\n');
            fs::write(path, json)
        });
    written.map_err(|source| TrainerError::Write {
        path: path.clone(),
        source,
    })
}
