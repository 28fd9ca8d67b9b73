use clap::{Command, CommandFactory, Parser};

use std::fs;

use super::*;

#[derive(Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    flags: ConfigFlags,
}

fn resolve(arguments: &[&str]) -> Result<TrainingConfig, Failure> {
    let arguments = ["test"].iter().chain(arguments);
    Arguments::try_parse_from(arguments)
        .unwrap()
        .flags
        .resolve(5)
}

fn config_file(json: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, json).unwrap();
    file
}

fn resolve_file(json: &str, arguments: &[&str]) -> Result<TrainingConfig, Failure> {
    let file = config_file(json);
    let path = file.path().to_str().unwrap();
    resolve(&[&["--config", path], arguments].concat())
}

/// The flag of each key of the configuration, with the key's default.
fn flags_and_defaults() -> Vec<(String, Value)> {
    let defaults = to_object(&TrainingConfig::default()).unwrap();
    let mut flags = Vec::new();
    for (key, value) in defaults {
        match value {
            Value::Object(lora) => {
                flags.extend(
                    lora.into_iter()
                        .map(|(name, value)| (format!("lora-{name}"), value)),
                );
            }
            value => flags.push((key, value)),
        }
    }
    flags
        .iter()
        .map(|(name, value)| (name.replace('_', "-"), value.clone()))
        .collect()
}

fn help(command: &Command, flag: &str) -> String {
    let argument = command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(flag));
    let argument = argument.unwrap_or_else(|| panic!("no flag --{flag}"));
    argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[test]
fn every_key_has_a_flag_whose_help_states_its_default() {
    let command = Arguments::command();
    for (flag, default) in flags_and_defaults() {
        let help = help(&command, &flag);
        let default = match default {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Array(items) => items
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        };
        // The machine decides how many threads there are.
        let stated = flag == "threads"
            || help.contains(&format!("[default: {default}]"))
            || help.contains(&format!("[default: {default},"));
        assert!(stated, "--{flag}: {default} not in {help}");
    }
}

#[test]
fn without_flags_the_defaults_hold_with_the_machines_threads() {
    let expected = TrainingConfig {
        threads: 5,
        ..TrainingConfig::default()
    };
    assert_eq!(resolve(&[]).unwrap(), expected);
    assert!(ConfigFlags::default().is_empty().unwrap());
}

#[test]
fn every_flag_reaches_its_key() {
    let arguments = "--method lora --lora-rank 4 --lora-alpha 8 --lora-dropout 0.1 \
         --lora-target-modules c_attn,c_fc --learning-rate 1e-3 --weight-decay 0.01 --beta1 0.8 --beta2 0.9 \
         --epsilon 1e-6 --max-gradient-norm 2 --schedule cosine --warmup-ratio 0.1 --epochs 2 --max-steps 7 \
         --batch-size 8 --micro-batch-size 2 --max-length 64 --overlong drop --dropout 0.2 --precision bf16 \
         --seed 1 --checkpoint-seconds 9 --checkpoint-steps 3 --keep-checkpoints 1 --threads 3 \
         --evaluation-max-new-tokens 12";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let resolved = to_object(&resolve(&arguments).unwrap()).unwrap();
    let defaults = to_object(&TrainingConfig {
        threads: 5,
        ..TrainingConfig::default()
    })
    .unwrap();
    for (key, value) in &resolved {
        let is_default = defaults[key] == *value;
        assert_eq!(
            is_default,
            ["method", "chat_template"].contains(&key.as_str()),
            "{key}: {value}"
        );
    }
    let lora = resolved["lora"].as_object().unwrap();
    assert!(
        lora.iter()
            .all(|(key, value)| defaults["lora"][key] != *value),
        "{lora:?}"
    );
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let json = r#"{"epochs": 9, "seed": 3, "lora": {"rank": 8}}"#;
    let config = resolve_file(json, &["--epochs", "1", "--lora-alpha", "4"]).unwrap();
    assert_eq!((config.epochs, config.seed), (1, 3));
    assert_eq!((config.lora.rank, config.lora.alpha), (8, 4.0));
}

#[test]
fn an_unknown_key_is_refused_by_name_with_the_nearest_one() {
    let error = resolve_file(r#"{"learning_rat": 1}"#, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("unknown key `learning_rat`"), "{error}");
    assert!(error.contains("did you mean `learning_rate`?"), "{error}");
    let error = resolve_file(r#"{"lora": {"r": 1}}"#, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("unknown key `lora.r`"), "{error}");
    let error = resolve_file(r#"{"gradient_accumulation_steps": 1}"#, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("the keys are method, lora,"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_is_refused_by_the_name_of_its_key() {
    let error = resolve_file(r#"{"seed": 1, "epochs": "three"}"#, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("key `epochs`: invalid type"), "{error}");
    let error = resolve_file(r#"{"lora": {"alpha": "x"}}"#, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("key `lora.alpha`"), "{error}");
    let error = resolve_file("[1]", &[]).unwrap_err().to_string();
    assert!(error.contains("expected one JSON object"), "{error}");
}

#[test]
fn micro_batches_shrink_with_the_batch_unless_they_were_asked_for() {
    assert_eq!(resolve(&["--batch-size", "2"]).unwrap().micro_batch_size, 2);
    let config = resolve_file(r#"{"micro_batch_size": 3}"#, &["--batch-size", "2"]).unwrap();
    assert_eq!(config.micro_batch_size, 3);
    assert!(config.validate().is_err());
}

#[test]
fn a_flag_that_nothing_would_read_is_refused() {
    let error = resolve(&["--method", "full", "--lora-rank", "4"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("`--lora-rank` has no effect"), "{error}");
}

#[test]
fn a_chat_template_is_read_from_its_file() {
    let file = config_file("{{ messages }}");
    let config = resolve(&["--chat-template", file.path().to_str().unwrap()]).unwrap();
    assert_eq!(config.chat_template.as_deref(), Some("{{ messages }}"));
}

#[test]
fn what_is_no_number_is_refused() {
    for text in ["nan", "inf", "x"] {
        assert!(
            Arguments::try_parse_from(["test", "--learning-rate", text]).is_err(),
            "{text}"
        );
    }
}
