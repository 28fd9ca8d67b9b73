use llmopt_domain::{Method, Precision};
use llmopt_preparation::TokenLengths;

use super::*;

/// A model of GPT-2 small's shape.
fn gpt2() -> Gpt2Config {
    Gpt2Config {
        vocab_size: 50_257,
        n_positions: 1_024,
        n_embd: 768,
        n_layer: 12,
        n_head: 12,
        n_inner: None,
        layer_norm_epsilon: 1e-5,
        activation_function: "gelu_new".to_owned(),
        tie_word_embeddings: true,
        eos_token_id: Some(50_256),
    }
}

/// GSM8K's first 240 rows, as docs/BENCHMARKS.md counts them.
fn tokens() -> TokenStatistics {
    TokenStatistics {
        rows: 240,
        tokens: 40_150,
        trainable_tokens: 24_137,
        row: TokenLengths {
            max: 300,
            ..TokenLengths::default()
        },
        max_length: 1_024,
        ..TokenStatistics::default()
    }
}

fn config(precision: Precision) -> TrainingConfig {
    TrainingConfig {
        precision,
        epochs: 1,
        batch_size: 4,
        micro_batch_size: 4,
        threads: 2,
        ..TrainingConfig::default()
    }
}

fn machine(name: &str, usd_per_hour: Option<f64>) -> TrainingMachine {
    TrainingMachine {
        name: name.to_owned(),
        usd_per_hour,
    }
}

fn estimated(config: &TrainingConfig, machine: &TrainingMachine) -> JobEstimate {
    let model = gpt2();
    let shape = Shape {
        model: &model,
        config,
    };
    estimate(shape, &tokens(), machine, &[])
}

#[test]
fn parameters_are_those_of_the_model_and_of_its_adapters() {
    let found = estimated(&config(Precision::F32), &machine("local", None));
    // As transformers and peft count them.
    assert_eq!(found.parameters, 124_439_808);
    assert_eq!(found.trainable_parameters, 2_359_296);
    let full = TrainingConfig {
        method: Method::Full,
        ..config(Precision::F32)
    };
    let full = estimated(&full, &machine("local", None));
    assert_eq!(full.trainable_parameters, 124_439_808);
    assert!(full.operations > 1.3 * found.operations);
    assert!(full.memory.optimizer_bytes > 20 * found.memory.optimizer_bytes);
}

#[test]
fn what_was_measured_is_what_is_estimated() {
    // Tokens a second and MiB, of docs/BENCHMARKS.md.
    for (precision, speed, peak) in [
        (Precision::F32, 273.0, 1_828.0),
        (Precision::Bf16, 423.0, 2_210.0),
    ] {
        let found = estimated(&config(precision), &machine("local", None));
        assert_eq!((found.steps, found.tokens), (60, 40_150));
        let seconds = found.seconds.unwrap();
        let measured = 40_150.0 / speed;
        assert!(
            (seconds / measured - 1.0).abs() < 0.1,
            "{seconds} {measured}"
        );
        // The longest row of that run is not recorded; what is held is an upper bound in any case.
        let mebibytes = found.memory.total_bytes as f64 / f64::from(1 << 20);
        assert!(
            (0.8..1.25).contains(&(mebibytes / peak)),
            "{mebibytes} {peak}"
        );
    }
    for (precision, rows, speed) in [
        (Precision::F32, 4, 18_854.0),
        (Precision::F32, 32, 56_672.0),
        (Precision::Bf16, 4, 14_550.0),
        (Precision::Bf16, 32, 86_983.0),
    ] {
        let config = TrainingConfig {
            batch_size: rows,
            micro_batch_size: rows,
            ..config(precision)
        };
        let found = estimated(&config, &machine("p5e.48xlarge", None));
        let measured = 40_150.0 / speed;
        let ratio = found.seconds.unwrap() / measured;
        // Machines of the kind, and runs, differ by as much.
        assert!((0.85..1.15).contains(&ratio), "{rows} rows: {ratio}");
    }
}

#[test]
fn a_price_makes_dollars_of_seconds_and_without_one_they_are_unknown() {
    let config = config(Precision::F32);
    let found = estimated(&config, &machine("g5.xlarge", Some(1.006)));
    let expected = found.seconds.unwrap() / 3_600.0 * 1.006;
    assert_eq!(found.cost_usd, Some(expected));
    assert_eq!(found.machine.basis, SpeedBasis::Stated);
    assert_eq!((found.fits, found.unknown), (Some(true), vec![]));
    let found = estimated(&config, &machine("g5.xlarge", None));
    assert_eq!(found.cost_usd, None);
    assert!(
        found.unknown[0].starts_with("what it costs"),
        "{:?}",
        found.unknown
    );
}

#[test]
fn a_machine_that_is_not_known_has_no_time_and_no_costs() {
    let found = estimated(&config(Precision::F32), &machine("z9.large", Some(1.0)));
    assert_eq!(
        (found.seconds, found.cost_usd, found.fits),
        (None, None, None)
    );
    assert_eq!(found.machine.basis, SpeedBasis::Unknown);
    assert!(
        found.unknown[0].contains("`z9.large`"),
        "{:?}",
        found.unknown
    );
    // A T4 has no bf16, but memory.
    let found = estimated(&config(Precision::Bf16), &machine("g4dn.xlarge", Some(1.0)));
    assert_eq!((found.seconds, found.cost_usd), (None, None));
    assert_eq!(found.fits, Some(true));
    assert!(found.unknown[0].contains("the T4"), "{:?}", found.unknown);
}

#[test]
fn what_does_not_fit_is_said() {
    let config = TrainingConfig {
        micro_batch_size: 200,
        batch_size: 200,
        ..config(Precision::F32)
    };
    assert_eq!(
        estimated(&config, &machine("g4dn.xlarge", None)).fits,
        Some(false)
    );
    assert_eq!(
        estimated(&config, &machine("p5.48xlarge", None)).fits,
        Some(true)
    );
}

#[test]
fn steps_that_are_limited_take_their_share_of_the_tokens() {
    let config = TrainingConfig {
        epochs: 3,
        max_steps: Some(45),
        ..config(Precision::F32)
    };
    let found = estimated(&config, &machine("local", None));
    assert_eq!((found.steps, found.tokens), (45, 30_112));
}
