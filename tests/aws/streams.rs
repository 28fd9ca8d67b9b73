//! Answers that come bit by bit, through the real functions on a Lambda of our own: the emulator hands
//! streams on whole.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

use llmopt_lambda_harness::{FunctionSpec, Harness};
use reqwest::blocking::Response;
use serde_json::{Value, json};

use crate::account::{Account, PATIENCE, binary, example};

/// The events of an answer, as they come.
struct Events(Lines<BufReader<Response>>);

impl Events {
    fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = self.0.next()?.unwrap();
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).unwrap()));
            }
        }
    }
}

/// The functions `generate` and `inference` of an account, the second with `program`.
struct Functions {
    key: String,
    generate: Harness,
    _inference: Harness,
}

impl Functions {
    async fn start(account: &Account, program: FunctionSpec) -> Self {
        let mut inference = program.timeout(PATIENCE);
        inference.environment = account.function_environment("inference");
        let inference = Harness::builder().function(inference).start().await;
        let inference = inference.unwrap();
        let mut generate = FunctionSpec::new("generate", binary("generate")).timeout(PATIENCE);
        generate.environment = account.function_environment("generate");
        let generate = generate
            .variable("AWS_ENDPOINT_URL_LAMBDA", inference.url())
            .variable("LLMOPT_INFERENCE_FUNCTION", "inference")
            .variable("LLMOPT_LOG", "info")
            .variable("LLMOPT_LOG_FORMAT", "json");
        let generate = Harness::builder()
            .function(generate)
            .route("/api/v1/generate", "generate")
            .start()
            .await;
        Self {
            key: account.key().to_owned(),
            generate: generate.unwrap(),
            _inference: inference,
        }
    }

    fn ask(&self, question: &Value) -> Events {
        self.ask_named(question, None)
    }

    fn ask_named(&self, question: &Value, key: Option<&str>) -> Events {
        let client = reqwest::blocking::Client::builder().timeout(PATIENCE);
        let mut request = client
            .build()
            .unwrap()
            .post(format!("{}/api/v1/generate", self.generate.url()))
            .bearer_auth(&self.key)
            .json(question);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().unwrap();
        assert_eq!(response.status(), 200);
        Events(BufReader::new(response).lines())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_with_its_reader_before_the_next_is_there() {
    let Some(account) = Account::new().await else {
        return;
    };
    let gated = FunctionSpec::new("inference", example("gated_inference"));
    let functions = Functions::start(&account, gated).await;
    let read = move || {
        let gate = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = gate.local_addr().unwrap().to_string();
        let question = json!({ "model_id": "base:tiny", "prompt": address, "stream": true });
        let mut events = functions.ask(&question);
        // The rest cannot be on its way: the gate is shut.
        let first = events.next().unwrap();
        assert_eq!(first, ("text".to_owned(), json!({ "text": "one" })));
        let (mut waiting, _) = gate.accept().unwrap();
        waiting.write_all(&[1]).unwrap();
        let second = events.next().unwrap();
        assert_eq!(second, ("text".to_owned(), json!({ "text": " two" })));
        let (name, done) = events.next().unwrap();
        assert_eq!((name.as_str(), &done["text"]), ("done", &json!("one two")));
        assert_eq!(events.next(), None);
    };
    tokio::task::spawn_blocking(read).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_a_name_is_made_once_and_sent_again() {
    let Some(account) = Account::new().await else {
        return;
    };
    let gated = FunctionSpec::new("inference", example("gated_inference"));
    let functions = Functions::start(&account, gated).await;
    let read = move || {
        let gate = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = gate.local_addr().unwrap().to_string();
        let question = json!({ "model_id": "base:tiny", "prompt": address, "stream": true });
        let mut events = functions.ask_named(&question, Some("key"));
        let mut first = vec![events.next().unwrap()];
        let (mut waiting, _) = gate.accept().unwrap();
        waiting.write_all(&[1]).unwrap();
        first.extend(std::iter::from_fn(|| events.next()));
        assert_eq!(first.last().unwrap().0, "done");
        // Who would make it anew would wait at the gate, which nobody opens.
        let mut events = functions.ask_named(&question, Some("key"));
        let again: Vec<_> = std::iter::from_fn(|| events.next()).collect();
        assert_eq!(again, first);
        gate.set_nonblocking(true).unwrap();
        assert!(gate.accept().is_err());
    };
    tokio::task::spawn_blocking(read).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_streams_the_answer_that_it_gives_whole() {
    let Some(account) = Account::new().await else {
        return;
    };
    let question = |stream: bool| {
        json!({
            "model_id": "base:tiny", "prompt": "Hi", "max_tokens": 16, "temperature": 0,
            "stream": stream,
        })
    };
    let whole = account.ask("POST", "/generate", question(false)).await;
    let whole = whole.body["text"].as_str().unwrap().to_owned();
    // Each process lives through a snapshot first.
    let inference = FunctionSpec::new("inference", binary("inference")).snap_start();
    let functions = Functions::start(&account, inference).await;
    let read = move || {
        let mut events = functions.ask(&question(true));
        let mut text = String::new();
        let mut parts = 0;
        while let Some((name, data)) = events.next() {
            if name == "text" {
                parts += 1;
                text.push_str(data["text"].as_str().unwrap());
            } else {
                assert_eq!(name, "done", "{data}");
                assert_eq!(data["text"], text);
            }
        }
        assert!(parts > 1, "the answer came in {parts} part");
        assert_eq!(text, whole);
    };
    tokio::task::spawn_blocking(read).await.unwrap();
}

/// The lines with metrics that `generate` has written, once there are as many.
async fn metrics(generate: &Harness, count: usize) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let log = generate.logs("generate").unwrap();
        let lines = log.lines().filter(|line| line.starts_with("{\"_aws\":"));
        let lines: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        if lines.len() >= count {
            return lines;
        }
        assert!(began.elapsed() < PATIENCE, "{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_writes_what_it_measured_and_no_word_of_it() {
    let Some(account) = Account::new().await else {
        return;
    };
    let inference = FunctionSpec::new("inference", binary("inference"));
    let functions = Functions::start(&account, inference).await;
    let read = move || {
        let question = json!({
            "model_id": "base:tiny", "prompt": "canary-question", "max_tokens": 4,
            "temperature": 0, "stream": true,
        });
        let mut events = functions.ask(&question);
        let done = std::iter::from_fn(|| events.next()).last().unwrap();
        assert_eq!(done.0, "done");
        (functions, done.1)
    };
    let (functions, done) = tokio::task::spawn_blocking(read).await.unwrap();
    let lines = metrics(&functions.generate, 4).await;
    assert_eq!(lines.len(), 4, "{lines:?}");
    let of = |metric: &str| {
        let mut lines = lines.iter().filter(|line| line[metric].is_number());
        lines.next().unwrap()
    };
    let request = of("http.server.request.duration");
    assert_eq!(request["llmopt.route.class"], "generate");
    assert_eq!(request["llmopt.status.class"], "2xx");
    assert!(request["trace_id"].as_str().unwrap().starts_with("1-"));
    let answer = of("gen_ai.server.request.duration");
    assert_eq!(answer["gen_ai.request.model"], "base:tiny");
    let tokens = lines
        .iter()
        .filter_map(|line| line["gen_ai.client.token.usage"].as_u64());
    let told = &done["metrics"]["total_tokens"];
    assert_eq!(tokens.sum::<u64>(), told.as_u64().unwrap());
    let log = functions.generate.logs("generate").unwrap();
    assert!(
        log.contains("\"bytes\":") && log.contains("\"trace_id\":\"1-"),
        "{log}"
    );
    assert!(!log.contains("canary-question"), "{log}");
}
