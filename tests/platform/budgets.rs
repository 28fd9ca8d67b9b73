//! Commercial models over HTTP: four servers, one budget, a provider that bills as much as is reserved, callers that
//! hang up, and servers that are killed.

use std::{
    collections::BTreeMap,
    os::unix::fs::symlink,
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use llmopt_provider_mock::{Behaviour, Mock};
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::server::{PATIENCE, Place, Server};

const SERVERS: usize = 4;
const QUESTIONS: usize = 200;
/// Questions that the budget has money for.
const FUNDED: usize = 50;
/// Words of an answer, which is as many tokens as are asked for.
const WORDS: usize = 9;
/// What a question costs, in millionths of a dollar: only tokens of the answer cost something, four each.
const COST: usize = WORDS * 4;
const STREAM: &str = "text/event-stream";
const WHOLE: &str = "application/json";
const DATABASE: &str = "spending.db";

/// A provider of one's own, on this machine.
struct Upstream {
    runtime: Runtime,
    mock: Mock,
}

impl Upstream {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let mock = runtime.block_on(Mock::start(0)).unwrap();
        Self { runtime, mock }
    }

    /// Has every question answered with as many words as it may cost, at this pace.
    fn answer(&self, event_ms: u64) {
        let text = Some("word ".repeat(WORDS));
        let behaviour = Behaviour {
            text,
            event_ms,
            ..Behaviour::default()
        };
        self.mock.for_model("any", behaviour);
    }

    /// What it bills, in millionths of a dollar.
    fn owed(&self) -> usize {
        let billed = self.mock.exchanges().into_iter().filter_map(|it| it.billed);
        billed
            .map(|it| usize::try_from(it.output).unwrap() * 4)
            .sum()
    }

    /// Starts a server that asks it for money.
    fn serve(&self, place: &Place) -> Server {
        let provider = json!([{
            "name": "own",
            "api": "openai",
            "base_url": self.mock.openai_url(),
            "key_env": "OWN_KEY",
            "ceiling": {"input_usd_per_million": "0", "output_usd_per_million": "4"},
        }]);
        let mut command = place.llmopt();
        command
            .args(["serve", "--json", "--listen", "127.0.0.1:0"])
            .env("OWN_KEY", "sk-own")
            .env("LLMOPT_PROVIDERS", provider.to_string());
        place.start(command)
    }
}

/// Data directories whose budgets are one: a server has its directory to itself.
fn places() -> Vec<Place> {
    let places: Vec<Place> = (0..SERVERS).map(|_| Place::new()).collect();
    for place in &places[1..] {
        let shared = places[0].data_dir().join(DATABASE);
        symlink(shared, place.data_dir().join(DATABASE)).unwrap();
    }
    places
}

fn question(server: &Server, delivery: &str) -> RequestBuilder {
    let body = json!({
        "model_id": "own/any",
        "prompt": "one two three",
        "max_tokens": WORDS,
        "stream": delivery == STREAM,
    });
    server.post("/generate").json(&body)
}

fn set_budget(server: &Server) {
    let total = format!("{:.6}", (FUNDED * COST) as f64 / 1e6);
    let budget = json!({"scope": "all", "total_usd": total});
    server.json(server.put("/commercial/budgets").json(&budget));
}

/// What is spent, reserved and available of the budget, in millionths of a dollar.
fn standing(server: &Server) -> [usize; 3] {
    let listed = server.json(server.get("/commercial/budgets"));
    let window = &listed["data"][0]["windows"][0];
    ["spent_usd", "reserved_usd", "available_usd"].map(|name| {
        let dollars: f64 = window[name].as_str().unwrap().parse().unwrap();
        assert!(dollars >= 0.0, "{window}");
        (dollars * 1e6).round() as usize
    })
}

/// Asks [`QUESTIONS`] questions of all servers at once, half of them as streams, and counts how they were answered:
/// `answered`, or the code of the problem, or `nobody` where a server is gone.
fn ask_all(
    servers: &[Server],
    patience: impl Fn(usize) -> Duration + Sync,
) -> BTreeMap<String, usize> {
    let ask = |number: usize| {
        let server = &servers[number % servers.len()];
        let delivery = match number / servers.len() % 2 {
            0 => WHOLE,
            _ => STREAM,
        };
        let client = Client::builder().timeout(patience(number)).build().unwrap();
        let request = question(server, delivery).build().unwrap();
        let Ok(response) = client.execute(request) else {
            return "nobody".to_owned();
        };
        let is_ok = response.status() == 200;
        let Ok(text) = response.text() else {
            return "nobody".to_owned();
        };
        match is_ok {
            true if delivery == WHOLE || text.contains("event: done") => "answered".to_owned(),
            true => "cut".to_owned(),
            false => {
                let problem: Value = serde_json::from_str(&text).unwrap();
                problem["code"].as_str().unwrap().to_owned()
            }
        }
    };
    let mut counts = BTreeMap::new();
    scope(|scope| {
        let ask = &ask;
        let callers: Vec<_> = (0..QUESTIONS)
            .map(|number| scope.spawn(move || ask(number)))
            .collect();
        for caller in callers {
            *counts.entry(caller.join().unwrap()).or_default() += 1;
        }
    });
    counts
}

/// Waits until nobody who is alive holds anything, and returns how the budget stands.
fn at_rest(server: &Server) -> [usize; 3] {
    let began = Instant::now();
    loop {
        let standing = standing(server);
        if standing[1] == 0 {
            return standing;
        }
        assert!(began.elapsed() < PATIENCE, "{standing:?}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn of_two_hundred_questions_to_four_servers_exactly_fifty_are_answered() {
    let upstream = Upstream::new();
    upstream.answer(0);
    let places = places();
    let servers: Vec<Server> = places.iter().map(|place| upstream.serve(place)).collect();
    set_budget(&servers[0]);
    let counts = ask_all(&servers, |_| PATIENCE);
    let expected = [
        ("answered".to_owned(), FUNDED),
        ("budget_exceeded".to_owned(), QUESTIONS - FUNDED),
    ];
    assert_eq!(counts, expected.into());
    assert_eq!(upstream.mock.exchanges().len(), FUNDED);
    for server in &servers {
        assert_eq!(standing(server), [FUNDED * COST, 0, 0]);
    }
    let usage = servers[1].json(servers[1].get("/commercial/usage"));
    assert_eq!(usage["total"]["requests"], FUNDED);
    assert_eq!(usage["total"]["cost_usd"], "0.0018");
    assert_eq!(usage["total"]["measured_usd"], "0.0018");
    drop(servers);
    drop(upstream.runtime);
}

#[test]
fn callers_that_hang_up_and_servers_that_are_killed_never_spend_more_than_the_budget() {
    let upstream = Upstream::new();
    upstream.answer(10);
    let places = places();
    let mut servers: Vec<Server> = places.iter().map(|place| upstream.serve(place)).collect();
    set_budget(&servers[0]);
    let limit = FUNDED * COST;
    // Every third caller goes away when its answer has begun, or before.
    let hanging_up = |number: usize| match number % 3 {
        0 => Duration::from_millis(40 + number as u64),
        _ => PATIENCE,
    };
    let killing = |servers: &[Server]| {
        while upstream.mock.exchanges().len() < 8 {
            sleep(Duration::from_millis(2));
        }
        servers[1].kill();
        servers[3].kill();
    };
    let counts = scope(|scope| {
        let killer = scope.spawn(|| killing(&servers));
        let counts = ask_all(&servers, hanging_up);
        killer.join().unwrap();
        counts
    });
    println!("{counts:?}, {} asked", upstream.mock.exchanges().len());
    assert!(counts.contains_key("nobody"), "{counts:?}");
    for number in [1, 3] {
        servers[number] = upstream.serve(&places[number]);
    }
    // What the killed servers hold, nobody else has until their requests have expired.
    let [spent, held, available] = standing(&servers[1]);
    assert_eq!(spent + held + available, limit);
    assert!(
        upstream.owed() <= spent + held,
        "{} is owed",
        upstream.owed()
    );

    upstream.answer(0);
    let before = upstream.mock.exchanges().len();
    let counts = ask_all(&servers, |_| PATIENCE);
    let answered = counts.get("answered").copied().unwrap_or_default();
    let codes: Vec<&str> = counts.keys().map(String::as_str).collect();
    assert!(
        codes
            .iter()
            .all(|code| ["answered", "budget_exceeded"].contains(code)),
        "{counts:?}"
    );
    assert_eq!(upstream.mock.exchanges().len() - before, answered);
    let [spent, held, available] = standing(&servers[0]);
    assert_eq!(spent + held + available, limit);
    assert!(available < COST, "{available} is left");
    assert!(upstream.owed() <= limit);
}

#[test]
fn a_caller_that_hangs_up_stops_the_provider_and_pays_for_what_it_may_have_got() {
    let upstream = Upstream::new();
    let place = Place::new();
    let server = upstream.serve(&place);
    set_budget(&server);
    for (delivery, event_ms) in [(WHOLE, 3_000), (STREAM, 60)] {
        upstream.answer(event_ms);
        let client = Client::builder().timeout(Duration::from_millis(300));
        let request = question(&server, delivery).build().unwrap();
        let asked = client.build().unwrap().execute(request);
        assert!(asked.and_then(|it| it.text()).is_err(), "{delivery}");
    }
    let [spent, _, _] = at_rest(&server);
    assert!(spent >= upstream.owed() && spent <= 2 * COST, "{spent}");
    assert!(upstream.owed() < 2 * COST, "nobody stopped");
    let usage = server.json(server.get("/commercial/usage"));
    assert_eq!(usage["total"]["requests"], 2);
}
