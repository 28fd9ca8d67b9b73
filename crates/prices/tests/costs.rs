//! What answers cost, against a list computed by hand.
//!
//! Each line of `data/costs.json` has a formula in dollars for a million tokens, written from the providers' lists, and
//! its exact result. Neither comes from the table or the code.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use llmopt_domain::{Picodollars, TokenUsage};
use llmopt_prices::{
    AskedTerms, AskedTier, Day, Lookup, Price, PriceTable, Region, ServiceTier, Terms, TokenLimits,
};
use serde::Deserialize;

const COSTS: &str = include_str!("data/costs.json");

#[derive(Deserialize)]
struct Line {
    name: String,
    model: String,
    at: Day,
    #[serde(default)]
    tier: ServiceTier,
    #[serde(default)]
    region: Region,
    #[serde(flatten)]
    tokens: Tokens,
    formula: String,
    picodollars: Picodollars,
}

/// What is known of a request's tokens.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tokens {
    Known { usage: TokenUsage },
    Unknown { unknown: Limits },
    Reserved { reserve: Limits, asked: AskedTier },
}

#[derive(Deserialize)]
struct Limits {
    prompt_tokens: u64,
    output_tokens: u64,
}

impl Limits {
    fn tokens(&self) -> TokenLimits {
        TokenLimits {
            prompt_tokens: self.prompt_tokens,
            output_tokens: self.output_tokens,
        }
    }
}

impl Line {
    fn computed(&self, price: &Price) -> Picodollars {
        let terms = Terms {
            tier: self.tier,
            region: self.region,
        };
        let cost = match &self.tokens {
            Tokens::Known { usage } => price.cost(usage, terms),
            Tokens::Unknown { unknown } => price.cost_unknown(unknown.tokens(), terms),
            Tokens::Reserved { reserve, asked } => {
                let asked = AskedTerms {
                    tier: *asked,
                    region: self.region,
                };
                price.bound(reserve.tokens(), asked)
            }
        };
        cost.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

#[test]
fn every_answer_costs_what_the_lists_say() {
    let lines: Vec<Line> = serde_json::from_str(COSTS).unwrap();
    assert!(lines.len() >= 60);
    let table = PriceTable::embedded().unwrap();
    for line in &lines {
        let Lookup::Price { price, .. } = table.find(&line.model, line.at) else {
            panic!("no price of `{}` on {}", line.model, line.at);
        };
        assert_eq!(
            line.computed(price).get(),
            line.picodollars.get(),
            "{}: {} = {}",
            line.model,
            line.name,
            line.formula
        );
    }
}

#[test]
fn both_providers_and_every_kind_of_token_and_tier_are_in_the_list() {
    let lines: Vec<Line> = serde_json::from_str(COSTS).unwrap();
    let known = |has: fn(&TokenUsage) -> u64| {
        let usages = lines.iter().filter_map(|line| match &line.tokens {
            Tokens::Known { usage } => Some(usage),
            _ => None,
        });
        usages.filter(|usage| has(usage) > 0).count()
    };
    assert!(known(|usage| usage.cache_read_tokens) >= 10);
    assert!(known(|usage| usage.cache_write_tokens) >= 10);
    assert!(known(|usage| usage.cache_write_long_tokens) >= 10);
    assert!(known(|usage| usage.reasoning_tokens) >= 5);
    for tier in ServiceTier::ALL {
        assert!(lines.iter().any(|line| line.tier == tier), "{tier:?}");
    }
    for provider in ["gpt-", "claude-"] {
        let of = lines.iter().filter(|line| line.model.starts_with(provider));
        assert!(of.count() >= 20, "{provider}");
    }
}
