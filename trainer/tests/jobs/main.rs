//! The trainer as `llmopt` runs it: a process that is told a job and may die at any moment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod workplace;

use std::{process::Command, thread::sleep, time::Instant};

use llmopt_artifact::{AdapterFolder, EvaluationResults, Manifest, ModelFolder, TrainingMetadata};
use llmopt_domain::{Method, TrainingConfig};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use workplace::{Ended, Workplace, terminate, wait_for_event};

/// Everything that the seed and the step have to restore is in use: dropout, several epochs, batches
/// that end in a smaller one, a schedule, moments.
fn config(method: Method) -> TrainingConfig {
    let mut config = TrainingConfig {
        method,
        learning_rate: 2e-3,
        epochs: 8,
        batch_size: 5,
        micro_batch_size: 2,
        dropout: 0.1,
        warmup_ratio: 0.1,
        checkpoint_steps: Some(3),
        keep_checkpoints: 2,
        threads: 1,
        evaluation_max_new_tokens: 4,
        ..TrainingConfig::default()
    };
    config.lora.dropout = 0.1;
    config.lora.rank = 4;
    config
}

/// Kills the trainer with SIGKILL ten times in all, at random moments of its life, going on each
/// time, and holds what it publishes in the end against a run that nobody disturbed.
fn killed_runs_publish_the_same_bytes(method: Method) {
    let undisturbed = Workplace::new(config(method));
    let began = Instant::now();
    undisturbed.run(&[]).succeeds();
    let whole = began.elapsed();
    let expected = undisturbed.weights();

    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut kills, mut resumed_from) = (0, 0);
    while kills < 10 {
        let place = Workplace::new(config(method));
        while kills < 10 && !place.is_published() {
            let mut trainer = place.command(&["--resume"]).spawn().unwrap();
            // A share of the whole run, so that set-up, steps, checkpoints and publishing are all hit.
            sleep(whole.mul_f64(random.next_u32() as f64 / f64::from(u32::MAX)));
            trainer.kill().unwrap();
            // A process that had ended by itself was not killed.
            kills += u32::from(!trainer.wait().unwrap().success());
            resumed_from += u32::from(!place.checkpoints().is_empty());
        }
        place.run(&["--resume"]).succeeds();
        assert_eq!(place.weights(), expected, "after {kills} kills");
        assert_eq!(place.checkpoints(), [""; 0], "a published job keeps none");
        assert_eq!(place.versions(), ["1"]);
    }
    // Otherwise nothing was tested.
    assert!(resumed_from > 0, "no kill left a checkpoint behind");
}

#[test]
fn a_lora_run_killed_at_random_moments_publishes_the_same_bytes() {
    killed_runs_publish_the_same_bytes(Method::Lora);
}

#[test]
fn a_full_run_killed_at_random_moments_publishes_the_same_bytes() {
    killed_runs_publish_the_same_bytes(Method::Full);
}

#[test]
fn a_run_that_is_asked_to_stop_saves_and_goes_on_to_the_same_bytes() {
    let undisturbed = Workplace::new(config(Method::Lora));
    undisturbed.run(&[]).succeeds();

    let place = Workplace::new(TrainingConfig {
        checkpoint_steps: None,
        ..config(Method::Lora)
    });
    let mut trainer = place.command(&[]).spawn().unwrap();
    wait_for_event(&mut trainer, "step");
    terminate(&trainer);
    assert_eq!(trainer.wait().unwrap().code(), Some(3));
    assert_eq!(place.checkpoints().len(), 1);
    place.run(&[]).fails(2, "already has a checkpoint");
    place.run(&["--resume"]).succeeds();
    // When checkpoints are taken is no part of what is learnt.
    assert_eq!(place.weights(), undisturbed.weights());
}

#[test]
fn a_published_folder_is_whole() {
    let place = Workplace::new(config(Method::Lora));
    place.run(&[]).succeeds();
    let folder = place.published();
    Manifest::read(&folder).unwrap().verify(&folder).unwrap();
    AdapterFolder::open(&folder.join("adapter")).unwrap();
    ModelFolder::open(&folder).unwrap();
    // Beside the merged weights transformers would take it for one to be put on them again.
    assert!(!folder.join("adapter_config.json").exists());
    let results = EvaluationResults::read(&folder).unwrap();
    assert!(results.before.unwrap().loss > results.after.loss);
    for file in [
        "README.md",
        "config.json",
        "generation_config.json",
        "manifest.json",
        "template_lock.json",
        "tokenizer.json",
        "training_metadata.json",
    ] {
        assert!(folder.join(file).is_file(), "{file}");
    }
}

/// Texts are longer than the model's context, and teach it all the same.
#[test]
fn plain_text_is_trained_on_in_sequences_and_goes_on_to_the_same_bytes() {
    let text = |from: u32| {
        let text: String = (from..from + 40)
            .map(|n| format!("{n}? {} ", n * n))
            .collect();
        format!("{{\"text\":\"{}\"}}\n", text.trim())
    };
    let texts = || [(0..6).map(text).collect(), text(7)];
    let config = || TrainingConfig {
        max_length: Some(24),
        ..config(Method::Full)
    };
    let undisturbed = Workplace::on(config(), texts());
    undisturbed.run(&[]).succeeds();
    let folder = undisturbed.published();
    let results = EvaluationResults::read(&folder).unwrap();
    assert!(results.before.unwrap().loss > results.after.loss);
    // Nothing was asked that could be right.
    assert_eq!(results.after.exact_match, None);
    let metadata = TrainingMetadata::read(&folder).unwrap();
    assert!(metadata.rows.training > 6, "{:?}", metadata.rows);
    assert_eq!(metadata.rows.dropped, 0);
    let lock = std::fs::read_to_string(folder.join("template_lock.json")).unwrap();
    assert!(lock.contains("\"is_plain\": true"), "{lock}");

    let place = Workplace::on(config(), texts());
    let mut trainer = place.command(&[]).spawn().unwrap();
    wait_for_event(&mut trainer, "step");
    terminate(&trainer);
    assert_eq!(trainer.wait().unwrap().code(), Some(3));
    place.run(&["--resume"]).succeeds();
    assert_eq!(place.weights(), undisturbed.weights());
}

#[test]
fn a_job_that_was_published_is_not_trained_again() {
    let place = Workplace::new(config(Method::Lora));
    place.run(&[]).succeeds();
    let again = place.run(&[]).succeeds();
    assert_eq!(again, ["published"]);
    assert_eq!(place.versions(), ["1"]);
}

#[test]
fn a_disk_that_takes_no_more_leaves_nothing_half_written() {
    let place = Workplace::new(config(Method::Full));
    // Files of more than 64 blocks of 512 bytes are refused, as a full disk would: the weights are larger.
    let mut command = Command::new("sh");
    let trainer = place.command(&[]);
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"])
        .arg(trainer.get_program())
        .args(trainer.get_args());
    Ended::from(command.output().unwrap()).fails(1, "state.safetensors");
    assert_eq!(place.checkpoints(), [""; 0]);
    assert_eq!(place.versions(), [""; 0]);
    // With room again the same job runs to its end.
    place.run(&["--resume"]).succeeds();
}

#[test]
fn a_tensor_of_the_wrong_shape_is_named() {
    let place = Workplace::new(config(Method::Lora));
    place.edit_base_config("n_embd", 96.into());
    place.run(&[]).fails(2, "`wte.weight`");
    place
        .run(&[])
        .fails(2, "has shape [320, 48]; expected [320, 96]");
    assert_eq!(place.versions(), [""; 0]);
}

#[test]
fn a_model_with_an_output_layer_of_its_own_is_refused() {
    let place = Workplace::new(config(Method::Lora));
    place.untie_base();
    place.run(&[]).fails(2, "tie_word_embeddings");
}

/// The tokenizers' library prints a warning on standard output where ids are nobody's.
#[test]
fn what_libraries_print_is_no_event() {
    let place = Workplace::new(TrainingConfig {
        max_steps: Some(6),
        ..config(Method::Lora)
    });
    place.leave_a_gap_in_the_vocabulary();
    let ended = place.run(&[]);
    assert!(
        ended.errors.contains("holes for indices"),
        "{}",
        ended.errors
    );
    ended.succeeds();
    assert!(place.is_published());
}
