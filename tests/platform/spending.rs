//! What commercial models cost, as their callers, administrators and the command line are told, and how budgets stop it.

use llmopt_provider_mock::{Behaviour, Mock, Tokens};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    access::create_key,
    server::{Place, Server},
};

const MODEL: &str = "gpt-4o-mini";

fn serve(place: &Place, mock: &Mock) -> Server {
    let mut command = place.llmopt();
    command
        .args(["serve", "--json", "--listen", "127.0.0.1:0"])
        .env("OPENAI_BASE_URL", mock.openai_url())
        .env("OPENAI_API_KEY", "sk-of-the-test");
    place.start(command)
}

/// Asks the command line for JSON.
fn llmopt(place: &Place, arguments: &[&str]) -> Value {
    let said = place.llmopt().args(arguments).arg("--json").output();
    let said = said.unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{errors}");
    serde_json::from_slice(&said.stdout).unwrap()
}

#[test]
fn what_a_key_spent_is_told_to_it_and_to_administrators_and_a_budget_stops_it() {
    let runtime = Runtime::new().unwrap();
    let mock = runtime.block_on(Mock::start(0)).unwrap();
    mock.for_model(
        MODEL,
        Behaviour {
            tokens: Some(Tokens {
                input: 1_000,
                cache_read: 200,
                output: 100,
                ..Tokens::default()
            }),
            ..Behaviour::default()
        },
    );
    let place = Place::new();
    let admin = create_key(&place, &["--scope", "admin"]);
    let till = create_key(&place, &["--scope", "generate"]);
    let server = serve(&place, &mock);
    let question = json!({ "model_id": MODEL, "prompt": "Hi", "max_tokens": 100 });
    let ask = || server.post("/generate").bearer_auth(&till).json(&question);
    for _ in 0..2 {
        server.json(ask());
    }
    // 1,000 at 0.15, 200 at 0.075 and 100 at 0.60 dollars for a million, twice.
    let cost = "0.00045";
    let usage = |key: &str, query: &str| {
        let path = format!("/commercial/usage?{query}");
        server.json(server.get(&path).bearer_auth(key))
    };
    let own = usage(&till, "group_by=key");
    assert_eq!(own["total"]["cost_usd"], cost, "{own}");
    assert_eq!(own["total"]["requests"], 2);
    assert_eq!(own["total"]["tokens"]["cache_read"], 400);
    let id = own["groups"][0]["group"].as_str().unwrap().to_owned();
    assert!(till.contains(&id));
    assert_eq!(usage(&admin, &format!("key={id}"))["total"], own["total"]);

    let scope = format!("key/{id}");
    let budget = json!({ "scope": scope, "daily_usd": "0.00000001" });
    let set = server.put("/commercial/budgets").bearer_auth(&admin);
    server.json(set.json(&budget));
    let (status, problem) = server.problem(ask());
    assert_eq!((status, &problem["code"]), (402, &json!("budget_exceeded")));
    assert_eq!(problem["budget"]["scope"], scope);
    assert_eq!(usage(&admin, "group_by=day")["total"]["requests"], 2);
    let asked = mock.exchanges().len();
    assert_eq!(asked, 2, "a request was sent that no budget allows");

    // The same of the data directory, beside the server.
    let told = llmopt(&place, &["usage", "--by", "provider"]);
    assert_eq!(told["groups"][0]["group"], "openai");
    assert_eq!(told["groups"][0]["cost_usd"], cost);
    let budgets = llmopt(&place, &["budgets", "list"]);
    assert_eq!(budgets[0]["windows"][0]["limit_usd"], "0.00000001");
    let deleted = llmopt(&place, &["budgets", "delete", &scope]);
    assert_eq!(deleted["deleted"], scope);
    server.json(ask());
}
