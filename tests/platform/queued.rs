//! Questions that are answered later, by the whole program.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use llmopt_provider_mock::Mock;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::server::{Place, Server};

/// A question that was worked on by a server that died is taken up again after a minute.
const PATIENCE: Duration = Duration::from_secs(120);

fn put(server: &Server, body: &Value) -> String {
    let request = server.post("/generate").header("prefer", "respond-async");
    let response = request.json(body).send().unwrap();
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let queued: Value = response.json().unwrap();
    let id = queued["id"].as_str().unwrap();
    assert_eq!(location, format!("/api/v1/generate/results/{id}"));
    id.to_owned()
}

fn wait_for(server: &Server, id: &str) -> Value {
    let began = Instant::now();
    loop {
        let answer = server.json(server.get(&format!("/generate/results/{id}")));
        if answer.get("ended_at").is_some() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{answer}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn questions_that_were_queued_outlive_a_server_that_is_killed() {
    let place = Place::new();
    let server = place.serve();
    let question = |number: u32| json!({"model_id": "base:tiny", "prompt": format!("{number}"), "max_tokens": 200, "temperature": 0});
    let at_once = server.json(server.post("/generate").json(&question(3)));
    let ids: Vec<String> = (0..10)
        .map(|number| put(&server, &question(number)))
        .collect();
    let last = server.json(server.get(&format!("/generate/results/{}", ids[9])));
    assert!(
        last.get("ended_at").is_none(),
        "nothing is left to do: {last}"
    );
    server.kill();
    let server = place.serve();
    for (number, id) in ids.iter().enumerate() {
        let answer = wait_for(&server, id);
        assert_eq!(answer["status"], "succeeded", "{answer}");
        if number == 3 {
            assert_eq!(answer["response"]["text"], at_once["text"]);
        }
    }
    let (status, problem) = server.problem(server.get("/generate/results/req_nobody"));
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("answer_not_found"))
    );
}

#[test]
fn more_questions_than_a_limit_allows_at_once_are_all_answered_and_billed_once() {
    let runtime = Runtime::new().unwrap();
    let mock = runtime.block_on(Mock::start(0)).unwrap();
    let place = Place::new();
    let mut command = place.llmopt();
    command
        .args(["serve", "--json", "--listen", "127.0.0.1:0"])
        .env("OPENAI_BASE_URL", mock.openai_url())
        .env("OPENAI_API_KEY", "sk-canary")
        .env("LLMOPT_OPENAI_REQUESTS_PER_MINUTE", "60")
        .env("LLMOPT_TURN_WAIT_SECONDS", "0");
    let server = place.start(command);
    let question = json!({"model_id": "gpt-4o-mini", "prompt": "one two", "max_tokens": 8});
    // All that may be asked at once, and ten that have to wait for a second each.
    let began = Instant::now();
    let ids: Vec<String> = (0..70).map(|_| put(&server, &question)).collect();
    let mut cost = 0;
    for id in &ids {
        let answer = wait_for(&server, id);
        assert_eq!(answer["status"], "succeeded", "{answer}");
        let metadata = &answer["response"]["metadata"];
        cost += metadata["cost_picodollars"].as_u64().unwrap();
    }
    assert!(began.elapsed() > Duration::from_secs(8), "no limit held");
    let usage = server.json(server.get("/commercial/usage"));
    assert_eq!(usage["total"]["requests"], 70);
    let dollars: f64 = usage["total"]["cost_usd"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!((dollars * 1e12).round() as u64, cost);
    assert_eq!(mock.exchanges().len(), 70);
}
