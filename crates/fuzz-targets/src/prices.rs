use llmopt_domain::TokenUsage;
use llmopt_prices::{
    AskedTerms, AskedTier, Day, Lookup, Price, PriceTable, Region, Terms, TokenLimits,
};

use crate::text::check_error;

/// Days that are asked for: long before any table, and long after.
const DAYS: [&str; 3] = ["2019-12-31", "2026-11-26", "2099-01-01"];
/// A prompt and an answer, up to those that no price is made for.
const LENGTHS: [u64; 4] = [0, 1, 300_000, u64::MAX / 4];

/// A table of prices, such as a newer one from a store.
pub(crate) fn table(bytes: &[u8]) {
    let table = match PriceTable::parse(bytes) {
        Ok(table) => table,
        Err(error) => return drop(check_error(&error)),
    };
    let again = PriceTable::parse(bytes).map(|again| again.version().clone());
    assert_eq!(again.ok().as_ref(), Some(table.version()));
    for model in table.models() {
        for name in model.names() {
            check_model(&table, name);
        }
    }
    for day in DAYS.into_iter().filter_map(|day| day.parse().ok()) {
        assert_eq!(table.find("\u{0}no model", day), Lookup::Unknown);
    }
}

/// A name of the table is found on any day, with a price that keeps to its own bounds, or with what to use instead.
fn check_model(table: &PriceTable, name: &str) {
    for day in DAYS.into_iter().filter_map(|day| day.parse::<Day>().ok()) {
        match table.find(name, day) {
            Lookup::Price { model, price } => {
                assert!(model.names().any(|known| known == name));
                check_price(price);
            }
            Lookup::Retired { since, replacement } => {
                assert!(since <= day);
                let there = replacement.map(|name| table.model(name).is_some());
                assert_ne!(
                    there,
                    Some(false),
                    "`{name}` is replaced by what is not there"
                );
            }
            Lookup::Unknown => {}
        }
    }
}

/// No answer costs more than what is reserved for it.
fn check_price(price: &Price) {
    for prompt_tokens in LENGTHS {
        for output_tokens in LENGTHS {
            let limits = TokenLimits {
                prompt_tokens,
                output_tokens,
            };
            let asked = AskedTerms {
                tier: AskedTier::Auto,
                region: Region::Global,
            };
            // An amount may be larger than any: then the request is refused.
            let Ok(bound) = price.bound(limits, asked) else {
                continue;
            };
            let usage = TokenUsage {
                input_tokens: prompt_tokens / 2,
                cache_read_tokens: prompt_tokens / 4,
                cache_write_tokens: prompt_tokens / 4,
                output_tokens,
                ..TokenUsage::default()
            };
            let cost = price.cost(&usage, Terms::default());
            assert!(cost.is_ok_and(|cost| cost <= bound), "more than {bound}");
        }
    }
}
