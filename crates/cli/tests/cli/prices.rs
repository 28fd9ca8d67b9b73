use std::fs;

use serde_json::{Value, json};

use crate::support::{Said, Workplace};

/// The table's own day, so that no test depends on the calendar.
const AT: &str = "--at 2026-11-26";

fn prices(place: &Workplace, arguments: &str) -> Said {
    place.run(&format!("prices {arguments}"))
}

/// A table with one model, which ends, and one that is there to stay.
fn small() -> Value {
    let periods = |source: &str| {
        json!([{
            "from": "2026-01-01", "verified": "2026-01-01", "source": source,
            "price": { "rates": { "input": 2_000_000, "output": 8_000_000 } },
        }])
    };
    json!({
        "format": 1, "date": "2026-02-01",
        "models": [
            {
                "id": "short", "provider": "openai", "apis": ["chat"], "periods": periods("page one"),
                "shutdown": { "on": "2026-04-01", "replacement": "long" },
            },
            { "id": "long", "provider": "anthropic", "apis": ["messages"], "periods": periods("page two") },
        ],
    })
}

fn kinds(said: &Said) -> Vec<String> {
    let notes = said.json()["notes"].as_array().unwrap().clone();
    let kind = |note: &Value| format!("{} {}", note["kind"], note["model"]).replace('"', "");
    notes.iter().map(kind).collect()
}

#[test]
fn what_can_be_asked_is_listed_in_dollars_for_a_million_tokens() {
    let place = Workplace::new();
    let said = prices(&place, &format!("list {AT}"));
    said.succeeds(&[
        "gpt-5.6-luna",
        "$0.20",
        "$1.20",
        "272,000",
        "claude-opus-5-5",
        "2027-01-14",
    ]);
    let row = |name| {
        said.out
            .lines()
            .find(|line| line.trim_start().starts_with(name))
    };
    assert_eq!(row("gpt-4-turbo"), None, "{said:#?}");
    let row: Vec<&str> = row("claude-haiku-5-5")
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(
        row[1..],
        [
            "anthropic",
            "$0.10",
            "$0.50",
            "$0.01",
            "$0.125",
            "$0.20",
            "100,000"
        ]
    );
    let theirs = prices(&place, &format!("list --provider anthropic {AT}"));
    assert!(!theirs.out.contains("gpt-"), "{theirs:#?}");
}

#[test]
fn a_list_of_a_day_has_that_days_prices_for_machines_in_picodollars() {
    let place = Workplace::new();
    let input = |at: &str, name: &str| {
        let listed = prices(&place, &format!("list --json --at {at}")).json();
        let models = listed["models"].as_array().unwrap().clone();
        let model = models.into_iter().find(|model| model["id"] == name);
        model.map(|model| model["price"]["rates"]["input"].as_u64().unwrap())
    };
    assert_eq!(input("2026-07-29", "gpt-5.6-luna"), Some(1_000_000));
    assert_eq!(input("2026-07-30", "gpt-5.6-luna"), Some(200_000));
    assert_eq!(input("2026-10-22", "gpt-4-turbo"), Some(10_000_000));
    assert_eq!(input("2026-10-23", "gpt-4-turbo"), None);
}

#[test]
fn a_model_is_shown_with_its_history_and_its_sources() {
    let place = Workplace::new();
    prices(&place, &format!("show gpt-5-mini-2025-08-07 {AT}")).succeeds(&[
        "gpt-5-mini",
        "ends on 2026-12-11; use `gpt-6.1-terra`",
        "batch x 1/2",
        "regional x 11/10",
    ]);
    prices(&place, "show claude-sonnet-5-5").succeeds(&[
        "2026-10-07",
        "doubt: ",
        "tools that must be used",
        "platform.claude.com",
    ]);
    prices(&place, &format!("show gpt-4 {AT}")).succeeds(&["ended on 2026-10-23"]);
    // The model that first took over has ended, too.
    prices(&place, &format!("show o1-mini {AT}")).succeeds(&["use `gpt-5.6-terra`"]);
    let shown = prices(&place, "show gpt-5.6-luna --json").json();
    assert_eq!(
        shown["model"]["periods"][1]["price"]["rates"]["cache_write"],
        250_000
    );
    prices(&place, "show gpt-7").fails(2, &["no `gpt-7`", "llmopt prices list"]);
}

#[test]
fn a_sound_table_needs_nobody() {
    let place = Workplace::new();
    place.write("table.json", &small().to_string());
    prices(&place, "check --table table.json --at 2026-01-20").succeeds(&["0 to look at"]);
    // What has ended needs nobody either.
    let said = prices(&place, "check --table table.json --at 2026-04-01 --json");
    assert_eq!(kinds(&said), ["ended short"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
}

#[test]
fn old_prices_and_models_that_end_soon_need_a_person() {
    let place = Workplace::new();
    place.write("table.json", &small().to_string());
    let at = |at: &str| {
        prices(
            &place,
            &format!("check --table table.json --json --at {at}"),
        )
    };
    assert_eq!(at("2026-01-30").code, Some(0));
    let soon = at("2026-01-31");
    assert_eq!(kinds(&soon), ["ends_soon short"]);
    assert_eq!(soon.code, Some(2), "{soon:#?}");
    assert_eq!(kinds(&at("2026-04-02")), ["ended short", "old long"]);
    let older = prices(
        &place,
        "check --table table.json --days 200 --at 2026-04-02",
    );
    older.succeeds(&["ended: `short`: since 2026-04-01; use `long`"]);
}

#[test]
fn what_is_doubtful_in_the_built_in_table_is_told() {
    let place = Workplace::new();
    let said = prices(&place, &format!("check --days 1000 {AT}"));
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.out.contains("doubtful: `gpt-5.6-sol`"), "{said:#?}");
    assert!(
        said.out
            .contains("ends soon: `gpt-5`: on 2026-12-11, in 15 days"),
        "{said:#?}"
    );
    assert!(!said.out.contains("old:"), "{said:#?}");
}

#[test]
fn a_providers_list_is_held_against_the_table() {
    let place = Workplace::new();
    place.write("table.json", &small().to_string());
    let check = |at: &str, list: Value| {
        place.write("models.json", &list.to_string());
        prices(
            &place,
            &format!("check --table table.json --models models.json --json --at {at}"),
        )
    };
    let listed = |models: Value| json!({ "object": "list", "data": models });
    let same = json!([{ "id": "short", "shutdown_date": "2026-04-01" }, { "id": "long", "shutdown_date": null }]);
    assert_eq!(kinds(&check("2026-01-20", listed(same))), [""; 0]);
    let unsaid = json!([{ "id": "short", "display_name": "Short" }]);
    assert_eq!(kinds(&check("2026-01-20", listed(unsaid.clone()))), [""; 0]);
    assert_eq!(
        kinds(&check("2026-04-01", listed(unsaid))),
        ["ended short", "end_differs short"]
    );
    for (end, model) in [
        (json!("2026-04-02"), "short"),
        (Value::Null, "short"),
        (json!("2026-04-02"), "long"),
    ] {
        let said = check(
            "2026-01-20",
            listed(json!([{ "id": model, "shutdown_date": end }])),
        );
        assert_eq!(kinds(&said), [format!("end_differs {model}")]);
    }
    let said = check("2026-01-20", listed(json!([{ "id": "new" }])));
    assert_eq!(kinds(&said), ["missing new"]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    check("2026-01-20", json!({ "data": [], "has_more": true }))
        .fails(2, &["only a part", "limit=1000"]);
    check("2026-01-20", json!([])).fails(2, &["GET /v1/models"]);
    check(
        "2026-01-20",
        listed(json!([{ "id": "short", "shutdown_date": 5 }])),
    )
    .fails(2, &["`short`", "2026-11-26"]);
}

#[test]
fn a_table_that_breaks_a_rule_is_refused() {
    let place = Workplace::new();
    let mut table = small();
    table["models"][0]["periods"][0]["price"]["rates"]["cache_read"] = json!(2_000_001);
    place.write("table.json", &table.to_string());
    let said = prices(&place, "list --table table.json");
    said.fails(
        2,
        &[
            "`short` from 2026-01-01",
            "at most 2000000",
            "docs/PRICES.md",
        ],
    );
    fs::remove_file(place.path("table.json")).unwrap();
    prices(&place, "list --table table.json").fails(2, &["failed to read `table.json`"]);
    prices(&place, "list --at yesterday").fails(2, &["`yesterday` is no day"]);
}
