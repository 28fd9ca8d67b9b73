//! llama.cpp behind the safe API, on a tiny random GPT-2 (see `trainer/tests/fixtures/README.md`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damage;
mod exact;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use llmopt_artifact::{AdapterFolder, ModelFolder};
use llmopt_gguf::{WeightType, write_adapter, write_model};
use llmopt_llama::{Adapter, Cancelled, Context, ContextOptions, Gelu, LlamaError, Model};
use tempfile::TempDir;

const GO_ON: Cancelled<'_> = &|| false;

/// More than a batch holds.
const PROMPT: [u32; 20] = [
    258, 273, 25, 198, 305, 25, 220, 306, 274, 83, 261, 220, 318, 79, 289, 261, 286, 68, 67, 81,
];

/// A folder with the tiny model and its adapter as GGUF files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = ModelFolder::open(&fixture("tiny-gpt2")).unwrap();
        let path = folder.path().join("model.gguf");
        write_model(&model, model.path(), WeightType::F32, &path).unwrap();
        let adapter = AdapterFolder::open(&fixture("tiny-lora")).unwrap();
        write_adapter(&adapter, &folder.path().join("adapter.gguf")).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn model(&self) -> Arc<Model> {
        Model::load(&self.path("model.gguf")).unwrap()
    }

    fn adapter(&self, model: &Arc<Model>) -> Arc<Adapter> {
        Adapter::load(model, &self.path("adapter.gguf")).unwrap()
    }
}

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/tests/fixtures");
    fixtures.join(name)
}

fn options() -> ContextOptions {
    ContextOptions {
        context_tokens: 48,
        batch_tokens: 16,
        threads: 1,
        gelu: Gelu::Table,
    }
}

fn context(model: &Arc<Model>) -> Context {
    Context::new(Arc::clone(model), options()).unwrap()
}

/// The logits after the prompt, from an empty context.
fn logits(context: &mut Context) -> Vec<f32> {
    context.clear();
    let (first, last) = PROMPT.split_at(16);
    context.decode(first, GO_ON).unwrap();
    context.decode(last, GO_ON).unwrap().to_vec()
}

#[test]
fn what_was_in_a_context_before_makes_no_difference() {
    let model = Files::new().model();
    let mut context = context(&model);
    let first = logits(&mut context);
    assert_eq!(first.len(), model.vocabulary_size());
    context.clear();
    for id in 0..48 {
        context.decode(&[id], GO_ON).unwrap();
    }
    assert_eq!(logits(&mut context), first);
    assert_eq!(logits(&mut self::context(&model)), first);
}

#[test]
fn an_adapter_changes_the_logits_and_its_end_restores_them() {
    let files = Files::new();
    let model = files.model();
    let mut context = context(&model);
    let base = logits(&mut context);
    context.set_adapter(Some(files.adapter(&model))).unwrap();
    let adapted = logits(&mut context);
    assert_ne!(adapted, base);
    context.set_adapter(None).unwrap();
    assert_eq!(logits(&mut context), base);
    context.set_adapter(Some(files.adapter(&model))).unwrap();
    assert_eq!(logits(&mut context), adapted);
}

#[test]
fn a_context_outlives_what_its_parts_are_called() {
    let files = Files::new();
    let model = files.model();
    let mut context = context(&model);
    context.set_adapter(Some(files.adapter(&model))).unwrap();
    let before = logits(&mut context);
    drop((model, files));
    assert_eq!(logits(&mut context), before);
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let files = Files::new();
    let adapter = files.adapter(&files.model());
    let error = context(&files.model())
        .set_adapter(Some(adapter))
        .unwrap_err();
    assert!(matches!(error, LlamaError::ForeignAdapter), "{error}");
}

#[test]
fn tokens_that_cannot_be_appended_are_refused_and_change_nothing() {
    let model = Files::new().model();
    let mut context = context(&model);
    let expected = logits(&mut context);
    context.clear();
    context.decode(&PROMPT[..16], GO_ON).unwrap();
    let size = model.vocabulary_size() as u32;
    for tokens in [&[][..], &[0; 17], &[1, size], &[u32::MAX]] {
        context.decode(tokens, GO_ON).unwrap_err();
        assert_eq!(context.position(), 16);
    }
    assert_eq!(context.decode(&PROMPT[16..], GO_ON).unwrap(), expected);
}

#[test]
fn a_full_context_takes_nothing_more() {
    let mut context = context(&Files::new().model());
    for _ in 0..3 {
        context.decode(&[7; 16], GO_ON).unwrap();
    }
    let error = context.decode(&[7], GO_ON).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 tokens do not fit after the 48 in the context, which holds 48"
    );
}

#[test]
fn a_context_of_a_size_out_of_range_is_refused() {
    let model = Files::new().model();
    let trained = model.context_tokens();
    for (context_tokens, batch_tokens, threads) in [
        (0, 1, 1),
        (trained + 1, 1, 1),
        (48, 0, 1),
        (48, 49, 1),
        (48, 16, 0),
        (48, 16, 513),
    ] {
        let options = ContextOptions {
            context_tokens,
            batch_tokens,
            threads,
            gelu: Gelu::Table,
        };
        let error = Context::new(Arc::clone(&model), options).unwrap_err();
        assert!(matches!(error, LlamaError::Options { .. }), "{error}");
    }
    let whole = ContextOptions {
        context_tokens: trained,
        batch_tokens: 1,
        threads: 1,
        gelu: Gelu::Table,
    };
    Context::new(model, whole).unwrap();
}

#[test]
fn decoding_can_be_cancelled_at_any_moment_and_goes_on_afterwards() {
    let mut context = context(&Files::new().model());
    let expected = logits(&mut context);
    let asked = AtomicUsize::new(0);
    let count = || asked.fetch_add(1, Ordering::Relaxed) == usize::MAX;
    context.clear();
    context.decode(&PROMPT[..16], &count).unwrap();
    let moments = asked.load(Ordering::Relaxed);
    assert!(moments > 20, "asked between operations: {moments}");
    for moment in (0..moments).step_by(7) {
        context.clear();
        let left = AtomicUsize::new(moment);
        let cancelled = || {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_err()
        };
        let error = context.decode(&PROMPT[..16], &cancelled).unwrap_err();
        assert!(matches!(error, LlamaError::Cancelled), "{error}");
        assert_eq!(context.position(), 0);
        assert_eq!(logits(&mut context), expected);
    }
}

#[test]
fn contexts_of_one_model_are_made_and_used_by_many_threads() {
    let files = Files::new();
    let model = files.model();
    let base = logits(&mut context(&model));
    let mut adapted = context(&model);
    adapted.set_adapter(Some(files.adapter(&model))).unwrap();
    let adapted = logits(&mut adapted);
    thread::scope(|scope| {
        for number in 0..8 {
            let (files, model) = (&files, &model);
            let expected = if number % 2 == 0 { &base } else { &adapted };
            scope.spawn(move || {
                for _ in 0..10 {
                    let mut context = context(model);
                    let adapter = (number % 2 == 1).then(|| files.adapter(model));
                    context.set_adapter(adapter).unwrap();
                    assert_eq!(&logits(&mut context), expected);
                }
            });
        }
    });
}
