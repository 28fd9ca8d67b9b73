use std::sync::LazyLock;

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{PriceTable, Region, ServiceTier};

fn pico(amount: u64) -> Picodollars {
    Picodollars::new(amount).unwrap()
}

/// A price whose dearest input is another kind in each tier, and dearer in the middle than at the end.
fn price() -> Price {
    let text = r#"{
        "rates": { "input": 10, "output": 50, "cache_read": 1, "cache_write": 12, "cache_write_long": 20 },
        "long_prompts": [
            { "above_prompt_tokens": 100, "rates": { "input": 40, "output": 90 } },
            { "above_prompt_tokens": 200, "rates": { "input": 15, "output": 60, "cache_write": 14 } }
        ],
        "multipliers": { "batch": "1/2", "flex": "1/3", "priority": "2/1" }
    }"#;
    serde_json::from_str(text).unwrap()
}

fn usage(input: u64, output: u64) -> TokenUsage {
    TokenUsage {
        input_tokens: input,
        output_tokens: output,
        ..TokenUsage::default()
    }
}

fn limits(prompt_tokens: u64, output_tokens: u64) -> TokenLimits {
    TokenLimits {
        prompt_tokens,
        output_tokens,
    }
}

fn asked(tier: AskedTier) -> AskedTerms {
    AskedTerms {
        tier,
        region: Region::Global,
    }
}

fn tier(tier: ServiceTier) -> Terms {
    Terms {
        tier,
        region: Region::Global,
    }
}

#[test]
fn each_kind_of_token_is_charged_once_at_its_own_rate() {
    let usage = TokenUsage {
        input_tokens: 3,
        cache_read_tokens: 5,
        cache_write_tokens: 7,
        cache_write_long_tokens: 11,
        output_tokens: 13,
        reasoning_tokens: 12,
    };
    let cost = 3 * 10 + 5 + 7 * 12 + 11 * 20 + 13 * 50;
    assert_eq!(price().cost(&usage, Terms::default()), Ok(pico(cost)));
}

#[test]
fn a_long_prompt_makes_the_whole_request_dearer_and_the_cache_counts() {
    let cost = |usage| price().cost(&usage, Terms::default());
    assert_eq!(cost(usage(100, 1)), Ok(pico(100 * 10 + 50)));
    assert_eq!(cost(usage(101, 1)), Ok(pico(101 * 40 + 90)));
    assert_eq!(cost(usage(200, 1)), Ok(pico(200 * 40 + 90)));
    assert_eq!(cost(usage(201, 1)), Ok(pico(201 * 15 + 60)));
    let cached = TokenUsage {
        cache_read_tokens: 100,
        ..usage(1, 1)
    };
    assert_eq!(cost(cached), Ok(pico(101 * 40 + 90)));
}

#[test]
fn what_does_not_divide_is_rounded_up_once() {
    let cost = |terms| price().cost(&usage(1, 0), terms);
    assert_eq!(cost(tier(ServiceTier::Batch)), Ok(pico(5)));
    assert_eq!(cost(tier(ServiceTier::Flex)), Ok(pico(4)));
    assert_eq!(cost(tier(ServiceTier::Priority)), Ok(pico(20)));
    // 100 tokens at a third are 334, not 100 times 4.
    let cost = price().cost(&usage(100, 0), tier(ServiceTier::Flex));
    assert_eq!(cost, Ok(pico(334)));
}

#[test]
fn the_most_is_that_of_the_dearest_rates_on_the_way() {
    let most = |prompt, output| price().cost_unknown(limits(prompt, output), Terms::default());
    assert_eq!(most(0, 0), Ok(Picodollars::ZERO));
    assert_eq!(most(100, 1), Ok(pico(100 * 20 + 50)));
    assert_eq!(most(101, 1), Ok(pico(101 * 40 + 90)));
    // 200 tokens in the middle cost more than 201 at the end.
    assert_eq!(most(201, 1), Ok(pico(200 * 40 + 90)));
    assert_eq!(most(1_000, 0), Ok(pico(1_000 * 15)));
}

#[test]
fn what_is_reserved_is_that_of_the_dearest_tier_that_may_answer() {
    let bound = |tier| price().bound(limits(100, 1), asked(tier)).unwrap().get();
    let standard = 100 * 20 + 50;
    assert_eq!(bound(AskedTier::Standard), standard);
    assert_eq!(bound(AskedTier::Flex), standard);
    assert_eq!(bound(AskedTier::Auto), 2 * standard);
    assert_eq!(bound(AskedTier::Priority), 2 * standard);
    assert_eq!(bound(AskedTier::Batch), standard / 2);
}

#[test]
fn terms_without_a_price_are_refused_and_never_free() {
    let mut price = price();
    price.multipliers.priority = None;
    let terms = tier(ServiceTier::Priority);
    let refusal = Err(CostError::NoTerms { terms: "priority" });
    assert_eq!(price.cost(&usage(1, 1), terms), refusal);
    assert_eq!(price.cost_unknown(limits(1, 1), terms), refusal);
    let priority = asked(AskedTier::Priority);
    assert_eq!(price.bound(limits(1, 1), priority), refusal);
    // The provider does not choose what it does not sell.
    assert_eq!(
        price.bound(limits(1, 1), asked(AskedTier::Auto)),
        Ok(pico(70))
    );
    let regional = Terms {
        region: Region::Regional,
        ..Terms::default()
    };
    assert_eq!(
        price.cost(&usage(0, 0), regional),
        Err(CostError::NoTerms { terms: "regional" })
    );
}

#[test]
fn a_cost_that_no_amount_holds_is_refused() {
    let most = Picodollars::MAX.get() / 15;
    let cost = |input| price().cost(&usage(input, 0), Terms::default());
    assert_eq!(cost(most), Ok(pico(most * 15)));
    assert_eq!(cost(most + 1), Err(CostError::TooMuch));
    let all = TokenUsage {
        input_tokens: u64::MAX,
        cache_read_tokens: u64::MAX,
        cache_write_tokens: u64::MAX,
        cache_write_long_tokens: u64::MAX,
        output_tokens: u64::MAX,
        reasoning_tokens: u64::MAX,
    };
    let table = PriceTable::embedded().unwrap();
    for period in table.models().iter().flat_map(|model| &model.periods) {
        let cost = period.price.cost(&all, Terms::default());
        assert_eq!(cost, Err(CostError::TooMuch));
    }
    let unlimited = limits(u64::MAX, u64::MAX);
    let bound = price().bound(unlimited, asked(AskedTier::Auto));
    assert_eq!(bound, Err(CostError::TooMuch));
}

/// Every price that is built in, and the one above.
static PRICES: LazyLock<Vec<Price>> = LazyLock::new(|| {
    let table = PriceTable::embedded().unwrap();
    let periods = table.models().iter().flat_map(|model| &model.periods);
    let prices = periods.map(|period| period.price.clone());
    prices.chain([price()]).collect()
});

/// A length of a prompt: any, or one near where prices change.
fn prompts() -> impl Strategy<Value = u64> {
    let near = prop::sample::select(vec![0, 100_000, 200_000, 272_000, 1_050_000]);
    prop_oneof![
        0_u64..2_000_000,
        (near, 0_u64..3).prop_map(|(near, more)| (near + more).saturating_sub(1)),
    ]
}

/// Divides `total` in four parts that together are at most it.
fn parts(total: u64, cuts: [Index; 3], spent: Index) -> [u64; 4] {
    let spent = spent.index(total as usize + 1) as u64;
    let mut left = spent;
    let mut part = |cut: Index| {
        let part = cut.index(left as usize + 1) as u64;
        left -= part;
        part
    };
    let [one, two, three] = cuts.map(&mut part);
    [one, two, three, left]
}

fn asked_tiers() -> impl Strategy<Value = AskedTier> {
    prop::sample::select(vec![
        AskedTier::Auto,
        AskedTier::Standard,
        AskedTier::Batch,
        AskedTier::Flex,
        AskedTier::Priority,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_answer_within_its_limits_costs_more_than_was_reserved(
        row in any::<Index>(),
        prompt_tokens in prompts(),
        output_tokens in 0_u64..200_000,
        (cuts, all) in (any::<[Index; 3]>(), any::<bool>()),
        (spent, written) in (any::<Index>(), any::<Index>()),
        (asked, answered) in (asked_tiers(), any::<Index>()),
        regional in any::<bool>(),
    ) {
        let price = row.get(&PRICES);
        let region = if regional { Region::Regional } else { Region::Global };
        let limits = TokenLimits { prompt_tokens, output_tokens };
        let asked = AskedTerms { tier: asked, region };
        let Ok(bound) = price.bound(limits, asked) else {
            // What is asked for by name has no price: such a request is not sent.
            return Ok(());
        };
        let mut kinds = parts(prompt_tokens, cuts, spent);
        if all {
            // The whole prompt, in one kind.
            kinds = [0; 4];
            kinds[written.index(4)] = prompt_tokens;
        }
        let usage = TokenUsage {
            input_tokens: kinds[0],
            cache_read_tokens: kinds[1],
            cache_write_tokens: kinds[2],
            cache_write_long_tokens: kinds[3],
            output_tokens: if all { output_tokens } else { written.index(output_tokens as usize + 1) as u64 },
            reasoning_tokens: 0,
        };
        let terms = Terms { tier: *answered.get(asked.tier.possible()), region };
        if let Ok(cost) = price.cost(&usage, terms) {
            prop_assert!(cost <= bound, "{cost} of {usage:?} at {terms:?} is above {bound}");
            let unknown = price.cost_unknown(limits, terms).unwrap();
            prop_assert!(cost <= unknown && unknown <= bound);
        }
    }
}
