use std::fs;

use serde_json::{Value, json};

use crate::support::{Said, Workplace};

#[test]
fn a_budget_is_set_listed_and_taken_away() {
    let place = Workplace::new();
    place
        .run("budgets list")
        .succeeds(&["anything may be spent", "llmopt budgets set"]);
    let set = place.run("budgets set key/abc --daily 0.000000000001 --total 12.5");
    set.succeeds(&["key/abc", "$0.000000000001", "$12.50", "total", "never"]);
    let set = place.run("budgets set all --monthly 100 --alert-percent 90,50 --json");
    assert_eq!(set.json()["alert_percent"], json!([50, 90]));
    let listed = place.run("budgets list --json").json();
    let scopes: Vec<&Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["scope"])
        .collect();
    assert_eq!(scopes, ["all", "key/abc"]);
    assert_eq!(listed[1]["windows"][0]["available_usd"], "0.000000000001");
    place
        .run("budgets delete key/abc")
        .succeeds(&["`key/abc` has no budget any more"]);
    place
        .run("budgets delete key/abc")
        .fails(2, &["`key/abc` has no budget", "budget_not_found"]);
    let left = place.run("budgets list --json").json();
    assert_eq!(left.as_array().unwrap().len(), 1);
}

#[test]
fn what_is_no_budget_is_refused_before_anything_is_kept() {
    let place = Workplace::new();
    place
        .run("budgets set provider/opnai --daily 1")
        .fails(2, &["`all`, `key/KEYID`", "provider/opnai"]);
    place
        .run("budgets set all --daily 0.0000000000001")
        .fails(2, &["at most 12 decimals"]);
    place.run("budgets set all").fails(2, &["--daily"]);
    assert_eq!(place.run("budgets list --json").json(), json!([]));
}

#[test]
fn usage_of_nothing_is_said_to_be_nothing() {
    let place = Workplace::new();
    let days = "--from 2026-11-25 --to 2026-11-26";
    place
        .run(&format!("usage {days}"))
        .succeeds(&["nothing was asked", "2026-11-25 to 2026-11-26"]);
    let usage = place.run(&format!("usage {days} --json")).json();
    assert_eq!(usage["total"]["cost_usd"], "0.00");
    assert_eq!(usage["days"].as_array().unwrap().len(), 2);
    let table = place.run(&format!("usage {days} --by key --csv"));
    assert!(table.out.starts_with("key,requests,cost_usd,"), "{table:?}");
    assert!(table.out.ends_with("\r\n"), "{table:?}");
    place
        .run("usage --from soon")
        .fails(2, &["`soon` is no day"]);
}

#[test]
fn models_are_priced_by_the_text_without_asking_anybody() {
    let place = Workplace::with_base();
    place.run("models import base --name tiny").succeeds(&[]);
    fs::write(place.path("texts.txt"), "One two three\n\nFour\n").unwrap();
    let compare = |arguments: &str| {
        let mut command = place.command(&format!("compare {arguments}"));
        // Nobody listens there.
        command
            .env("OPENAI_API_KEY", "sk-of-nobody")
            .env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
        Said::of(command)
    };
    let models = "--model gpt-5.6-luna --model base:tiny";
    let said = compare(&format!("{models} --texts texts.txt --max-tokens 10"));
    said.succeeds(&["gpt-5.6-luna", "openai", "base:tiny", "llmopt", "$0.00"]);
    let priced = compare(&format!(
        "{models} --texts texts.txt --max-tokens 10 --json"
    ))
    .json();
    let quote = |text: usize, model: usize| &priced["texts"][text]["results"][model]["quote"];
    assert_eq!(quote(1, 1)["estimate_usd"], "0.00");
    let tokens = |text: usize| quote(text, 1)["estimated_input_tokens"].as_u64();
    assert!(tokens(1) < tokens(0), "{priced}");
    compare("--model gpt-5.6-luna --model base:nobody --text Hi")
        .fails(1, &["1 of 2 could not be priced"]);
}
