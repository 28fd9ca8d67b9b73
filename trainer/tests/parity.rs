//! The numbers of transformers + peft, for a tiny random GPT-2 (see `fixtures/README.md`).
//!
//! Tolerances: both sides compute in f32 and differ only in the order of sums. The fixtures lie within
//! 3e-7 of 64-bit arithmetic; a wrong scale, mask, position or schedule shows up at 1e-3 or more.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use llmopt_domain::Schedule;
use llmopt_tokenization::EncodedExample;
use llmopt_trainer::{
    model::{Compute, Gpt2, PackedBatch},
    optimizer::{AdamW, AdamWConfig},
    schedule::learning_rate,
    step::{StepSettings, accumulate_gradients, train_step},
};
use proptest::prelude::*;
use serde::Deserialize;
use support::{Reference, distance, fixture_json, tiny, tiny_lora};
use tch::{Device, Kind, Tensor};

const TOLERANCE: f64 = 1e-4;

fn compute() -> Compute {
    Compute {
        training: true,
        ..Compute::inference(Kind::Float)
    }
}

/// The logits after every token of `ids`, `[T, V]`.
fn all_logits(model: &Gpt2, ids: &[u32]) -> Tensor {
    let mask = vec![false; ids.len()];
    let mut batch = PackedBatch::pack([(ids, &mask[..])], Device::Cpu).unwrap();
    batch.label_rows = Tensor::arange(ids.len() as i64, (Kind::Int64, Device::Cpu));
    tch::no_grad(|| model.label_logits(&batch, &compute()).unwrap())
}

fn check_logits(model: &Gpt2, file: &str) {
    let reference = Reference::open(file);
    for row in 0..5 {
        let logits = all_logits(model, &reference.ids(&format!("ids.{row}")));
        let found = distance(&logits, &reference.tensor(&format!("logits.{row}")));
        assert!(found <= TOLERANCE, "row {row}: {found:e}");
    }
}

#[test]
fn logits_are_the_references() {
    check_logits(&tiny(false), "forward.safetensors");
}

#[test]
fn logits_with_an_adapter_are_the_references() {
    check_logits(&tiny_lora(), "lora_logits.safetensors");
}

#[test]
fn merged_weights_give_the_logits_of_the_adapter() {
    let adapted = tiny_lora();
    let merged = tiny(false);
    let mut weights = merged.named_weights();
    for ((name, weight), new) in weights.iter_mut().zip(adapted.merged_weights()) {
        let (new_name, new) = new.unwrap();
        assert_eq!(*name, new_name);
        weight.set_data(&new);
    }
    check_logits(&merged, "lora_logits.safetensors");
}

fn check_gradients(model: &Gpt2, parameters: &[(String, Tensor)], file: &str) {
    let reference = Reference::open(file);
    let rows = reference.rows("batch");
    assert_eq!(rows.len(), 4);
    let rows: Vec<&EncodedExample> = rows.iter().collect();
    let loss = accumulate_gradients(model, &rows, 4, &compute(), Device::Cpu).unwrap();
    let expected = reference.tensor("loss").double_value(&[0]);
    assert!(
        (loss - expected).abs() <= TOLERANCE * expected,
        "loss {loss}, expected {expected}"
    );
    let gradients = reference
        .names()
        .iter()
        .filter(|name| name.ends_with(".weight") || name.ends_with(".bias"))
        .count();
    assert_eq!(
        parameters.len(),
        gradients,
        "every parameter of the reference is trained"
    );
    for (name, parameter) in parameters {
        let found = distance(&parameter.grad(), &reference.tensor(name));
        assert!(found <= TOLERANCE, "{name}: {found:e}");
    }
}

#[test]
fn every_gradient_of_full_training_is_the_references() {
    let model = tiny(true);
    check_gradients(&model, &model.named_weights(), "gradients_full.safetensors");
}

#[test]
fn every_gradient_of_lora_is_the_references() {
    let model = tiny_lora();
    check_gradients(
        &model,
        &model.adapter_parameters(),
        "gradients_lora.safetensors",
    );
}

#[derive(Deserialize)]
struct Series {
    losses: Vec<f64>,
    gradient_norms: Vec<f64>,
    learning_rates: Vec<f64>,
}

#[derive(Deserialize)]
struct Settings {
    steps: u64,
    warmup_steps: u64,
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    max_gradient_norm: f64,
}

#[derive(Deserialize)]
struct Steps {
    settings: Settings,
    linear: Series,
    cosine: Series,
}

fn check_steps(open: impl Fn() -> (Gpt2, Vec<(String, Tensor)>), file: &str) {
    let Steps {
        settings,
        linear,
        cosine,
    } = fixture_json(file);
    for (schedule, expected) in [(Schedule::Linear, linear), (Schedule::Cosine, cosine)] {
        let (model, parameters) = open();
        check_series(&model, parameters, &settings, schedule, &expected);
    }
}

fn check_series(
    model: &Gpt2,
    parameters: Vec<(String, Tensor)>,
    settings: &Settings,
    schedule: Schedule,
    expected: &Series,
) {
    let batches = Reference::open("steps.safetensors");
    let Settings {
        beta1,
        beta2,
        epsilon,
        weight_decay,
        ..
    } = *settings;
    let config = AdamWConfig {
        beta1,
        beta2,
        epsilon,
        weight_decay,
    };
    let mut optimizer = AdamW::new(parameters, config).unwrap();
    assert_eq!((settings.steps, expected.losses.len()), (50, 50));
    for step in 0..settings.steps {
        let rows = batches.rows(&format!("step.{step}.row"));
        let rows: Vec<&EncodedExample> = rows.iter().collect();
        let rate = learning_rate(
            schedule,
            settings.learning_rate,
            step,
            settings.warmup_steps,
            settings.steps,
        );
        let step_settings = StepSettings {
            micro_batch_size: 2,
            compute: compute(),
            device: Device::Cpu,
            learning_rate: rate,
            max_gradient_norm: settings.max_gradient_norm,
        };
        let outcome = train_step(model, &mut optimizer, &rows, &step_settings).unwrap();
        let index = step as usize;
        for (what, found, expected) in [
            ("loss", outcome.loss, expected.losses[index]),
            (
                "gradient norm",
                outcome.gradient_norm,
                expected.gradient_norms[index],
            ),
            ("learning rate", rate, expected.learning_rates[index]),
        ] {
            let close = (found - expected).abs() <= TOLERANCE * expected.abs();
            assert!(
                close,
                "{schedule:?} step {step}: {what} {found}, expected {expected}"
            );
        }
    }
}

#[test]
fn fifty_steps_of_full_training_are_the_references() {
    let open = || {
        let model = tiny(true);
        let parameters = model.named_weights();
        (model, parameters)
    };
    check_steps(open, "steps_full.json");
}

#[test]
fn fifty_steps_of_lora_are_the_references() {
    let open = || {
        let model = tiny_lora();
        let parameters = model.adapter_parameters();
        (model, parameters)
    };
    check_steps(open, "steps_lora.json");
}

fn rows() -> impl Strategy<Value = Vec<EncodedExample>> {
    let row = (1_usize..40).prop_flat_map(|length| {
        let ids = prop::collection::vec(0_u32..320, length);
        let mask = prop::collection::vec(any::<bool>(), length);
        (ids, mask).prop_map(|(ids, mut loss_mask)| {
            loss_mask[0] = false;
            EncodedExample { ids, loss_mask }
        })
    });
    let trains_something =
        |rows: &Vec<EncodedExample>| rows.iter().any(|row| row.trainable_tokens() > 0);
    prop::collection::vec(row, 1..9).prop_filter("a batch has labels", trains_something)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // 1e-5: sums of f32 in another order; measured distances stay below 3e-6.
    #[test]
    fn any_split_into_micro_batches_gives_the_same_gradient(rows in rows(), size in 1_usize..9) {
        let whole: Vec<&EncodedExample> = rows.iter().collect();
        let gradients = |size: usize| {
            let model = tiny_lora();
            let loss = accumulate_gradients(&model, &whole, size, &compute(), Device::Cpu).unwrap();
            let gradients: Vec<Tensor> = model.adapter_parameters().iter().map(|(_, p)| p.grad()).collect();
            (loss, gradients)
        };
        let (whole_loss, whole_gradients) = gradients(whole.len());
        let (split_loss, split_gradients) = gradients(size);
        prop_assert!((split_loss - whole_loss).abs() <= 1e-5 * whole_loss);
        for (split, whole) in split_gradients.iter().zip(&whole_gradients) {
            prop_assert!(distance(split, whole) <= 1e-5, "{}", distance(split, whole));
        }
    }
}
