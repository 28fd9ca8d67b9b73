//! Secrets, questions, answers and rows are in no log line, trace or metric, and in no refusal that does not owe
//! them to its caller.

use std::{
    fs,
    process::{Command, Stdio},
};

use reqwest::{
    Method,
    blocking::{Client, RequestBuilder, Response},
};
use serde_json::{Value, json};

use crate::{
    collector::Collector,
    scrape::Scrape,
    server::{Place, Server},
};

/// Texts that must not be found, each with what it stands for.
#[derive(Default)]
struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// Makes a text of letters and digits, which every format writes as it is.
    fn plant(&mut self, what: &str) -> String {
        let letters: String = what.chars().filter(char::is_ascii_alphanumeric).collect();
        let text = format!("canary{letters}{:04}x7q", self.0.len());
        self.0.push((what.to_owned(), text.clone()));
        text
    }

    fn add(&mut self, what: &str, text: &str) {
        assert!(text.len() >= 8, "`{text}` may be anywhere");
        self.0.push((what.to_owned(), text.to_owned()));
    }

    /// Says which are there, as they are or as the bytes that a debugger shows.
    fn found_in(&self, place: &[u8]) -> Vec<&str> {
        let is_there = |text: &str| {
            let numbers: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
            let numbers = numbers.join(", ");
            [text, &numbers].iter().any(|form| contains(place, form))
        };
        let found = self.0.iter().filter(|(_, text)| is_there(text));
        found.map(|(what, _)| what.as_str()).collect()
    }
}

fn contains(place: &[u8], text: &str) -> bool {
    place
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// A server that tells everything it ever tells, and what it told.
struct Told {
    place: Place,
    collector: Collector,
    server: Server,
    key: String,
    refusals: Vec<(String, String)>,
    metrics: String,
}

impl Told {
    fn start(canaries: &mut Canaries) -> Self {
        let place = Place::new();
        let collector = Collector::start();
        let key = create_key(&place);
        // Of `llmopt_ID_SECRET`, the id is no secret, and either may have a `_` in it.
        canaries.add("the key's secret", &key["llmopt_".len() + 12 + 1..]);
        let server = place.start(command(&place, &collector, canaries));
        Self {
            place,
            collector,
            server,
            key,
            refusals: Vec::new(),
            metrics: String::new(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = Client::new().request(method, self.server.at(path));
        request.bearer_auth(&self.key)
    }

    fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().unwrap()
    }

    fn done(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert!(
            answer.status().is_success(),
            "{path}: {}",
            answer.text().unwrap()
        );
        answer.json().unwrap()
    }

    /// Keeps what a refusal says.
    fn refused(&mut self, what: &str, answer: Response) {
        assert!(
            answer.status().is_client_error(),
            "{what}: {}",
            answer.status()
        );
        self.refusals
            .push((what.to_owned(), answer.text().unwrap()));
    }

    fn upload(&self, name: &str, text: String) -> Value {
        let path = format!("/datasets?name={name}");
        let sent = self.request(Method::POST, &path).body(text).send().unwrap();
        sent.json().unwrap()
    }

    fn wait_for_job(&self, id: &str) {
        let request = self.request(Method::GET, &format!("/training/jobs/{id}/events"));
        let events = self.server.stream(request);
        assert_eq!(events.last().unwrap().0, "succeeded", "{events:?}");
    }

    fn end(&mut self) {
        let scraped = Client::new().get(format!("{}/metrics", self.server.url));
        let scraped = scraped.bearer_auth(&self.key).send().unwrap();
        self.metrics = Scrape::read(&scraped.text().unwrap()).text;
        assert_eq!(self.server.terminate(), Some(0));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.path("log")).unwrap()
    }
}

fn create_key(place: &Place) -> String {
    let mut command = place.llmopt();
    command.args(["keys", "create", "--name", "tests", "--scope", "admin"]);
    let created = command.output().unwrap();
    assert!(created.status.success());
    String::from_utf8(created.stdout).unwrap().trim().to_owned()
}

/// A server with secrets in its environment that tells all it can.
fn command(place: &Place, collector: &Collector, canaries: &mut Canaries) -> Command {
    let mut command = place.llmopt();
    let header = canaries.plant("the collector's key");
    command
        .args(["serve", "--json", "--listen", "127.0.0.1:0"])
        .env("LLMOPT_LOG", "trace")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)
        .env("OTEL_EXPORTER_OTLP_HEADERS", format!("api-key={header}"))
        .env(
            "HF_TOKEN",
            format!("hf_{}", canaries.plant("the Hub's token")),
        )
        .env(
            "OPENAI_API_KEY",
            format!("sk-{}", canaries.plant("a provider's key")),
        )
        .env(
            "ANTHROPIC_API_KEY",
            canaries.plant("another provider's key"),
        )
        .env(
            "AWS_SECRET_ACCESS_KEY",
            canaries.plant("the account's secret"),
        )
        .stderr(Stdio::from(fs::File::create(place.path("log")).unwrap()));
    command
}

fn rows(canary: &str) -> String {
    let rows = (0..24)
        .map(|n| format!("{{\"prompt\":\"{canary}p {n}?\",\"response\":\"{canary}r {n}\"}}\n"));
    rows.collect()
}

/// Trains a model on rows that nobody may see.
fn train(told: &mut Told, canaries: &mut Canaries) {
    let row = canaries.plant("a row");
    let dataset = told.upload("rows.jsonl", rows(&row));
    assert_eq!(dataset["valid"], true, "{dataset}");
    let bad = canaries.plant("a row that is wrong");
    let bad = told.upload(
        "bad.jsonl",
        format!("{{\"prompt\":\"{bad}\",\"response\":\"\"}}\n").repeat(12),
    );
    assert_eq!(bad["valid"], false, "{bad}");
    let mut body = json!({
        "base_model": "base:tiny", "dataset_id": dataset["id"], "name": "kept",
        "config": {"epochs": 1, "batch_size": 8, "micro_batch_size": 4, "learning_rate": 1e-3},
    });
    let job = told.done("/training/jobs", &body);
    told.wait_for_job(job["id"].as_str().unwrap());
    body["config"]["learning_rate"] = json!(canaries.plant("a setting"));
    let refused = told.post("/training/jobs", &body);
    told.refused("a setting that is none", refused);
}

/// Asks in every way, and adds what was answered to what must not be found.
fn ask(told: &mut Told, canaries: &mut Canaries) {
    let prompt = canaries.plant("a question");
    let system = canaries.plant("an instruction");
    let stop = canaries.plant("what ends an answer");
    let question = |model: &str| {
        json!({
            "model_id": model, "max_tokens": 24, "temperature": 0, "stop": [stop],
            "messages": [{"role": "user", "content": format!("{system} {prompt}")}],
        })
    };
    for model in ["base:tiny", "kept"] {
        let mut body = question(model);
        let whole = told.done("/generate", &body);
        let text = whole["text"].as_str().unwrap();
        assert!(!text.is_empty(), "{whole}");
        // A short answer, or one of spaces, is anywhere.
        if text.trim().len() >= 8 {
            canaries.add("an answer", text.trim());
        }
        told.done("/generate/batch", &json!({ "requests": [body] }));
        body["stream"] = json!(true);
        let request = told.request(Method::POST, "/generate").json(&body);
        let events = told.server.stream(request);
        assert_eq!(events.last().unwrap().0, "done");
    }
    let mut wrong = question("base:tiny");
    wrong["temperature"] = json!(9);
    let refused = told.post("/generate", &wrong);
    told.refused("a question with a wrong number", refused);
    let mut unknown = question("base:tiny");
    unknown["messages"][0]["role"] = json!(7);
    let refused = told.post("/generate", &unknown);
    told.refused("a question with a wrong role", refused);
    let long = json!({"model_id": "base:tiny", "prompt": format!("{prompt} ").repeat(2_000)});
    let refused = told.post("/generate", &long);
    told.refused("a question that is too long", refused);
    let broken = told.request(Method::POST, "/generate");
    let broken = broken.header("content-type", "application/json");
    let refused = broken.body(format!("{{\"prompt\": \"{prompt}\", ")).send();
    told.refused("a question that is cut off", refused.unwrap());
}

/// Puts texts wherever a request has room for them. Some of these the caller is told of: not these are looked for
/// in refusals.
fn intrude(told: &Told, canaries: &mut Canaries) {
    let key = format!("{}{}", told.key, canaries.plant("a wrong key"));
    let shown = Client::new()
        .get(told.server.at("/models"))
        .bearer_auth(key);
    assert_eq!(shown.send().unwrap().status(), 401);
    let path = canaries.plant("a path");
    let query = canaries.plant("a query");
    for path in [
        format!("/models/ft:tiny:{path}"),
        format!("/{path}"),
        format!("/models?cursor={query}"),
        format!("/health?{query}"),
    ] {
        let _ = told.request(Method::GET, &path).send().unwrap();
    }
    let method = canaries.plant("a method").to_uppercase();
    canaries.add("a method in capitals", &method);
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let _ = told.request(method, "/models").send().unwrap();
    let asked = told
        .request(Method::GET, "/models")
        .header("cookie", canaries.plant("a cookie"))
        .header("user-agent", canaries.plant("a program"))
        .header("x-secret", canaries.plant("a header"))
        .header(
            "tracestate",
            format!("a={}", canaries.plant("a vendor's state")),
        )
        .header(
            "x-request-id",
            format!("not plain {}", canaries.plant("an id")),
        );
    assert_eq!(asked.send().unwrap().status(), 200);
    let model = canaries.plant("a model that is not there");
    let unknown = told.post("/generate", &json!({"model_id": model, "prompt": "Hi"}));
    assert_eq!(unknown.status(), 404);
}

#[test]
fn nothing_that_was_entrusted_is_told() {
    let mut canaries = Canaries::default();
    let mut told = Told::start(&mut canaries);
    train(&mut told, &mut canaries);
    ask(&mut told, &mut canaries);
    for (what, refusal) in &told.refusals {
        let found = canaries.found_in(refusal.as_bytes());
        let owed = |found: &&str| what == "a setting that is none" && *found == "a setting";
        let found: Vec<&str> = found.into_iter().filter(|found| !owed(found)).collect();
        assert!(found.is_empty(), "{what} tells {found:?}: {refusal}");
    }
    intrude(&told, &mut canaries);
    let marked = told
        .request(Method::GET, "/models")
        .header("x-request-id", "plain-id-7q");
    assert_eq!(marked.send().unwrap().status(), 200);
    told.end();

    let (log, traces) = (told.log(), told.collector.bytes());
    // What is to be there is found by the same search: were nothing told, nothing would be found.
    let mut told_of = Canaries::default();
    for text in ["plain-id-7q", "/api/v1/generate", "base:tiny"] {
        told_of.add(text, text);
    }
    let found = told_of.found_in(log.as_bytes());
    assert!(
        found.contains(&"plain-id-7q") && found.contains(&"/api/v1/generate"),
        "{log}"
    );
    assert_eq!(
        told_of.found_in(told.metrics.as_bytes()).len(),
        2,
        "{}",
        told.metrics
    );
    let mut of_trace = told_of.found_in(&traces);
    of_trace.retain(|found| *found != "plain-id-7q");
    assert_eq!(of_trace.len(), 2);
    assert!(
        log.contains(" TRACE ") && log.contains(" DEBUG "),
        "it does not tell all it can"
    );

    let places = [
        ("the log", log.as_bytes()),
        ("the metrics", told.metrics.as_bytes()),
    ];
    for (place, content) in places {
        let found = canaries.found_in(content);
        assert!(found.is_empty(), "{place} tells {found:?}");
    }
    // The collector's own key goes to the collector.
    let mut found = canaries.found_in(&traces);
    found.retain(|found| *found != "the collector's key");
    assert!(found.is_empty(), "the traces tell {found:?}");
}

#[test]
fn a_canary_is_found_in_every_form_that_a_log_has() {
    let mut canaries = Canaries::default();
    let secret = canaries.plant("a secret");
    let other = canaries.plant("another");
    for place in [
        format!("line\nGET /?key={secret} 200\n"),
        format!("{{\"key\":\"{secret}\"}}"),
        format!("{:?}", secret.as_bytes()),
        format!("{secret}{secret}"),
    ] {
        assert_eq!(canaries.found_in(place.as_bytes()), ["a secret"], "{place}");
    }
    assert!(canaries.found_in(&other.as_bytes()[1..]).is_empty());
}
