use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Said, Workplace, rows};

const TRAIN: &str = "train --base-model base --dataset rows.jsonl --name orders";

#[test]
fn a_job_is_trained_and_published() {
    let place = Workplace::with_base();
    let said = place.run(&format!("{TRAIN} --eval-dataset rows.jsonl"));
    said.succeeds(&[
        "12 rows",
        "tokenizing ...",
        "3 steps on cpu, training 100 of 1,000 parameters",
        "1/3 loss 1.0000, 300 tokens/s, 1 MiB, 2.0 s left",
        "3/3 loss 0.3333",
        "exact match 0.500",
        "published version 1 of `ft:base:orders`",
        "llmopt models show orders",
    ]);
    assert!(
        !said.out.contains('\u{1b}') && said.err.is_empty(),
        "{said:#?}"
    );
}

#[test]
fn a_job_trains_on_mapped_columns_and_another_map_is_another_job() {
    const TRAIN: &str = "train --base-model base --dataset fragen.jsonl --name orders";
    let place = Workplace::with_base();
    let german = rows(12).replace("prompt", "frage");
    place.write("fragen.jsonl", &german);
    place.run(TRAIN).fails(2, &["unknown_columns"]);
    let mapped = format!("{TRAIN} --columns prompt=frage");
    place
        .run(&format!("{mapped} --eval-dataset fragen.jsonl"))
        .succeeds(&["12 rows", "published version 1"]);
    place
        .run(&format!("{mapped} --eval-dataset rows.jsonl"))
        .fails(2, &["expected a column `frage` for `prompt`"]);
    place
        .run(&format!(
            "{mapped} --eval-dataset rows.jsonl --eval-columns prompt=prompt"
        ))
        .succeeds(&["published version 2"]);
    place
        .run(&format!("{TRAIN} --columns prompt=response,response=frage"))
        .succeeds(&["published version 3"]);
    place
        .run("evaluate base --dataset fragen.jsonl --columns prompt=frage")
        .succeeds(&["loss"]);
}

#[test]
fn events_pass_through_as_json_lines() {
    let place = Workplace::with_base();
    let events = place.run(&format!("{TRAIN} --json")).json_lines();
    let names: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(
        names,
        ["preparing", "started", "step", "step", "step", "published"]
    );
}

#[test]
fn a_job_can_be_estimated_and_is_not_trained_then() {
    let place = Workplace::with_base();
    let said = place.run(&format!("{TRAIN} --estimate --usd-per-hour 1.5"));
    said.succeeds(&[
        "3 steps",
        "by what another machine did: it may be several times faster or slower",
        "weights",
    ]);
    let estimate = place.run(&format!("{TRAIN} --estimate --json")).json();
    assert_eq!(
        (&estimate["rows"], &estimate["steps"], &estimate["fits"]),
        (&12.into(), &3.into(), &true.into())
    );
    assert!(estimate["seconds"].as_f64().unwrap() > 0.0, "{estimate}");
    // What is not known is said, and is never zero.
    assert!(estimate.get("cost_usd").is_none(), "{estimate}");
    let unknown = estimate["unknown"][0].as_str().unwrap();
    assert!(unknown.starts_with("what it costs"), "{unknown}");

    let elsewhere = place.run(&format!("{TRAIN} --estimate --machine z9.large"));
    elsewhere.succeeds(&["z9.large, of unknown speed"]);
    assert!(
        elsewhere.err.contains("`z9.large` is not in the table"),
        "{elsewhere:?}"
    );
    place.run("models list").succeeds(&["no models in"]);

    // A model that was trained here tells how fast this machine is.
    place.run(TRAIN).succeeds(&[]);
    let after = place.run(&format!("{TRAIN} --estimate --json")).json();
    assert_eq!(
        (&after["machine"]["basis"], &after["machine"]["recorded"]),
        (&"recorded".into(), &"ft:base:orders:1".into())
    );
}

#[test]
fn an_identical_job_is_not_trained_again() {
    let place = Workplace::with_base();
    place.run(TRAIN).succeeds(&[]);
    place
        .run(TRAIN)
        .succeeds(&["this very job was published before, as version 1"]);
    let again = place.run(&format!("{TRAIN} --json")).json();
    assert_eq!(
        (&again["event"], &again["version"]),
        (&"published".into(), &1.into())
    );
    // Another seed makes another job, and the next version.
    place
        .run(&format!("{TRAIN} --seed 1"))
        .succeeds(&["published version 2"]);
}

#[test]
fn a_stopped_job_goes_on_only_where_it_is_asked_to() {
    let place = Workplace::with_base();
    let stopped = place.run_mode("interrupt", TRAIN);
    stopped.fails(
        130,
        &["saved a checkpoint after step 1", "llmopt train --resume "],
    );
    place.run(TRAIN).fails(
        2,
        &["was stopped after step 1", "`--resume`", "`--restart`"],
    );
    place
        .run(&format!("{TRAIN} --resume"))
        .succeeds(&["going on after step 1", "published version 1"]);
}

#[test]
fn the_last_stopped_job_and_one_by_its_id_are_found() {
    let place = Workplace::with_base();
    place
        .run("train --resume")
        .fails(2, &["no unfinished job to resume"]);
    let stopped = place.run_mode("interrupt", TRAIN);
    let id = stopped.err.split("--resume ").nth(1).unwrap()[..12].to_owned();
    place
        .run("train --resume 0123456789ab")
        .fails(2, &["no unfinished job `0123456789ab`"]);
    place
        .run_mode("interrupt", &format!("{TRAIN} --seed 9"))
        .fails(130, &[]);
    place
        .run(&format!("train --resume {id}"))
        .succeeds(&["going on after step 1"]);
    place
        .run("train --resume")
        .succeeds(&["published version 2"]);
    place.run("train --resume").fails(2, &["no unfinished job"]);
}

#[test]
fn a_stopped_job_can_begin_anew() {
    let place = Workplace::with_base();
    place.run_mode("interrupt", TRAIN).fails(130, &[]);
    let said = place.run(&format!("{TRAIN} --restart"));
    said.succeeds(&["published version 1"]);
    assert!(!said.out.contains("going on"), "{said:#?}");
}

#[test]
fn a_job_whose_dataset_changed_does_not_go_on() {
    let place = Workplace::with_base();
    place.run_mode("interrupt", TRAIN).fails(130, &[]);
    place.write("rows.jsonl", &rows(13));
    place
        .run("train --resume")
        .fails(2, &["rows.jsonl` is not what it was", "next:"]);
}

#[test]
fn a_configuration_does_not_change_while_a_job_goes_on() {
    let place = Workplace::with_base();
    place.run_mode("interrupt", TRAIN).fails(130, &[]);
    place
        .run("train --resume --epochs 9")
        .fails(2, &["cannot change while it goes on"]);
}

#[test]
fn ctrl_c_waits_for_the_checkpoint_and_says_how_to_go_on() {
    let place = Workplace::with_base();
    let mut command = place.command(&format!("{TRAIN} --json"));
    command
        .env("FAKE_TRAINER", "wait")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let stepped = lines
        .by_ref()
        .any(|line| line.unwrap().contains("\"step\""));
    assert!(stepped);
    // The fake trainer listens after its step.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.last().unwrap().contains("interrupted"), "{rest:?}");
    Said::from(child.wait_with_output().unwrap()).fails(
        130,
        &["saved a checkpoint after step 1", "llmopt train --resume "],
    );
}

#[test]
fn two_processes_do_not_work_on_one_job() {
    let place = Workplace::with_base();
    let mut command = place.command(&format!("{TRAIN} --json"));
    command
        .env("FAKE_TRAINER", "wait")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .by_ref()
            .any(|line| line.unwrap().contains("\"step\""))
    );
    place
        .run(TRAIN)
        .fails(1, &["is being worked on by another process"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    kill_process(
        Pid::from_raw(child.id().cast_signed()).unwrap(),
        Signal::INT,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_trainer_that_fails_has_said_why() {
    let place = Workplace::with_base();
    let said = place.run_mode("fail", TRAIN);
    said.fails(1, &["error: step 1 gave loss NaN"]);
    assert_eq!(said.err.matches("error").count(), 1, "{said:#?}");
}

#[test]
fn a_trainer_that_speaks_otherwise_is_not_trusted() {
    let place = Workplace::with_base();
    place
        .run_mode("babble", TRAIN)
        .fails(1, &["`this is no event`", "next:"]);
}

#[test]
fn a_trainer_that_is_not_there_is_named() {
    let place = Workplace::with_base();
    let mut command = place.command(TRAIN);
    command.env("LLMOPT_TRAINER", "/no/trainer");
    Said::of(command).fails(2, &["no trainer at `/no/trainer`", "LLMOPT_TRAINER"]);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let place = Workplace::with_base();
    place.write("training.json", r#"{"learning_rat": 0.1}"#);
    let said = place.run(&format!("{TRAIN} --config training.json"));
    said.fails(
        2,
        &[
            "unknown key `learning_rat`",
            "did you mean `learning_rate`?",
        ],
    );
}

#[test]
fn a_value_out_of_range_is_named_with_its_range() {
    let place = Workplace::with_base();
    place
        .run(&format!("{TRAIN} --lora-rank 0"))
        .fails(2, &["`lora.rank` is `0`: expected 1 to 256"]);
}

#[test]
fn a_broken_dataset_stops_the_job_with_its_row() {
    let place = Workplace::with_base();
    place.write("rows.jsonl", &rows(12).replace("it is 4", ""));
    let said = place.run(TRAIN);
    said.fails(
        2,
        &[
            "not fit to train on",
            "row 5",
            "llmopt dataset validate rows.jsonl",
        ],
    );
    place.write("rows.jsonl", &rows(4));
    place.run(TRAIN).fails(2, &["not fit to train on", "10"]);
    assert!(!place.path("data/jobs").exists());
}

#[test]
fn rows_that_are_too_long_stop_the_job_by_their_numbers() {
    let place = Workplace::with_base();
    let long = format!("it is {}", "very ".repeat(100));
    place.write("rows.jsonl", &rows(12).replace("it is 7", &long));
    let said = place.run(TRAIN);
    said.fails(
        2,
        &["row 8: expected at most 64 tokens", "`overlong`", "`drop`"],
    );
    place
        .run(&format!("{TRAIN} --overlong drop"))
        .succeeds(&["leaving out 1 row"]);
}

#[test]
fn a_text_that_would_become_a_control_token_is_refused_by_its_row() {
    let place = Workplace::with_base();
    place.write("rows.jsonl", &rows(12).replace("it is 7", "<|endoftext|>"));
    place.run(TRAIN).fails(2, &["row 8", "<|endoftext|>"]);
}

#[test]
fn a_base_folder_that_lacks_a_file_is_refused() {
    let place = Workplace::with_base();
    for file in ["model.safetensors", "config.json", "tokenizer.json"] {
        let path = place.path("base").join(file);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        place.run(TRAIN).fails(2, &[file]);
        fs::write(&path, kept).unwrap();
    }
}
