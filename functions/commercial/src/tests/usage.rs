use axum::{
    body::Body,
    http::{Method, header},
};
use llmopt_domain::{Format, Picodollars, Scope, TokenUsage};
use llmopt_http::Access;
use llmopt_storage::spend::{Asked, Basis, LedgerEntry, RequestId};

use super::place::{Place, request};

/// The ledger's entry of a request that cost so many dollars.
fn entry(id: &str, key: &str, model: &str, dollars: u64) -> LedgerEntry {
    let cost = Picodollars::dollars(dollars).unwrap();
    LedgerEntry {
        format: Format,
        request: RequestId::try_from(id.to_owned()).unwrap(),
        day: "2026-11-25".to_owned(),
        reserved_ms: 1,
        settled_ms: 2,
        asked: Asked {
            key: key.to_owned(),
            model: model.to_owned(),
            provider: "openai".to_owned(),
            price_version: "1".to_owned(),
        },
        bound: cost,
        cost,
        usage: TokenUsage {
            input_tokens: 10,
            cache_read_tokens: 3,
            output_tokens: 5,
            ..TokenUsage::default()
        },
        basis: Basis::Measured,
        attempts: Vec::new(),
        rows: Vec::new(),
    }
}

const DAYS: &str = "from=2026-11-24&to=2026-11-26";

async fn keep(place: &Place, entries: &[LedgerEntry]) {
    for entry in entries {
        place.ledger.append(entry).await.unwrap();
    }
}

#[tokio::test]
async fn usage_is_told_together_by_group_and_by_day() {
    let place = Place::with(&[]).await;
    let assumed = LedgerEntry {
        basis: Basis::Assumed,
        ..entry("c", "k2", "gpt-5.4", 4)
    };
    let entries = [
        entry("a", "k1", "gpt-5.4", 1),
        entry("b", "k1", "claude-opus-5", 2),
        assumed,
    ];
    keep(&place, &entries).await;
    let usage = place.get(&format!("/usage?{DAYS}")).await.done();
    assert_eq!(usage["total"]["requests"], 3);
    assert_eq!(usage["total"]["cost_usd"], "7.00");
    assert_eq!(usage["total"]["measured_usd"], "3.00");
    assert_eq!(usage["total"]["assumed_usd"], "4.00");
    let tokens = &usage["total"]["tokens"];
    assert_eq!(
        (&tokens["input"], &tokens["cache_read"]),
        (&30.into(), &9.into())
    );
    let groups = usage["groups"].as_array().unwrap();
    assert_eq!(groups[0]["group"], "gpt-5.4");
    assert_eq!(groups[0]["cost_usd"], "5.00");
    assert_eq!(groups.len(), 2);
    let days = usage["days"].as_array().unwrap();
    assert_eq!(days.len(), 3);
    assert_eq!(days[1]["day"], "2026-11-25");
    assert_eq!(days[1]["cost_usd"], "7.00");
    assert_eq!(days[2]["cost_usd"], "0.00");
    let by_key = place
        .get(&format!("/usage?{DAYS}&group_by=key&key=k1"))
        .await
        .done();
    assert_eq!(by_key["total"]["cost_usd"], "3.00");
    assert_eq!(by_key["groups"][0]["group"], "k1");
    assert_eq!(by_key["groups"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_table_is_sent_to_whoever_asks_for_one_and_holds_no_formula() {
    let place = Place::with(&[]).await;
    let names = ["@cf/meta,llama \"4\"", "gpt-5.4"];
    let entries = [entry("a", "k", names[0], 2), entry("b", "k", names[1], 1)];
    keep(&place, &entries).await;
    let said = place.get(&format!("/usage?{DAYS}&format=csv")).await;
    assert_eq!(said.kind, "text/csv; charset=utf-8");
    let lines: Vec<&str> = said.text.split("\r\n").collect();
    assert_eq!(
        lines,
        [
            "model,requests,cost_usd,assumed_usd,input_tokens,cache_read_tokens,cache_write_tokens,cache_write_long_tokens,output_tokens,reasoning_tokens",
            "\"'@cf/meta,llama \"\"4\"\"\",1,2.00,0.00,10,3,0,0,5,0",
            "gpt-5.4,1,1.00,0.00,10,3,0,0,5,0",
            ""
        ]
    );
    let accepting = |path: String| {
        request(Method::GET, &path)
            .header(header::ACCEPT, "text/csv")
            .body(Body::empty())
            .unwrap()
    };
    let table = accepting(format!("/usage?{DAYS}"));
    assert_eq!(place.send(table, Access::open()).await.text, said.text);
    let json = accepting(format!("/usage?{DAYS}&format=json"));
    assert_eq!(
        place.send(json, Access::open()).await.kind,
        "application/json"
    );
}

#[tokio::test]
async fn a_key_sees_its_own_usage_and_an_administrators_sees_everybodys() {
    let place = Place::with(&[]).await;
    let (id, key) = place.key(Scope::Generate).await;
    let (_, admin) = place.key(Scope::Admin).await;
    let entries = [entry("a", &id, "gpt-5.4", 1), entry("b", "k", "gpt-5.4", 2)];
    keep(&place, &entries).await;
    let path = format!("/usage?{DAYS}&group_by=key");
    let own = place.get_as(&key, &path).await.done();
    assert_eq!(own["total"]["cost_usd"], "1.00");
    assert_eq!(own["groups"][0]["group"], id);
    assert_eq!(own["groups"].as_array().unwrap().len(), 1);
    let named = place.get_as(&key, &format!("{path}&key={id}")).await.done();
    assert_eq!(named["total"], own["total"]);
    let others = place.get_as(&key, &format!("{path}&key=k")).await;
    others.is_problem(403, "forbidden");
    let all = place.get_as(&admin, &path).await.done();
    assert_eq!(all["total"]["cost_usd"], "3.00");
    for path in ["/budgets", "/test"] {
        place.get_as(&key, path).await.is_problem(403, "forbidden");
    }
    place.get_as(&key, "/models").await.done();
}

#[tokio::test]
async fn days_that_are_none_are_named() {
    let place = Place::with(&[]).await;
    let problem = place.get("/usage?from=soon&to=2026-11-31").await;
    let problem = problem.is_problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "from");
    assert_eq!(problem["errors"][1]["pointer"], "to");
    let problem = place.get("/usage?from=2024-01-01&to=2026-01-01").await;
    let problem = problem.is_problem(422, "validation_failed");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("at most 366 days")
    );
    place
        .get("/usage?group_by=colour")
        .await
        .is_problem(400, "invalid_request");
}
