use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Said, Workplace, rows};

const PREPARE: &str = "dataset prepare rows.jsonl --base-model base";

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_prepared_dataset_is_a_folder_that_is_not_overwritten_unasked() {
    let place = Workplace::with_base();
    let prepare = format!("{PREPARE} --output out");
    place
        .run(&prepare)
        .succeeds(&["12 rows were written in `out`", "trained on"]);
    let expected = [
        "data-00000-of-00001.arrow",
        "dataset_info.json",
        "manifest.json",
        "state.json",
    ];
    assert_eq!(names(&place.path("out")), expected);
    let refused = place.run(&prepare);
    refused.fails(2, &["`out` exists", "next: ", "`--force`"]);
    place.write("rows.jsonl", &rows(13));
    place
        .run(&format!("{prepare} --force"))
        .succeeds(&["13 rows"]);
    place
        .run(&format!("{PREPARE} --output base --force"))
        .fails(2, &["`base` is no prepared dataset"]);
}

#[test]
fn a_summary_counts_what_was_written() {
    let place = Workplace::with_base();
    let output = "--output out.parquet --pad 8 --json";
    let said = place.run(&format!("{PREPARE} {output}")).json();
    assert_eq!(said["path"], "out.parquet");
    assert_eq!(
        (&said["origin"], &said["damage"]),
        (&"made".into(), &().into())
    );
    assert_eq!(said["summary"]["rows"], 12);
    assert_eq!(said["inputs"]["options"]["format"], "parquet");
    assert_eq!(said["inputs"]["options"]["max_length"], 64);
    let count = |name: &str| said["summary"][name].as_u64().unwrap();
    assert!(count("trainable_tokens") > 12 && count("trainable_tokens") < count("tokens"));
    assert_eq!((count("tokens") + count("padding_tokens")) % 8, 0);
    assert!(place.path("out.parquet").is_file());
}

#[test]
fn a_dataset_without_an_output_is_prepared_once() {
    let place = Workplace::with_base();
    let first = place.run(&format!("{PREPARE} --json")).json();
    let second = place.run(&format!("{PREPARE} --json")).json();
    assert_eq!(
        (&first["origin"], &second["origin"]),
        (&"made".into(), &"found".into())
    );
    assert_eq!(first["path"], second["path"]);
    place.run(PREPARE).succeeds(&["12 rows are there already"]);
    fs::write(
        Path::new(first["path"].as_str().unwrap()).join("state.json"),
        "",
    )
    .unwrap();
    place.run(PREPARE).succeeds(&[
        "is damaged and was made anew",
        "`state.json` is not what was written",
    ]);
}

#[test]
fn rows_that_are_too_long_are_refused_left_out_or_cut() {
    let place = Workplace::with_base();
    let long =
        "{\"prompt\": \"count 12, and 13, and 14\", \"response\": \"it is 12, and so on\"}\n";
    place.write("rows.jsonl", &(rows(12) + long));
    let lengths = place.run(&format!("{PREPARE} --json")).json();
    let longest = lengths["summary"]["longest"].as_u64().unwrap() - 1;
    let shorter = format!("{PREPARE} --max-length {longest}");
    let refused = place.run(&shorter);
    refused.fails(
        2,
        &[
            "`rows.jsonl`, row 13",
            &format!("expected at most {longest} tokens"),
            "dropped",
        ],
    );
    place.run(&format!("{shorter} --overlong drop")).succeeds(&[
        "12 rows",
        &format!("longer than {longest} tokens that were left out: 1"),
    ]);
    place
        .run(&format!("{shorter} --overlong truncate"))
        .succeeds(&[&format!(
            "rows longer than {longest} tokens that were cut off there: 1"
        )]);
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let place = Workplace::with_base();
    place
        .run(&format!("{PREPARE} --output out.parquet --format arrow"))
        .fails(2, &["the output ends in `.parquet`"]);
    place
        .run(&format!("{PREPARE} --pad 0"))
        .fails(2, &["--pad", "`max-length`"]);
    place
        .run(&format!("{PREPARE} --max-length 60 --pad 8"))
        .fails(2, &["`60` tokens", "multiple of 8"]);
    place
        .run(&format!("{PREPARE} --force"))
        .fails(2, &["--output"]);
}

/// Sends `signal` to a command as soon as `is_due`.
fn interrupted(mut command: Command, signal: Signal, is_due: impl Fn() -> bool) -> Said {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    while !is_due() {
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_preparation_that_is_stopped_leaves_nothing() {
    let place = Workplace::with_base();
    place.write("rows.jsonl", &rows(300_000));
    let is_left = || {
        let names = names(&place.path(""));
        names
            .iter()
            .any(|name| name.starts_with('.') || name == "out")
    };
    for signal in [Signal::INT, Signal::TERM] {
        let command = place.command(&format!("{PREPARE} --output out"));
        let said = interrupted(command, signal, is_left);
        assert_eq!(said.code, Some(130), "{said:#?}");
        assert!(said.err.contains("nothing was kept"), "{said:#?}");
        assert!(!is_left());
    }
}

#[test]
fn a_dataset_is_divided_by_shares_and_never_twice_into_one_folder() {
    let place = Workplace::new();
    place.write("rows.jsonl", &rows(100));
    let split = "dataset split rows.jsonl --output out --shares train=0.8,validation=0.2 --seed 7";
    place.run(split).succeeds(&[
        "80 rows in `out/train.jsonl`",
        "20 rows in `out/validation.jsonl`",
        "of 20 held-out rows, 0 are the same as one of 80 that are trained on",
    ]);
    assert_eq!(
        names(&place.path("out")),
        ["split.json", "train.jsonl", "validation.jsonl"]
    );
    place.run(split).fails(2, &["`out` exists"]);
    let again = place.run(
        "dataset split rows.jsonl --output again --shares train=8,validation=2 --seed 7 --json",
    );
    assert_eq!(again.json()["splits"]["validation"]["rows"], 20);
    let files = ["out/validation.jsonl", "again/validation.jsonl"];
    let [one, other] = files.map(|file| fs::read(place.path(file)).unwrap());
    assert_eq!(one, other);
    place
        .run("dataset split rows.jsonl --output none --shares train=0.9,dev=0.1")
        .fails(2, &["`dev=0.1` is no share"]);
}

#[test]
fn leaks_between_two_files_end_with_an_exit_code_of_their_own() {
    let place = Workplace::new();
    place.write("held-out.jsonl", &rows(40)[rows(38).len()..]);
    place
        .run("dataset leaks rows.jsonl held-out.jsonl")
        .succeeds(&["of 2 held-out rows, 0 are the same as one of 12"]);
    place.write("held-out.jsonl", &rows(3));
    let said = place.run("dataset leaks rows.jsonl held-out.jsonl");
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.out.contains("3 are the same"), "{said:#?}");
    let said = place
        .run("dataset leaks rows.jsonl held-out.jsonl --json")
        .json();
    assert_eq!(
        (&said["same"], &said["leaks"][2]["train_row"]),
        (&3.into(), &3.into())
    );
}

#[test]
fn tokens_are_counted_as_a_provider_does_and_estimates_are_called_so() {
    let place = Workplace::new();
    let exact = place.run("dataset tokens rows.jsonl --json").json();
    assert_eq!(
        (&exact["is_exact"], &exact["rows"]),
        (&true.into(), &12.into())
    );
    // Of each row: two messages of 3 and a role, `count N` and `it is N`, and what asks.
    assert_eq!(
        exact["tokens"],
        12 * (2 * (3 + 1) + (1 + 1 + 1) + (2 + 1 + 1) + 3)
    );
    place
        .run("dataset tokens rows.jsonl --model claude-sonnet-4-5")
        .succeeds(&["an estimate", "characters / 3.5"]);
    let place = Workplace::with_base();
    place
        .run("dataset tokens rows.jsonl --model base")
        .succeeds(&["the model's own", "exact"]);
    place
        .run("dataset tokens rows.jsonl --model text-davinci-003")
        .fails(2, &["`text-davinci-003` takes no messages"]);
}
