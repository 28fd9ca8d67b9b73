//! A data directory with one job on the tiny model.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use llmopt_artifact::ModelFolder;
use llmopt_domain::{
    BaseModel, ColumnMap, DatasetFile, JobSpec, ModelId, ObjectKey, TrainingConfig,
};
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Workplace {
    folder: TempDir,
    spec: JobSpec,
}

/// Rows of prompts and their answers.
fn squares(range: std::ops::Range<u32>) -> String {
    range
        .map(|n| format!("{{\"prompt\":\"{n}?\",\"response\":\"{}\"}}\n", n * n))
        .collect()
}

impl Workplace {
    pub(crate) fn new(config: TrainingConfig) -> Self {
        Self::on(config, [squares(0..23), squares(40..44)])
    }

    /// A job on these rows, measured on those.
    pub(crate) fn on(config: TrainingConfig, [train, heldout]: [String; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("tiny");
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-gpt2");
        fs::create_dir(&base).unwrap();
        for entry in fs::read_dir(fixture).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), base.join(entry.file_name())).unwrap();
        }
        let dataset = |name: &str, rows: String| {
            let path = folder.path().join(name);
            fs::write(&path, rows).unwrap();
            DatasetFile {
                digest: llmopt_dataset::digest(&path).unwrap(),
                path,
                columns: ColumnMap::default(),
            }
        };
        let spec = JobSpec {
            format: 1,
            model: ModelId {
                base: "tiny".parse().unwrap(),
                name: "squares".parse().unwrap(),
            },
            base: BaseModel {
                name: "tiny".to_owned(),
                digest: ModelFolder::open(&base).unwrap().digest().unwrap(),
                path: base,
            },
            dataset: dataset("train.jsonl", train),
            evaluation: Some(dataset("heldout.jsonl", heldout)),
            config,
            code_version: "test".to_owned(),
            data_dir: folder.path().join("data"),
        };
        let place = Self { folder, spec };
        fs::write(place.spec_file(), serde_json::to_vec(&place.spec).unwrap()).unwrap();
        place
    }

    /// The trainer on this job; it has not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmopt-trainer"));
        command
            .arg("run")
            .arg("--spec")
            .arg(self.spec_file())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).output().unwrap().into()
    }

    /// The bytes of every file with weights that the job published.
    pub(crate) fn weights(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let folder = self.published();
        ["adapter/adapter_model.safetensors", "model.safetensors"]
            .into_iter()
            .filter_map(|file| Some((file, fs::read(folder.join(file)).ok()?)))
            .collect()
    }

    pub(crate) fn published(&self) -> PathBuf {
        self.path_of(&ObjectKey::model(&self.spec.model, 1))
    }

    pub(crate) fn is_published(&self) -> bool {
        self.published().exists()
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        visible(&self.path_of(&ObjectKey::model_versions(&self.spec.model)))
    }

    pub(crate) fn checkpoints(&self) -> Vec<String> {
        let job = self.spec.identity().unwrap();
        visible(&self.path_of(&ObjectKey::checkpoints(&job)))
    }

    /// Changes one key of the base model's `config.json`.
    pub(crate) fn edit_base_config(&self, key: &str, value: Value) {
        let path = self.spec.base.path.join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config[key] = value;
        fs::write(&path, config.to_string()).unwrap();
    }

    /// Takes a token out of the base model's vocabulary, so that its id is nobody's.
    pub(crate) fn leave_a_gap_in_the_vocabulary(&self) {
        let path = self.spec.base.path.join("tokenizer.json");
        let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let model = &mut tokenizer["model"];
        let vocabulary = model["vocab"].as_object_mut().unwrap();
        assert!(vocabulary.remove("doo").is_some());
        // As GPT-2 has it: the ids of tokens that are not in here are counted on from it.
        vocabulary.insert("<|endoftext|>".to_owned(), 319.into());
        let merges = model["merges"].as_array_mut().unwrap();
        merges.retain(|merge| *merge != serde_json::json!(["d", "oo"]));
        fs::write(&path, tokenizer.to_string()).unwrap();
    }

    /// Gives the base model an output layer of its own.
    pub(crate) fn untie_base(&self) {
        self.edit_base_config("tie_word_embeddings", false.into());
        let path = self.spec.base.path.join("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        let mut tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
        let (_, embeddings) = tensors
            .iter()
            .find(|(name, _)| name.ends_with("wte.weight"))
            .unwrap();
        tensors.push(("lm_head.weight".to_owned(), embeddings.clone()));
        fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    }

    fn spec_file(&self) -> PathBuf {
        self.folder.path().join("spec.json")
    }

    fn path_of(&self, key: &ObjectKey) -> PathBuf {
        self.spec.data_dir.join(key.as_str())
    }
}

/// What a trainer that ended by itself had said.
pub(crate) struct Ended {
    code: Option<i32>,
    events: Vec<String>,
    pub(crate) errors: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let event = |line: &str| -> String {
            let event: Value = serde_json::from_str(line).unwrap();
            event["event"].as_str().unwrap().to_owned()
        };
        let out = String::from_utf8(output.stdout).unwrap();
        Self {
            code: output.status.code(),
            events: out.lines().map(event).collect(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Returns the names of its events.
    pub(crate) fn succeeds(self) -> Vec<String> {
        assert_eq!(self.code, Some(0), "{}", self.errors);
        self.events
    }

    pub(crate) fn fails(self, code: i32, part: &str) {
        assert_eq!(self.code, Some(code), "{}", self.errors);
        let error = self.errors.lines().find(|line| line.starts_with("error: "));
        assert!(error.unwrap().contains(part), "{}", self.errors);
    }
}

/// Reads events until the one called `name`.
pub(crate) fn wait_for_event(trainer: &mut Child, name: &str) {
    let out = BufReader::new(trainer.stdout.as_mut().unwrap());
    let wanted = format!("\"event\":\"{name}\"");
    assert!(out.lines().any(|line| line.unwrap().contains(&wanted)));
}

/// Sends SIGTERM.
pub(crate) fn terminate(trainer: &Child) {
    let status = Command::new("kill").arg(trainer.id().to_string()).status();
    assert!(status.unwrap().success());
}

/// The names in a folder, without the store's own.
fn visible(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}
