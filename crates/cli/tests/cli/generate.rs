use std::{
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use llmopt_provider_mock::{Behaviour, Ended, Mock, Tokens};
use tokio::runtime::Runtime;

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

/// A provider, and what runs it.
struct Provider {
    mock: Mock,
    _runtime: Runtime,
}

impl Provider {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let mock = runtime.block_on(Mock::start(0)).unwrap();
        Self {
            mock,
            _runtime: runtime,
        }
    }

    fn command(&self, place: &Workplace, arguments: &str) -> Command {
        let mut command = place.command(arguments);
        command
            .env("OPENAI_BASE_URL", self.mock.openai_url())
            .env("OPENAI_API_KEY", "sk-canary");
        command
    }
}

#[test]
fn a_commercial_model_is_asked_and_its_cost_told_to_the_last_digit() {
    let place = Workplace::new();
    let provider = Provider::start();
    provider.mock.next(Behaviour {
        text: Some("four five".to_owned()),
        tokens: Some(Tokens {
            input: 100,
            cache_read: 20,
            output: 9,
            ..Tokens::default()
        }),
        ..Behaviour::default()
    });
    let asked = "generate --model gpt-4o-mini --prompt one --max-tokens 10";
    let said = Said::of(provider.command(&place, asked));
    said.succeeds(&[]);
    assert_eq!(said.out, "four five\n");
    // 100 x $0.15, 20 x $0.075 and 9 x $0.60 for a million each.
    let told = "gpt-4o-mini-2026-01-01 of openai: 120 tokens in, 9 out, $0.0000219, ";
    assert!(said.err.starts_with(told), "{said:#?}");
    // Without the key, nobody is asked.
    place
        .run(asked)
        .fails(1, &["openai", "provider_not_configured"]);
    assert_eq!(provider.mock.exchanges().len(), 1);
}

#[test]
fn ctrl_c_gives_the_answer_up_at_the_provider() {
    let place = Workplace::new();
    let provider = Provider::start();
    provider.mock.next(Behaviour {
        text: Some("word ".repeat(1_000)),
        event_ms: 50,
        ..Behaviour::default()
    });
    let asked = "generate --model gpt-4o-mini --prompt one --max-tokens 1000 --stream";
    let mut child = provider
        .command(&place, asked)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 5];
    let out = child.stdout.as_mut().unwrap();
    out.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"word ");
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let said = Said::from(child.wait_with_output().unwrap());
    said.fails(130, &["the answer was stopped", "is billed"]);
    while provider.mock.exchanges()[0].ended == Ended::Open {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(provider.mock.exchanges()[0].ended, Ended::Abandoned);
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
