use crate::support::{Said, Workplace};

const COMMANDS: [&str; 25] = [
    "dataset validate",
    "dataset preview",
    "dataset fix",
    "dataset stats",
    "dataset split",
    "dataset leaks",
    "dataset prepare",
    "dataset tokens",
    "train",
    "evaluate",
    "generate",
    "models list",
    "models show",
    "models init",
    "models import",
    "prices list",
    "prices show",
    "prices check",
    "compare",
    "usage",
    "budgets list",
    "budgets set",
    "budgets delete",
    "serve",
    "stop",
];

#[test]
fn every_command_has_help_with_examples() {
    let place = Workplace::new();
    for command in COMMANDS {
        let said = place.run(&format!("{command} --help"));
        said.succeeds(&[
            "Examples:",
            &format!("llmopt {command}"),
            "--json",
            "--data-dir",
        ]);
        assert!(
            !said.out.contains('\u{1b}'),
            "colours without a terminal: {}",
            said.out
        );
    }
}

#[test]
fn the_program_says_what_it_can_do_and_what_its_exit_codes_mean() {
    let said = Workplace::new().run("--help");
    said.succeeds(&[
        "dataset",
        "train",
        "evaluate",
        "models",
        "Exit codes: 0 done",
        "130",
    ]);
}

#[test]
fn a_bad_flag_is_refused_with_the_nearest_one() {
    let said = Workplace::new().run("train --base-model b --dataset d --name n --learning-rat 1");
    said.fails(
        2,
        &["unexpected argument '--learning-rat'", "--learning-rate"],
    );
}

#[test]
fn a_missing_flag_is_named() {
    Workplace::new()
        .run("train --dataset rows.jsonl")
        .fails(2, &["--base-model", "--name"]);
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_one() {
    let place = Workplace::new();
    let mut command = place.command("models list");
    command.env("LLMOPT_THREDS", "2");
    Said::of(command).fails(2, &["`LLMOPT_THREDS`", "did you mean `LLMOPT_THREADS`?"]);
}
