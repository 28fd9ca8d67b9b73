use llmopt_artifact::Gpt2Config;
use llmopt_domain::{LoraConfig, Method, Precision, TrainingConfig};

/// What a training computes with: a model and what is changed of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    pub(super) model: &'a Gpt2Config,
    pub(super) config: &'a TrainingConfig,
}

/// The tokens of all steps, or of a part of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Work {
    /// Tokens computed, prompts included.
    pub(super) tokens: f64,
    /// Those of them with loss.
    pub(super) trained: f64,
    /// How long a row is, in tokens: the mean.
    pub(super) row_length: f64,
}

impl Shape<'_> {
    /// Returns how many parameters the model has.
    pub(super) fn parameters(&self) -> u64 {
        let shapes = self.model.tensor_shapes();
        shapes.iter().map(|(_, shape)| count(shape)).sum()
    }

    /// Returns how many parameters training changes.
    pub(super) fn trainable(&self) -> u64 {
        match self.config.method {
            Method::Full => self.parameters(),
            Method::Lora => self.adapters(),
        }
    }

    /// Returns the floating point operations of `work`: two for each parameter of a matrix and each token on the way
    /// forward, two on the way back to what comes before it, and two more where it changes (Kaplan et al. 2020,
    /// section 2.1). Attention takes 12 for each token, layer, unit of width and token that it looks at, of which a
    /// causal one looks at half (Chowdhery et al. 2022, appendix B).
    pub(super) fn operations(&self, work: Work) -> f64 {
        let model = self.model;
        let each = match self.config.method {
            Method::Lora => 4.0,
            Method::Full => 6.0,
        };
        let matrices = self.matrices() as f64;
        let vocabulary = (model.vocab_size * model.n_embd) as f64;
        let attention = 12.0 * (model.n_layer * model.n_embd) as f64 * work.row_length / 2.0;
        let adapters = match self.config.method {
            Method::Lora => 6.0 * self.adapters() as f64,
            Method::Full => 0.0,
        };
        work.tokens * (each * matrices + attention + adapters) + work.trained * each * vocabulary
    }

    /// The parameters of the blocks' matrices.
    fn matrices(&self) -> u64 {
        self.blocks().map(|(_, shape)| count(&shape)).sum()
    }

    fn adapters(&self) -> u64 {
        let LoraConfig {
            rank,
            target_modules,
            ..
        } = &self.config.lora;
        let is_target = |path: &str| {
            let mut targets = target_modules.iter();
            targets.any(|target| path == target || path.ends_with(&format!(".{target}")))
        };
        let adapted = self.blocks().filter(|(path, _)| is_target(path));
        let ends = adapted.map(|(_, shape)| shape.iter().sum::<usize>() as u64);
        ends.sum::<u64>() * u64::from(*rank)
    }

    /// The layers of the blocks with their matrices' shapes.
    fn blocks(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        let shapes = self.model.tensor_shapes().into_iter();
        shapes.filter_map(|(name, shape)| {
            let path = name.strip_suffix(".weight")?;
            let is_layer = path.starts_with("h.") && shape.len() == 2;
            is_layer.then(|| (path.to_owned(), shape))
        })
    }

    /// Returns the bytes of the weights: 4 each, mapped from their file on a processor, and 2 for those that are kept
    /// for products in bf16, beside them on a processor or where they change, in place of them where they are frozen.
    pub(super) fn weights_bytes(&self, on_gpu: OnGpu) -> u64 {
        let each = match (self.config.precision, self.config.method, on_gpu) {
            (Precision::F32, ..) => 4,
            (Precision::Bf16, Method::Lora, OnGpu::Yes) => 2,
            (Precision::Bf16, ..) => 6,
        };
        self.parameters() * each
    }

    /// Returns the bytes that what changes takes: a gradient and two moments of 4 bytes each, and adapters themselves.
    pub(super) fn optimizer_bytes(&self) -> u64 {
        let each = match self.config.method {
            Method::Lora => 16,
            Method::Full => 12,
        };
        self.trainable() * each
    }

    /// Returns the bytes that `tokens` at once leave behind for the way back: about 18 numbers of 4 bytes for each unit
    /// of width in each block, measured (after Korthikanti et al. 2022, section 4.1, without the attention matrix,
    /// which is never whole).
    pub(super) fn activation_bytes(&self, tokens: u64) -> u64 {
        const NUMBERS: u64 = 18;
        let model = self.model;
        tokens * NUMBERS * 4 * (model.n_embd * model.n_layer) as u64
    }

    /// Returns the bytes of the logits that are held at once, with their gradient and probabilities, where `labels`
    /// tokens have loss.
    pub(super) fn logit_bytes(&self, labels: u64, on_gpu: OnGpu) -> u64 {
        /// What the trainer computes at once.
        const ON_CPU: u64 = 6_000_000;
        const ON_GPU: u64 = 64_000_000;
        let most = match on_gpu {
            OnGpu::Yes => ON_GPU,
            OnGpu::No => ON_CPU,
        };
        let vocabulary = self.model.vocab_size as u64;
        most.max(vocabulary).min(labels * vocabulary) * 4 * 3
    }
}

/// Whether a machine computes on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnGpu {
    Yes,
    No,
}

fn count(shape: &[usize]) -> u64 {
    shape.iter().product::<usize>() as u64
}
