use std::{fmt::Write, path::Path};

use llmopt_domain::{EvaluationMetrics, Method, TrainingConfig};

use crate::{ArtifactError, EvaluationResults, TrainingMetadata, files};

const CARD: &str = "README.md";

/// A model's card: `README.md` as the Hub renders it, with YAML front matter.
#[derive(Clone, Copy, Debug)]
pub struct ModelCard<'a> {
    /// The model's version.
    pub version: u32,
    /// How it was trained.
    pub metadata: &'a TrainingMetadata,
    /// What it scores, if it was evaluated.
    pub evaluation: Option<&'a EvaluationResults>,
    /// The licence, as the Hub spells it, if it is known.
    pub license: Option<&'a str>,
}

impl ModelCard<'_> {
    /// Writes `README.md` into `folder` and waits until it is on disk.
    ///
    /// # Errors
    /// [`ArtifactError::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), ArtifactError> {
        files::write_durably(&folder.join(CARD), self.render().as_bytes())
    }

    /// Renders the card.
    pub fn render(&self) -> String {
        let mut card = Card(String::new());
        self.front_matter(&mut card);
        self.introduction(&mut card);
        self.data(&mut card);
        self.hyperparameters(&mut card);
        self.results(&mut card);
        self.resources(&mut card);
        self.usage(&mut card);
        card.0
    }

    fn front_matter(&self, card: &mut Card) {
        let lora = self.config().method == Method::Lora;
        card.line("---");
        let library = if lora { "peft" } else { "transformers" };
        card.line(format!("library_name: {library}"));
        card.line(format!("base_model: {}", quoted(self.base())));
        let relation = if lora { "adapter" } else { "finetune" };
        card.line(format!("base_model_relation: {relation}"));
        card.line("pipeline_tag: text-generation");
        card.line(format!("datasets:\n- {}", quoted(&self.dataset())));
        if let Some(license) = self.license {
            card.line(format!("license: {}", quoted(license)));
        }
        card.line("tags:");
        if lora {
            card.line("- lora");
        }
        card.line("- sft\n- llmopt");
        if let Some(evaluation) = self.evaluation {
            self.model_index(card, evaluation);
        }
        card.line("---\n");
    }

    fn model_index(&self, card: &mut Card, evaluation: &EvaluationResults) {
        card.line("model-index:");
        card.line(format!("- name: {}", quoted(self.name())));
        card.line("  results:\n  - task:\n      type: text-generation\n    dataset:");
        let name = self.evaluation_dataset();
        card.line(format!("      name: {}", quoted(&name)));
        card.line(format!("      type: {}\n    metrics:", quoted(&name)));
        for (metric, value) in metrics(&evaluation.after) {
            card.line(format!("    - type: {metric}\n      value: {value}"));
        }
    }

    fn introduction(&self, card: &mut Card) {
        card.line(format!("# {}\n", self.name()));
        let what = match self.config().method {
            Method::Lora => "A LoRA adapter for",
            Method::Full => "A full fine-tuning of",
        };
        let spec = &self.metadata.spec;
        card.line(format!(
            "{what} {}: model {}, version {}.",
            code(self.base()),
            code(&spec.model.to_string()),
            self.version
        ));
    }

    fn data(&self, card: &mut Card) {
        let (rows, spec) = (self.metadata.rows, &self.metadata.spec);
        card.heading("Data");
        let digest = &spec.dataset.digest;
        card.line(format!("- training: {}, `{digest}`", code(&self.dataset())));
        if let Some(file) = &spec.evaluation {
            let name = self.evaluation_dataset();
            card.line(format!("- evaluation: {}, `{}`", code(&name), file.digest));
        }
        let evaluation = match rows.evaluation {
            Some(count) => format!("{count} held out"),
            None => "none held out".to_owned(),
        };
        card.line(format!(
            "- rows: {} trained on, {evaluation}, {} left out",
            rows.training, rows.dropped
        ));
        let tokens = self.metadata.tokens;
        card.line(format!("- tokens trained on, over all epochs: {tokens}"));
        card.line(format!("- base model's files: `{}`", spec.base.digest));
    }

    fn hyperparameters(&self, card: &mut Card) {
        let (config, metadata) = (self.config(), self.metadata);
        card.heading("Hyperparameters");
        if config.method == Method::Lora {
            let lora = &config.lora;
            card.line(format!(
                "- rank {}, `lora_alpha` {}, dropout {}, layers `{}`",
                lora.rank,
                lora.alpha,
                lora.dropout,
                lora.target_modules.join("`, `")
            ));
        }
        card.line(format!(
            "- AdamW, learning rate {}, betas {} and {}, epsilon {}, weight decay {}",
            config.learning_rate, config.beta1, config.beta2, config.epsilon, config.weight_decay
        ));
        card.line(format!(
            "- {:?} schedule, warm-up ratio {}, gradient norm at most {}",
            config.schedule, config.warmup_ratio, config.max_gradient_norm
        ));
        card.line(format!(
            "- {} steps of {} rows, at most {} epochs, {:?} products, seed {}",
            metadata.steps, config.batch_size, config.epochs, config.precision, config.seed
        ));
        card.line(format!(
            "- {} of {} parameters trained",
            metadata.trainable_parameters, metadata.parameters
        ));
    }

    fn results(&self, card: &mut Card) {
        card.heading("Results");
        if let (Some(first), Some(last)) = (
            self.metadata.loss_curve.first(),
            self.metadata.loss_curve.last(),
        ) {
            card.line(format!(
                "Training loss {:.4} at step {}, {:.4} at step {}.",
                first.loss, first.step, last.loss, last.step
            ));
        }
        let Some(evaluation) = self.evaluation else {
            card.line("\nThere were no held-out rows.");
            return;
        };
        let after = &evaluation.after;
        card.line(format!("\nOn {} held-out rows:\n", after.rows));
        card.line("| metric | base model | this model |\n|---|---|---|");
        let before = evaluation.before.as_ref().map(metrics).unwrap_or_default();
        for (metric, value) in metrics(after) {
            let base = before.iter().find(|(name, _)| *name == metric);
            let base = base.map_or_else(|| "–".to_owned(), |(_, value)| format!("{value:.4}"));
            card.line(format!("| {metric} | {base} | {value:.4} |"));
        }
        if after.exact_match.is_some() {
            let most = evaluation.max_new_tokens;
            card.line(format!(
                "\n`exact_match`: greedy answers of at most {most} tokens, white space around them ignored."
            ));
        }
    }

    fn resources(&self, card: &mut Card) {
        let (metadata, used) = (self.metadata, &self.metadata.resources);
        card.heading("Resources");
        card.line(format!(
            "- {:.0} seconds on {}, {} threads",
            used.seconds,
            code(&used.device),
            used.threads
        ));
        let mebibytes = used.peak_memory_bytes >> 20;
        card.line(format!("- peak memory: {mebibytes} MiB"));
        if let Some(bytes) = used.peak_gpu_memory_bytes {
            card.line(format!(
                "- peak memory of tensors on the GPU: {} MiB",
                bytes >> 20
            ));
        }
        if let Some(cost) = metadata.cost_picodollars {
            card.line(format!("- cost: {:.6} US dollars", cost as f64 / 1e12));
        }
        card.line(format!("- llmopt {}", code(&metadata.code_version)));
        card.line(format!("- job `{}`", metadata.job));
    }

    fn usage(&self, card: &mut Card) {
        card.heading("Use");
        let (library, class) = match self.config().method {
            Method::Lora => ("peft", "AutoPeftModelForCausalLM"),
            Method::Full => ("transformers", "AutoModelForCausalLM"),
        };
        card.line(format!(
            "```python\nfrom {library} import {class}\nfrom transformers import AutoTokenizer\n"
        ));
        card.line("folder = \".\"  # this folder");
        card.line(format!("model = {class}.from_pretrained(folder)"));
        card.line("tokenizer = AutoTokenizer.from_pretrained(folder)");
        card.line("messages = [{\"role\": \"user\", \"content\": \"...\"}]");
        card.line("inputs = tokenizer.apply_chat_template(");
        card.line(
            "    messages, add_generation_prompt=True, return_dict=True, return_tensors=\"pt\"",
        );
        card.line(")");
        card.line("answer = model.generate(**inputs, max_new_tokens=64)");
        card.line("print(tokenizer.decode(answer[0][inputs[\"input_ids\"].shape[1]:], skip_special_tokens=True))");
        card.line("```");
    }

    fn config(&self) -> &TrainingConfig {
        &self.metadata.spec.config
    }

    fn name(&self) -> &str {
        self.metadata.spec.model.name.as_str()
    }

    /// The base model's name on the Hub, or its short name: a folder means nothing to a reader.
    fn base(&self) -> &str {
        let spec = &self.metadata.spec;
        if is_hub_name(&spec.base.name) {
            &spec.base.name
        } else {
            spec.model.base.as_str()
        }
    }

    fn dataset(&self) -> String {
        file_name(&self.metadata.spec.dataset.path)
    }

    fn evaluation_dataset(&self) -> String {
        let file = self.metadata.spec.evaluation.as_ref();
        file.map_or_else(|| self.dataset(), |file| file_name(&file.path))
    }
}

/// Markdown that grows by lines.
struct Card(String);

impl Card {
    fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }

    fn heading(&mut self, heading: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "\n## {heading}\n\n");
    }
}

fn metrics(metrics: &EvaluationMetrics) -> Vec<(&'static str, f64)> {
    let mut pairs = vec![("loss", metrics.loss), ("perplexity", metrics.perplexity)];
    pairs.extend(metrics.exact_match.map(|share| ("exact_match", share)));
    pairs
}

/// Quotes `text` as JSON does, which YAML reads as it is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Renders `text` as inline code, whatever it holds.
fn code(text: &str) -> String {
    let plain = text.replace('`', "'").replace(['\n', '\r'], " ");
    format!("`{plain}`")
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Whether `name` can be a repository on the Hub: `NAME` or `OWNER/NAME`.
fn is_hub_name(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    name.split('/').count() <= 2 && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn card(metadata: &TrainingMetadata, evaluation: Option<&EvaluationResults>) -> String {
        let card = ModelCard {
            version: 3,
            metadata,
            evaluation,
            license: Some("mit"),
        };
        card.render()
    }

    #[test]
    fn a_card_of_an_evaluated_adapter_says_everything() {
        let folder = tempfile::tempdir().unwrap();
        let (metadata, results) = (testing::training_metadata(), testing::evaluation_results());
        let card = ModelCard {
            version: 3,
            metadata: &metadata,
            evaluation: Some(&results),
            license: Some("mit"),
        };
        card.write(folder.path()).unwrap();
        let written = std::fs::read_to_string(folder.path().join(CARD)).unwrap();
        assert_eq!(written, include_str!("../golden/README.md"));
    }

    #[test]
    fn a_fully_trained_model_without_held_out_rows_is_no_adapter() {
        let mut metadata = testing::training_metadata();
        metadata.spec.config.method = Method::Full;
        metadata.spec.evaluation = None;
        metadata.rows.evaluation = None;
        let card = card(&metadata, None);
        assert!(card.contains("\nlibrary_name: transformers\n"), "{card}");
        assert!(card.contains("\nbase_model_relation: finetune\n"), "{card}");
        assert!(card.contains("There were no held-out rows."), "{card}");
        for absent in ["model-index", "peft", "lora", "LoRA"] {
            assert!(!card.contains(absent), "{absent}: {card}");
        }
    }

    #[test]
    fn a_base_that_is_a_folder_is_named_without_its_place() {
        let mut metadata = testing::training_metadata();
        for folder in ["/home/someone/gpt2", "../gpt2", "./a/b", "ft:gpt2:other"] {
            metadata.spec.base.name = folder.to_owned();
            let card = card(&metadata, None);
            assert!(card.contains("\nbase_model: \"gpt2\"\n"), "{card}");
            assert!(!card.contains(folder), "{card}");
        }
    }

    #[test]
    fn a_file_name_cannot_break_out_of_front_matter_or_code() {
        let mut metadata = testing::training_metadata();
        metadata.spec.dataset.path = "a\"b`c\n---\nd.jsonl".into();
        let card = card(&metadata, None);
        assert!(card.contains("- \"a\\\"b`c\\n---\\nd.jsonl\"\n"), "{card}");
        assert!(card.contains("`a\"b'c --- d.jsonl`"), "{card}");
        assert_eq!(card.lines().filter(|&line| line == "---").count(), 2);
    }
}
