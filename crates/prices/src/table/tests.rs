use serde_json::{Value, json};

use super::*;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn embedded() -> PriceTable {
    PriceTable::embedded().unwrap()
}

/// A table of one model with two prices, and one that took over.
fn small() -> Value {
    let price = |input: u64| {
        json!({
            "rates": { "input": input, "output": 8_000_000, "cache_read": 1_000_000 },
            "long_prompts": [
                { "above_prompt_tokens": 100, "rates": { "input": 4_000_000, "output": 9_000_000 } },
                { "above_prompt_tokens": 200, "rates": { "input": 6_000_000, "output": 9_000_000 } },
            ],
            "multipliers": { "batch": "1/2" },
        })
    };
    json!({
        "format": 1,
        "date": "2026-06-01",
        "models": [
            {
                "id": "old", "provider": "openai", "aliases": ["old-2026"], "apis": ["chat"],
                "shutdown": { "on": "2026-05-01", "replacement": "new" },
                "periods": [
                    { "from": "2026-01-01", "until": "2026-02-01", "price": price(3_000_000), "verified": "2026-01-01", "source": "a page" },
                    { "from": "2026-02-01", "price": price(2_000_000), "verified": "2026-01-01", "source": "a page" },
                ],
            },
            {
                "id": "new", "provider": "openai", "apis": ["chat"],
                "periods": [{ "from": "2026-03-01", "price": price(2_000_000), "verified": "2026-03-01", "source": "a page" }],
            },
        ],
    })
}

fn parse(table: &Value) -> Result<PriceTable, TableError> {
    PriceTable::parse(table.to_string().as_bytes())
}

/// Changes the small table in one place, and returns what is said against it.
fn refused(pointer: &str, value: Value) -> String {
    let mut table = small();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = table.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => other[key] = value,
    }
    let error = parse(&table).unwrap_err();
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn the_embedded_table_keeps_every_rule() {
    let table = embedded();
    assert!(table.models().len() >= 80);
    assert_eq!(table.version().date, day("2026-11-26"));
    assert_eq!(table.version().digest, Digest::of_bytes(EMBEDDED));
    let shown = table.version().to_string();
    assert!(
        shown.starts_with("2026-11-26 ") && shown.len() == 23,
        "{shown}"
    );
}

#[test]
fn in_the_embedded_table_every_discount_divides_exactly() {
    for model in embedded().models() {
        for price in model.periods.iter().map(|period| &period.price) {
            let ratios = [
                price.multipliers.batch,
                price.multipliers.flex,
                price.multipliers.priority,
            ];
            let region = price.multipliers.regional.map_or(1, |it| it.denominator());
            let long = price.long_prompts.iter().map(|long| &long.rates);
            for rates in [&price.rates].into_iter().chain(long) {
                for rate in [
                    rates.input,
                    rates.output,
                    rates.cache_read(),
                    rates.cache_write(),
                ] {
                    for ratio in ratios.iter().flatten() {
                        let divisor = u64::from(ratio.denominator()) * u64::from(region);
                        assert_eq!(rate.get() % divisor, 0, "{}", model.id);
                    }
                }
            }
        }
    }
}

#[test]
fn a_price_holds_from_its_first_day_to_the_next_ones() {
    let table = embedded();
    let input = |at| match table.find("gpt-5.6-luna", day(at)) {
        Lookup::Price { price, .. } => price.rates.input.get(),
        other => panic!("{other:?}"),
    };
    assert_eq!(input("2026-07-29"), 1_000_000);
    assert_eq!(input("2026-07-30"), 200_000);
    assert_eq!(
        table.find("gpt-5.6-luna", day("2026-07-08")),
        Lookup::Unknown
    );
}

#[test]
fn a_dated_name_has_its_models_price() {
    let table = embedded();
    let at = day("2026-11-26");
    for (name, id) in [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("gpt-5.6", "gpt-5.6-sol"),
    ] {
        assert_eq!(table.find(name, at), table.find(id, at));
        assert!(matches!(table.find(name, at), Lookup::Price { model, .. } if model.id == id));
    }
}

#[test]
fn what_a_model_is_known_to_refuse_is_in_the_table() {
    let table = embedded();
    let model = |id| table.model(id).unwrap();
    use crate::{Api, Refusal};
    assert_eq!(
        model("claude-sonnet-5").rejects,
        [Refusal::SamplingParameters]
    );
    assert_eq!(model("claude-opus-5-5").rejects, [Refusal::ForcedToolUse]);
    assert!(model("claude-sonnet-4-6").rejects.is_empty());
    assert_eq!(model("o3-pro").apis, [Api::Responses]);
    assert_eq!(model("gpt-5.5").apis, [Api::Chat, Api::Responses]);
}

#[test]
fn a_model_that_ended_is_answered_with_one_that_did_not() {
    let table = embedded();
    let found = table.find("gpt-5", day("2026-12-10"));
    assert!(matches!(found, Lookup::Price { .. }), "{found:?}");
    assert_eq!(
        table.find("gpt-5-2025-08-07", day("2026-12-11")),
        Lookup::Retired {
            since: day("2026-12-11"),
            replacement: Some("gpt-6.1-sol"),
        }
    );
    // Its first replacement has ended, too.
    assert_eq!(
        table.find("o1-mini", day("2026-11-26")),
        Lookup::Retired {
            since: day("2025-10-27"),
            replacement: Some("gpt-5.6-terra"),
        }
    );
}

#[test]
fn a_model_that_nobody_knows_has_no_price() {
    let (table, at) = (embedded(), day("2026-11-26"));
    let fine_tuned = "ft:gpt-4o-2024-08-06:acme::1";
    assert_eq!(table.find(fine_tuned, at), Lookup::Unknown);
    assert!(matches!(table.find("gpt-4", at), Lookup::Retired { .. }));
    assert!(matches!(table.find("gpt-4o", at), Lookup::Price { .. }));
}

#[test]
fn a_ceiling_is_the_price_of_every_token_on_all_terms() {
    let pico = |amount| llmopt_domain::Picodollars::new(amount).unwrap();
    let price = crate::Price::from(crate::Ceiling {
        input: pico(20_000_000),
        output: pico(80_000_000),
    });
    let usage = llmopt_domain::TokenUsage {
        input_tokens: 1,
        cache_write_long_tokens: 1,
        output_tokens: 1,
        ..Default::default()
    };
    let terms = crate::Terms {
        tier: crate::ServiceTier::Priority,
        region: crate::Region::Regional,
    };
    assert_eq!(price.cost(&usage, terms), Ok(pico(120_000_000)));
}

#[test]
fn bytes_that_are_no_table_are_refused_with_their_place() {
    for (pointer, value, said) in [
        ("/format", json!(2), "expected 1"),
        ("/colour", json!(1), "unknown field `colour`"),
        ("/models/0/colour", json!(1), "`models[0].colour`"),
        (
            "/models/0/periods/0/price/rates/input",
            json!(2.5),
            "floating point",
        ),
        (
            "/models/0/periods/0/price/rates/input",
            json!(-1),
            "`models[0].periods[0].price.rates.input`",
        ),
        (
            "/models/0/periods/0/price/rates/cached",
            json!(1),
            "unknown field `cached`",
        ),
        (
            "/models/0/periods/0/price/long_prompts/0/rate",
            json!(1),
            "unknown field `rate`",
        ),
        (
            "/models/0/periods/0/price/multipliers/batch",
            json!("0.5"),
            "`1/2`",
        ),
        (
            "/models/0/periods/0/price/multipliers/slow",
            json!("1/2"),
            "unknown field `slow`",
        ),
        ("/models/0/periods/0/from", json!("January"), "is no day"),
        (
            "/models/0/shutdown/by",
            json!("2026-05-01"),
            "unknown field `by`",
        ),
        (
            "/models/0/provider",
            json!("acme"),
            "unknown variant `acme`",
        ),
    ] {
        let refusal = refused(pointer, value);
        assert!(refusal.contains(said), "{pointer}: {refusal}");
    }
    for bytes in [&b""[..], b"{}", b"null", b"\xff", b"[]"] {
        assert!(PriceTable::parse(bytes).is_err());
    }
    let twice = small().to_string() + "{}";
    assert!(PriceTable::parse(twice.as_bytes()).is_err());
}

#[test]
fn a_table_that_breaks_a_rule_is_refused_with_the_row_and_what_to_do() {
    for (pointer, value, said) in [
        ("/models/0/aliases/0", json!("new"), "the name `new`"),
        ("/models/0/aliases/0", json!("old"), "the name `old`"),
        ("/models/0/aliases/0", json!(""), "the name ``"),
        ("/models/0/aliases/0", json!("o ld"), "the name `o ld`"),
        ("/models/0/apis", json!([]), "a route"),
        ("/models/0/periods", json!([]), "a price in `periods`"),
        (
            "/models/0/periods/1/from",
            json!("2026-01-31"),
            "begin on 2026-02-01",
        ),
        (
            "/models/0/periods/1/from",
            json!("2026-02-02"),
            "begin on 2026-02-01",
        ),
        ("/models/0/periods/0/until", Value::Null, "found none"),
        (
            "/models/0/periods/0/until",
            json!("2026-01-01"),
            "a day after 2026-01-01",
        ),
        (
            "/models/0/shutdown/on",
            json!("2026-02-01"),
            "a day after 2026-02-01",
        ),
        (
            "/models/0/shutdown/replacement",
            json!("newest"),
            "`newest`",
        ),
        ("/models/0/shutdown/replacement", json!("old"), "`old`"),
        (
            "/models/0/periods/0/price/rates/input",
            json!(0),
            "`input` to be from 1000",
        ),
        (
            "/models/0/periods/0/price/rates/output",
            json!(0),
            "`output` to be from 1000",
        ),
        (
            "/models/0/periods/0/price/rates/output",
            json!(2_000_000_001),
            "to 2000000000",
        ),
        (
            "/models/0/periods/0/price/rates/cache_read",
            json!(3_000_001),
            "at most 3000000",
        ),
        (
            "/models/0/periods/0/price/long_prompts/0/rates/cache_read",
            json!(4_000_001),
            "at most 4000000",
        ),
        (
            "/models/0/periods/0/price/long_prompts/0/above_prompt_tokens",
            json!(0),
            "more than 0",
        ),
        (
            "/models/0/periods/0/price/long_prompts/1/above_prompt_tokens",
            json!(100),
            "more than 100",
        ),
        ("/models/0/periods/0/source", json!(" "), "a source"),
        (
            "/models/0/periods/0/verified",
            json!("2026-06-02"),
            "2026-06-01 at the latest",
        ),
    ] {
        let refusal = refused(pointer, value);
        assert!(refusal.contains(said), "{pointer}: {refusal}");
        assert!(refusal.contains("; "), "no fix: {refusal}");
    }
    parse(&small()).unwrap();
}

#[test]
fn only_embeddings_have_output_for_nothing() {
    let mut table = small();
    for period in 0..2 {
        let price = format!("/models/0/periods/{period}/price");
        table.pointer_mut(&price).unwrap()["long_prompts"] = json!([]);
        table.pointer_mut(&price).unwrap()["rates"]["output"] = json!(0);
    }
    assert!(parse(&table).is_err());
    table["models"][0]["apis"] = json!(["embeddings"]);
    parse(&table).unwrap();
}
