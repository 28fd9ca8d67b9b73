//! Questions to commercial models, whose providers are one mock.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use llmopt_commercial::{CommercialParts, ModelLimits, Policy, PriceBook, ProviderSetup};
use llmopt_domain::{ApiKey, Digest, Format, KeyLimits, Picodollars, Rate, Scope};
use llmopt_http::Caller;
use llmopt_prices::{PriceTable, Provider as Seller, Region};
use llmopt_provider_mock::{Behaviour, Ended, Fault, Mock, Tokens};
use llmopt_providers::{
    AnthropicProvider, Dialect, EndpointSettings, FixedKey, OpenAiProvider, ProviderKey,
    RetryPolicy, Transport,
};
use llmopt_spending::{BudgetLimits, LogAlerts, Moment, Spending};
use llmopt_storage::{
    RateStore, Revision, SpendStore, Stored,
    spend::{BudgetScope, LedgerEntry},
};
use llmopt_storage_embedded::{SqliteRateStore, SqliteSpendStore};

use super::*;

/// One of OpenAI's that does not think, and one of Anthropic's.
pub(super) const OPENAI: &str = "gpt-4o-mini";
const ANTHROPIC: &str = "claude-haiku-4-5";
/// What both are called together.
const ALIAS: &str = "quick";

/// The routes over commercial models, on stores in a folder of their own.
pub(super) struct Shop {
    pub(super) mock: Mock,
    pub(super) router: Router,
    pub(super) commercial: Commercial,
    pub(super) state: GenerateState,
    store: Arc<dyn SpendStore>,
    rates: Arc<dyn RateStore>,
    pub(super) place: Place,
}

impl Shop {
    pub(super) async fn new(requests_per_minute: Option<u32>) -> Self {
        let mock = Mock::start(0).await.unwrap();
        let place = place(LONG).await;
        let folder = place.folder.path();
        let store: Arc<dyn SpendStore> =
            Arc::new(SqliteSpendStore::open(&folder.join("spending.db")).unwrap());
        let rates: Arc<dyn RateStore> =
            Arc::new(SqliteRateStore::open(&folder.join("rates.db")).unwrap());
        let limits = ModelLimits {
            requests_per_minute: requests_per_minute.and_then(NonZeroU32::new),
            tokens_per_minute: None,
        };
        let commercial = Commercial::new(CommercialParts {
            providers: providers(&mock, limits),
            aliases: BTreeMap::from([(
                ALIAS.to_owned(),
                vec![OPENAI.to_owned(), ANTHROPIC.to_owned()],
            )]),
            prices: PriceBook::new(PriceTable::embedded().unwrap()),
            spending: Spending::new(Arc::clone(&store), Arc::new(LogAlerts)),
            rates: Arc::clone(&rates),
            alerts: Arc::new(LogAlerts),
            policy: Policy {
                longest_wait: Duration::ZERO,
                retry: RetryPolicy {
                    base: Duration::from_millis(2),
                    cap: Duration::from_millis(10),
                    ..RetryPolicy::default()
                },
                ..Policy::default()
            },
        });
        let commercial = commercial.unwrap();
        let state = GenerateState {
            commercial: Some(commercial.clone()),
            ..place.state.clone()
        };
        Self {
            mock,
            router: router(state.clone()),
            state,
            commercial,
            store,
            rates,
            place,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> axum::response::Response {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Asks for a whole answer.
    async fn ask(&self, body: &Value) -> (StatusCode, Value) {
        let response = self.post("/generate", body).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// Asks for a stream, and reads it to its end.
    async fn events(&self, body: &Value) -> Vec<(String, Value)> {
        let mut body = body.clone();
        body["stream"] = true.into();
        let response = self.post("/generate", &body).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let event = |block: &str| {
            let (name, data) = block.split_once('\n')?;
            let data = data.strip_prefix("data: ")?;
            let name = name.strip_prefix("event: ")?.to_owned();
            Some((name, serde_json::from_str(data).unwrap()))
        };
        text.split("\n\n").filter_map(event).collect()
    }

    /// What the ledger has of today, in order.
    pub(super) async fn ledger(&self) -> Vec<LedgerEntry> {
        let day = Moment::new(llmopt_http::now_ms()).day;
        self.store.ledger(&day, None, 1_000).await.unwrap()
    }

    /// Takes all that may be asked of OpenAI at once.
    pub(super) async fn take_all_turns(&self, per_minute: u32) {
        let count = NonZeroU32::new(per_minute).unwrap();
        let now_us = llmopt_http::now_ms() * 1_000;
        let rate = Rate::per_minute(count);
        let taken = self
            .rates
            .take("provider/openai", rate, now_us, count)
            .await;
        taken.unwrap().unwrap();
    }

    pub(super) async fn budget(&self, scope: &str, picodollars: u64) {
        let limits = BudgetLimits {
            daily: Picodollars::new(picodollars),
            ..BudgetLimits::default()
        };
        let spending = self.commercial.spending();
        spending
            .set_budget(&scope_of(scope), &limits, llmopt_http::now_ms())
            .await
            .unwrap();
    }
}

fn scope_of(name: &str) -> BudgetScope {
    name.to_owned().try_into().unwrap()
}

fn providers(mock: &Mock, limits: ModelLimits) -> Vec<ProviderSetup> {
    let transport = Transport::new(Duration::from_secs(2)).unwrap();
    let settings = |base_url: String| EndpointSettings {
        base_url,
        headers: Vec::new(),
        query: Vec::new(),
        keys: Arc::new(FixedKey(Some(ProviderKey::new("sk-canary").unwrap()))),
    };
    let openai = settings(mock.openai_url());
    let openai = OpenAiProvider::new(transport.clone(), openai, Dialect::OPENAI).unwrap();
    let anthropic = AnthropicProvider::new(transport, settings(mock.url())).unwrap();
    let provider = |seller: Seller, client| ProviderSetup {
        name: seller.name().to_owned(),
        seller: Some(seller),
        region: Region::Global,
        client,
        ceiling: None,
        limits,
        models: BTreeMap::new(),
    };
    vec![
        provider(Seller::Openai, Arc::new(openai)),
        provider(Seller::Anthropic, Arc::new(anthropic)),
    ]
}

/// Who asks, where a key is needed.
pub(super) fn caller(id: &str) -> Caller {
    Caller(Arc::new(Stored {
        record: ApiKey {
            format: Format,
            id: id.to_owned(),
            name: "the till".to_owned(),
            created_ms: 0,
            secret: Digest::of_bytes(b"secret"),
            previous: Vec::new(),
            scopes: [Scope::Generate].into(),
            limits: KeyLimits::default(),
            expires_ms: None,
            revoked_ms: None,
        },
        revision: Revision(1),
    }))
}

pub(super) fn question(model: &str) -> Value {
    json!({"model_id": model, "prompt": "one two three", "max_tokens": 10})
}

#[tokio::test]
async fn an_answer_says_who_gave_it_what_it_took_and_what_it_cost_to_the_picodollar() {
    let shop = Shop::new(None).await;
    shop.mock.next(Behaviour {
        text: Some("four five".to_owned()),
        tokens: Some(Tokens {
            input: 100,
            cache_read: 20,
            output: 9,
            ..Tokens::default()
        }),
        ..Behaviour::default()
    });
    let (status, answer) = shop.ask(&question(OPENAI)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["text"], "four five");
    assert_eq!(answer["model_id"], OPENAI);
    let (metrics, metadata) = (&answer["metrics"], &answer["metadata"]);
    assert_eq!(metrics["input_tokens"], 120);
    assert_eq!(metrics["cache_read_tokens"], 20);
    assert_eq!(metrics["output_tokens"], 9);
    assert_eq!(metrics["total_tokens"], 129);
    assert!(metrics["ttft_ms"].as_u64() <= metrics["latency_ms"].as_u64());
    let expected = [
        ("model_type", json!("commercial")),
        ("provider", json!("openai")),
        ("finish_reason", json!("stop")),
        ("cost_basis", json!("measured")),
        ("attempts", json!(1)),
        ("model", json!("gpt-4o-mini-2026-01-01")),
    ];
    for (name, value) in expected {
        assert_eq!(metadata[name], value, "{name}");
    }
    // 100 x $0.15, 20 x $0.075 and 9 x $0.60 for a million each.
    let cost = 100 * 150_000 + 20 * 75_000 + 9 * 600_000;
    assert_eq!(metadata["cost_picodollars"], cost);
    assert_eq!(metadata["cost_usd"], cost as f64 / 1e12);
    let ledger = shop.ledger().await;
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].cost.get(), cost);
    assert_eq!(metadata["price_version"], ledger[0].asked.price_version);
}

#[tokio::test]
async fn a_stream_has_the_parts_as_they_come_and_ends_with_the_whole_answer() {
    let shop = Shop::new(None).await;
    for model in [OPENAI, ANTHROPIC] {
        let events = shop.events(&question(model)).await;
        let (done, parts) = events.split_last().unwrap();
        let text: String = parts
            .iter()
            .map(|(name, data)| {
                assert_eq!(name, "text");
                data["text"].as_str().unwrap()
            })
            .collect();
        assert!(parts.len() > 1, "{events:?}");
        assert_eq!(done.0, "done");
        assert_eq!(done.1["text"], text);
        assert_eq!(done.1["metadata"]["model_type"], "commercial");
        assert!(done.1["metadata"]["cost_picodollars"].as_u64() > Some(0));
    }
    assert_eq!(shop.ledger().await.len(), 2);
}

#[tokio::test]
async fn a_tool_is_called_in_a_whole_answer_and_in_a_stream() {
    let shop = Shop::new(None).await;
    let function = json!({"name": "weather", "parameters": {"type": "object", "properties": {}}});
    let mut body = question(OPENAI);
    body["tools"] = json!([{"type": "function", "function": function}]);
    body["tool_choice"] = "required".into();
    body["max_tokens"] = 50.into();
    let (_, answer) = shop.ask(&body).await;
    let call = &answer["tool_calls"][0];
    assert_eq!(call["type"], "function");
    assert_eq!(call["function"]["name"], "weather");
    let arguments = call["function"]["arguments"].as_str().unwrap();
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    assert_eq!(arguments["days"], 2);
    assert_eq!(answer["metadata"]["finish_reason"], "tool_calls");

    let events = shop.events(&body).await;
    let (done, parts) = events.split_last().unwrap();
    let joined: String = parts
        .iter()
        .map(|(name, data)| {
            assert_eq!(name, "tool_call");
            data["arguments"].as_str().unwrap()
        })
        .collect();
    assert_eq!(parts[0].1["name"], "weather");
    assert_eq!(done.1["tool_calls"][0]["function"]["arguments"], joined);
}

#[tokio::test]
async fn only_what_the_caller_says_is_sent_to_the_provider() {
    let shop = Shop::new(None).await;
    shop.ask(&json!({"model_id": OPENAI, "prompt": "Hi"})).await;
    let sent = &shop.mock.exchanges()[0].body;
    for name in ["temperature", "top_p", "seed", "stop"] {
        assert!(sent.get(name).is_none(), "{name}: {sent}");
    }
    let mut body = question(OPENAI);
    body["temperature"] = 0.7.into();
    shop.ask(&body).await;
    assert_eq!(shop.mock.exchanges()[1].body["temperature"], 0.7);
    body["seed"] = 1.into();
    let (status, problem) = shop.ask(&body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"][0]["pointer"], "/seed");
    assert_eq!(shop.mock.exchanges().len(), 2);
}

#[tokio::test]
async fn what_a_provider_finds_wrong_is_told_in_its_own_words() {
    let shop = Shop::new(None).await;
    let body =
        json!({"error": {"message": "the words of the provider", "type": "invalid_request_error"}});
    shop.mock.next(Behaviour::failing(Fault::Raw {
        status: 400,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_string(),
    }));
    let response = shop.post("/generate", &question(OPENAI)).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(response.headers()["x-should-retry"], "false");
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["code"], "provider_rejected_request");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("the words of the provider"), "{detail}");
    assert!(!problem.to_string().contains("sk-canary"));
}

#[tokio::test]
async fn an_alias_goes_on_to_its_next_model_and_the_answer_says_who_it_was() {
    let shop = Shop::new(None).await;
    let down = Behaviour::failing(Fault::Status { status: 500 });
    shop.mock.for_model(OPENAI, down);
    let (status, answer) = shop.ask(&question(ALIAS)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["model_id"], ALIAS);
    assert_eq!(answer["metadata"]["provider"], "anthropic");
    assert!(answer["metadata"]["attempts"].as_u64() > Some(1));
}

#[tokio::test]
async fn the_budget_of_a_key_holds_for_that_key_alone() {
    let shop = Shop::new(None).await;
    shop.budget("key/k1", 1).await;
    let (status, _) = shop.ask(&question(OPENAI)).await;
    assert_eq!(status, StatusCode::OK);
    let mut request = Request::post("/generate")
        .header("content-type", "application/json")
        .body(Body::from(question(OPENAI).to_string()))
        .unwrap();
    request.extensions_mut().insert(caller("k1"));
    let response = shop.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["code"], "budget_exceeded");
    assert_eq!(problem["budget"]["scope"], "key/k1");
    assert_eq!(shop.mock.exchanges().len(), 1);
}

#[tokio::test]
async fn a_caller_who_hangs_up_stops_the_provider_and_pays_for_what_was_used() {
    let shop = Shop::new(None).await;
    shop.mock.next(Behaviour {
        text: Some("word ".repeat(1_000)),
        event_ms: 20,
        ..Behaviour::default()
    });
    let mut body = question(OPENAI);
    body["max_tokens"] = 1_000.into();
    body["stream"] = true.into();
    let response = shop.post("/generate", &body).await;
    let mut parts = response.into_body().into_data_stream();
    assert!(parts.next().await.unwrap().is_ok());
    drop(parts);
    while shop.ledger().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while shop.mock.exchanges()[0].ended == Ended::Open {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(shop.mock.exchanges()[0].ended, Ended::Abandoned);
    let entry = &shop.ledger().await[0];
    assert!(entry.cost <= entry.bound);
    assert!(entry.cost.get() > 0);
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_a_problem() {
    let shop = Shop::new(None).await;
    shop.mock
        .next(Behaviour::failing(Fault::ErrorAfter { events: 3 }));
    let events = shop.events(&question(OPENAI)).await;
    let (name, problem) = events.last().unwrap();
    assert_eq!(name, "error", "{events:?}");
    assert!(problem["code"].as_str().unwrap().starts_with("provider_"));
    assert_eq!(shop.ledger().await.len(), 1);
}

#[tokio::test]
async fn the_limit_of_a_provider_sends_a_caller_back_with_the_time_of_its_turn() {
    let shop = Shop::new(Some(1)).await;
    let (status, _) = shop.ask(&question(OPENAI)).await;
    assert_eq!(status, StatusCode::OK);
    let response = shop.post("/generate", &question(OPENAI)).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = response.headers()["retry-after"].to_str().unwrap();
    let wait: u64 = wait.parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(response.headers().get("x-should-retry").is_none());
    assert_eq!(shop.mock.exchanges().len(), 1);
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_each_failure_is_its_own() {
    let shop = Shop::new(None).await;
    let mut requests: Vec<Value> = (0..8)
        .map(|number| json!({"model_id": OPENAI, "prompt": format!("row {number}")}))
        .collect();
    requests[3] = json!({"model_id": "base:nobody", "prompt": "Hi"});
    let gone = Behaviour::failing(Fault::QuotaExhausted);
    shop.mock.for_model(ANTHROPIC, gone);
    requests[5]["model_id"] = ANTHROPIC.into();
    let response = shop
        .post("/generate/batch", &json!({ "requests": requests }))
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let results: Value = serde_json::from_slice(&body).unwrap();
    for (number, result) in results["results"].as_array().unwrap().iter().enumerate() {
        match number {
            3 => assert_eq!(result["error"]["code"], "model_not_found"),
            5 => assert_eq!(result["error"]["code"], "provider_quota_exhausted"),
            _ => assert_eq!(
                result["response"]["text"],
                format!("You said: row {number}"),
                "{result}"
            ),
        }
    }
}

#[tokio::test]
async fn a_batch_with_more_than_a_limit_allows_at_once_is_answered_all_the_same() {
    let shop = Shop::new(Some(600)).await;
    // All that may be asked at once is taken; the next is free after 100 ms.
    shop.take_all_turns(600).await;
    let requests: Vec<Value> = (0..5).map(|_| question(OPENAI)).collect();
    let response = shop
        .post("/generate/batch", &json!({ "requests": requests }))
        .await;
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let results: Value = serde_json::from_slice(&body).unwrap();
    for result in results["results"].as_array().unwrap() {
        assert!(result["response"].is_object(), "{result}");
    }
    assert_eq!(shop.ledger().await.len(), 5);
}

#[tokio::test]
async fn a_batch_asks_nothing_more_when_its_time_is_over() {
    let shop = Shop::new(None).await;
    let state = GenerateState {
        longest: Some(Duration::from_millis(300)),
        ..shop.state.clone()
    };
    let slow = Behaviour {
        head_ms: 60_000,
        ..Behaviour::default()
    };
    shop.mock.for_model(OPENAI, slow);
    // More than are under way at once.
    let requests: Vec<Value> = (0..40).map(|_| question(OPENAI)).collect();
    let request = Request::post("/generate/batch")
        .header("content-type", "application/json")
        .body(Body::from(json!({ "requests": requests }).to_string()))
        .unwrap();
    let response = router(state).oneshot(request).await.unwrap();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let results: Value = serde_json::from_slice(&body).unwrap();
    let codes = results["results"].as_array().unwrap().iter();
    let mut codes: Vec<&str> = codes
        .map(|it| it["error"]["code"].as_str().unwrap())
        .collect();
    codes.dedup();
    assert_eq!(codes, ["provider_timeout", "model_timeout"]);
    let asked = shop.mock.exchanges().len();
    assert_eq!((asked, shop.ledger().await.len()), (32, 32));
}
