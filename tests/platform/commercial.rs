//! Commercial models through the whole program, whose providers are a stand-in: keys that change, what is told of
//! money, and what is told to nobody.

use std::{
    fs,
    process::{Command, Stdio},
};

use llmopt_provider_mock::{Behaviour, Exchange, Fault, Mock, Tokens};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::server::{Place, Server};

/// Texts that no log may have.
const KEYS: [&str; 3] = ["sk-canaryfirst", "sk-canarysecond", "sk-canaryanthropic"];
const WORDS: [&str; 4] = [
    "canaryquestion",
    "canarysystem",
    "canaryanswer",
    "canarycomplaint",
];
const HOOK: &str = "canaryhook";

/// The providers, and what runs them.
struct Providers {
    mock: Mock,
    _runtime: Runtime,
}

impl Providers {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let mock = runtime.block_on(Mock::start(0)).unwrap();
        Self {
            mock,
            _runtime: runtime,
        }
    }

    /// A server that asks them and tells its log everything, with OpenAI's key in a file.
    fn command(&self, place: &Place) -> Command {
        let mut command = place.llmopt();
        let log = fs::File::create(place.path("log")).unwrap();
        command
            .args(["serve", "--json", "--listen", "127.0.0.1:0"])
            .env("LLMOPT_LOG", "trace")
            .env("OPENAI_BASE_URL", self.mock.openai_url())
            .env("OPENAI_API_KEY_FILE", place.path("openai.key"))
            .env("ANTHROPIC_BASE_URL", self.mock.url())
            .env("ANTHROPIC_API_KEY", KEYS[2])
            .env("LLMOPT_OPENAI_REQUESTS_PER_MINUTE", "0")
            // Nobody is there.
            .env("LLMOPT_ALERT_WEBHOOK", format!("http://127.0.0.1:9/{HOOK}"))
            .stderr(Stdio::from(log));
        command
    }

    fn last(&self) -> Exchange {
        self.mock.exchanges().pop().unwrap()
    }
}

fn question(model: &str) -> Value {
    json!({
        "model_id": model,
        "max_tokens": 20,
        "messages": [
            {"role": "system", "content": WORDS[1]},
            {"role": "user", "content": format!("{} one two", WORDS[0])},
        ],
    })
}

fn ask(server: &Server, model: &str) -> Value {
    server.json(server.post("/generate").json(&question(model)))
}

fn assert_no_canary(place: &Place) {
    let log = fs::read_to_string(place.path("log")).unwrap();
    assert!(!log.is_empty());
    for canary in KEYS.iter().chain(&WORDS).chain([&HOOK]) {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(canary)).collect();
        assert!(lines.is_empty(), "`{canary}` is in the log: {lines:?}");
    }
}

#[test]
fn a_key_changes_without_a_restart_and_nothing_secret_is_logged() {
    let (place, providers) = (Place::new(), Providers::start());
    fs::write(place.path("openai.key"), KEYS[0]).unwrap();
    let server = place.start(providers.command(&place));
    for (key, text) in [(KEYS[0], WORDS[2]), (KEYS[1], "another canaryanswer")] {
        fs::write(place.path("openai.key"), format!("{key}\n")).unwrap();
        providers.mock.next(Behaviour {
            text: Some(text.to_owned()),
            ..Behaviour::default()
        });
        let answer = ask(&server, "gpt-4o-mini");
        assert_eq!(answer["text"], text);
        assert_eq!(answer["metadata"]["provider"], "openai");
        assert!(answer["metadata"]["cost_picodollars"].as_u64().unwrap() > 0);
        let sent = providers.last().headers["authorization"].clone();
        assert_eq!(sent, format!("Bearer {key}"));
    }

    // A hundredth of this is spent at once, of which the log alone can be told.
    let budget = json!({"scope": "all", "daily_usd": "0.005", "alert_percent": [1]});
    server.json(server.put("/commercial/budgets").json(&budget));
    providers.mock.next(Behaviour {
        tokens: Some(Tokens {
            input: 5,
            output: 20,
            ..Tokens::default()
        }),
        ..Behaviour::default()
    });
    let mut body = question("claude-haiku-4-5");
    body["stream"] = json!(true);
    let events = server.stream(server.post("/generate").json(&body));
    assert_eq!(events.last().unwrap().0, "done");
    assert_eq!(providers.last().headers["x-api-key"], KEYS[2]);

    // What a provider complains of is the caller's to know.
    providers.mock.next(Behaviour::failing(Fault::Raw {
        status: 400,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: json!({"error": {
            "message": format!("{} of {}", WORDS[3], KEYS[1]), "type": "invalid_request_error",
        }})
        .to_string(),
    }));
    let refused = server.post("/generate").json(&question("gpt-4o-mini"));
    let (status, problem) = server.problem(refused);
    assert_eq!(
        (status, &problem["code"]),
        (422, &json!("provider_rejected_request"))
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(WORDS[3]), "{problem}");
    assert!(!detail.contains(KEYS[1]), "{problem}");

    let status = server.json(server.get("/status"));
    let names: Vec<&Value> = status["providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["openai", "anthropic"]);
    assert_eq!(status["providers"][0]["circuit"], "closed");
    assert_eq!(server.terminate(), Some(0));
    assert_no_canary(&place);
    let log = fs::read_to_string(place.path("log")).unwrap();
    for told in ["a part of a budget is spent", "an alert could not be told"] {
        assert!(log.contains(told), "`{told}` is not in the log");
    }
}

#[test]
fn a_key_that_is_not_there_is_named_by_its_file_and_everything_else_works() {
    let (place, providers) = (Place::new(), Providers::start());
    let server = place.start(providers.command(&place));
    let (status, problem) = server.problem(server.post("/generate").json(&question("gpt-4o-mini")));
    assert!((500..600).contains(&status), "{problem}");
    assert_eq!(providers.mock.exchanges(), []);
    ask(&server, "claude-haiku-4-5");
    ask(&server, "base:tiny");
    let log = fs::read_to_string(place.path("log")).unwrap();
    assert!(
        log.contains("openai.key"),
        "the log does not say which file"
    );
}

#[test]
fn a_newer_table_of_prices_in_the_data_directory_is_what_answers_cost() {
    let (place, providers) = (Place::new(), Providers::start());
    fs::write(place.path("openai.key"), KEYS[0]).unwrap();
    let table = json!({"format": 1, "date": "2099-01-01", "models": [{
        "id": "gpt-4o-mini", "provider": "openai", "apis": ["chat"],
        "periods": [{
            "from": "2026-01-01", "verified": "2026-01-01", "source": "https://example.com",
            "price": {"rates": {"input": 7_000, "output": 11_000}},
        }],
    }]});
    fs::write(place.data_dir().join("prices.json"), table.to_string()).unwrap();
    let server = place.start(providers.command(&place));
    let answer = ask(&server, "gpt-4o-mini");
    let (metrics, metadata) = (&answer["metrics"], &answer["metadata"]);
    let tokens = |name: &str| metrics[name].as_u64().unwrap();
    assert_eq!(
        metadata["cost_picodollars"],
        tokens("input_tokens") * 7_000 + tokens("output_tokens") * 11_000
    );
    let version = metadata["price_version"].as_str().unwrap();
    assert!(version.starts_with("2099-01-01 "), "{version}");
}
