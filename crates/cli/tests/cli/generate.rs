use std::path::Path;

use crate::{
    serve::Server,
    support::{Said, Workplace},
};

/// A question whose answer is always the same.
const QUESTION: &str =
    "generate --model base:tiny --prompt count --max-tokens 4 --temperature 0 --seed 1";

/// A place with a small base model that answers.
fn place() -> Workplace {
    let place = Workplace::new();
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/tests/fixtures/tiny-gpt2");
    let mut command = place.command("models import --name tiny");
    command.arg(&fixture);
    Said::of(command).succeeds(&[]);
    place
}

#[test]
fn an_answer_is_on_standard_output_and_what_it_took_is_beside_it() {
    let place = place();
    let whole = place.run(QUESTION);
    whole.succeeds(&[]);
    assert!(!whole.out.trim().is_empty(), "{whole:#?}");
    assert!(whole.err.starts_with("base:tiny of llmopt: "), "{whole:#?}");
    assert!(
        whole.err.contains("4 out, no cost by the token"),
        "{whole:#?}"
    );
    // A stream has the same words.
    let streamed = place.run(&format!("{QUESTION} --stream"));
    assert_eq!(streamed.out, whole.out);
    let answer = place.run(&format!("{QUESTION} --json")).json();
    assert_eq!(answer["text"], whole.out.trim_end_matches('\n'));
    assert_eq!(answer["metadata"]["seed"], 1);
    let events = place
        .run(&format!("{QUESTION} --json --stream"))
        .json_lines();
    let (done, parts) = events.split_last().unwrap();
    assert_eq!(done["event"], "done");
    assert_eq!(done["data"]["text"], answer["text"]);
    assert!(parts.iter().all(|part| part["event"] == "text"));
}

#[test]
fn a_server_is_asked_by_its_address() {
    let place = place();
    let (_server, ready) = Server::start(&place);
    let url = ready["url"].as_str().unwrap();
    let elsewhere = Workplace::new();
    let there = elsewhere.run(&format!("{QUESTION} --url {url}"));
    assert_eq!(there.out, place.run(QUESTION).out, "{there:#?}");
    let streamed = elsewhere.run(&format!("{QUESTION} --stream --url {url}/api/v1/"));
    assert_eq!(streamed.out, there.out, "{streamed:#?}");
    elsewhere
        .run(&format!("generate --model nobody --prompt Hi --url {url}"))
        .fails(2, &["nobody", "docs/ERRORS.md", "model_not_found"]);
}

#[test]
fn the_system_and_the_conversation_so_far_are_asked_with() {
    let place = place();
    place.write(
        "talk.json",
        r#"[{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}]"#,
    );
    let asked = |flags: &str| {
        let said = place.run(&format!(
            "generate --model base:tiny --max-tokens 1 --json {flags}"
        ));
        said.json()["metrics"]["input_tokens"].as_u64().unwrap()
    };
    let alone = asked("--messages talk.json");
    assert!(alone > asked("--prompt three"));
    assert!(asked("--messages talk.json --system short") > alone);
}

#[test]
fn what_cannot_be_asked_is_said_before_anything_is_sent() {
    let place = Workplace::new();
    place.run("generate --prompt Hi").fails(2, &["--model"]);
    place
        .run("generate --model orders")
        .fails(2, &["standard input is empty", "--prompt"]);
    let mut command = place.command("generate --model orders --prompt Hi");
    command.env("LLMOPT_STORE", "aws");
    Said::of(command).fails(2, &["LLMOPT_STORE", "--url"]);
    place.write("talk.json", "{}");
    place
        .run("generate --model orders --messages talk.json")
        .fails(2, &["`talk.json` is no JSON list of messages", "role"]);
    place
        .run("generate --model orders --prompt Hi --url ftp://here")
        .fails(2, &["http://"]);
    place
        .run("generate --model orders --prompt Hi --key-file my.key")
        .fails(2, &["--url"]);
    place
        .run("generate --model orders --prompt Hi --url http://127.0.0.1:1 --key-file my.key")
        .fails(2, &["failed to read `my.key`"]);
    place
        .run("generate --model orders --prompt Hi --url http://127.0.0.1:1")
        .fails(1, &["failed to ask `http://127.0.0.1:1`", "llmopt serve"]);
    place
        .run("generate --model nobody --prompt Hi --max-tokens 0")
        .fails(2, &["/max_tokens"]);
}
