use llmopt_domain::{Picodollars, TokenUsage};
use serde::{Deserialize, Serialize};

use crate::{AskedTerms, AskedTier, CostError, LongPrompt, Multipliers, Rates, Ratio, Terms};

/// What tokens cost, on all terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The list's price.
    pub rates: Rates,
    /// What whole requests cost whose prompts are long, the shorter first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub long_prompts: Vec<LongPrompt>,
    /// What other terms make of these rates.
    #[serde(default)]
    pub multipliers: Multipliers,
}

/// How many tokens a request and its answer have at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenLimits {
    /// The prompt's, cached input included.
    pub prompt_tokens: u64,
    /// The answer's, what the model thinks included.
    pub output_tokens: u64,
}

/// What a model is charged at that is not in the table, in picodollars per token, whatever the terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// Any input.
    pub input: Picodollars,
    /// Output.
    pub output: Picodollars,
}

/// A count of tokens, and what each costs.
type Charge = (u64, Picodollars);

impl Price {
    /// Computes what an answer costs, in picodollars.
    ///
    /// It is exact: the only division is by a multiplier's denominator, at the very end. What does not divide is
    /// rounded up by less than one picodollar; in the table that is built in, everything divides.
    ///
    /// # Errors
    /// If the price says nothing of the terms, or no amount is as large as the cost.
    pub fn cost(&self, usage: &TokenUsage, terms: Terms) -> Result<Picodollars, CostError> {
        let rates = self.rates_for(prompt_tokens(usage));
        let charges = [
            (usage.input_tokens, rates.input),
            (usage.cache_read_tokens, rates.cache_read()),
            (usage.cache_write_tokens, rates.cache_write()),
            (usage.cache_write_long_tokens, rates.cache_write_long()),
            // What the model thought is part of it.
            (usage.output_tokens, rates.output),
        ];
        self.total(&charges, terms)
    }

    /// Computes what an answer is charged at whose usage never came, such as a stream's that broke: the most that it
    /// can have cost on these terms.
    ///
    /// # Errors
    /// As [`Self::cost`].
    pub fn cost_unknown(
        &self,
        limits: TokenLimits,
        terms: Terms,
    ) -> Result<Picodollars, CostError> {
        let mut most = Picodollars::ZERO;
        for (prompt_tokens, rates) in self.reachable(limits.prompt_tokens) {
            let charges = [
                (prompt_tokens, rates.dearest_input()),
                (limits.output_tokens, rates.output),
            ];
            most = most.max(self.total(&charges, terms)?);
        }
        Ok(most)
    }

    /// Computes what a budget reserves for a request: no answer within the limits costs more, whatever a cache does
    /// with its prompt and at whichever tier it comes of those that were asked for.
    ///
    /// # Errors
    /// As [`Self::cost`], if what is asked for by name has no price. Where the provider chooses the tier, those
    /// without a price are not chosen.
    pub fn bound(&self, limits: TokenLimits, asked: AskedTerms) -> Result<Picodollars, CostError> {
        let mut most = Picodollars::ZERO;
        for &tier in asked.tier.possible() {
            if asked.tier == AskedTier::Auto && self.multipliers.tier(tier).is_none() {
                continue;
            }
            let terms = Terms {
                tier,
                region: asked.region,
            };
            most = most.max(self.cost_unknown(limits, terms)?);
        }
        Ok(most)
    }

    /// Returns the rates of a request with so long a prompt.
    pub fn rates_for(&self, prompt_tokens: u128) -> &Rates {
        let long = self.long_prompts.iter().rev();
        let mut reached = long.filter(|long| prompt_tokens > u128::from(long.above_prompt_tokens));
        reached.next().map_or(&self.rates, |long| &long.rates)
    }

    /// Returns every rate that a prompt of at most so many tokens may have, with the most tokens that it has there.
    fn reachable(&self, most: u64) -> impl Iterator<Item = (u64, &Rates)> {
        let long = self.long_prompts.iter();
        // Each length ends where the next one begins.
        let ends = long.clone().map(|long| long.above_prompt_tokens);
        let ends = ends.chain([u64::MAX]).map(move |end| most.min(end));
        let reached = long.filter(move |long| most > long.above_prompt_tokens);
        let rates = [&self.rates].into_iter().chain(reached.map(|it| &it.rates));
        ends.zip(rates)
    }

    fn total(&self, charges: &[Charge], terms: Terms) -> Result<Picodollars, CostError> {
        let (numerator, denominator) = self.multipliers.of(terms)?;
        let mut sum: u128 = 0;
        for (tokens, rate) in charges {
            let part = u128::from(*tokens) * u128::from(rate.get());
            sum = sum.checked_add(part).ok_or(CostError::TooMuch)?;
        }
        let product = sum.checked_mul(numerator).ok_or(CostError::TooMuch)?;
        let total = u64::try_from(product.div_ceil(denominator)).ok();
        total.and_then(Picodollars::new).ok_or(CostError::TooMuch)
    }
}

impl From<Ceiling> for Price {
    fn from(ceiling: Ceiling) -> Self {
        Self {
            rates: Rates {
                input: ceiling.input,
                output: ceiling.output,
                cache_read: None,
                cache_write: None,
                cache_write_long: None,
            },
            long_prompts: Vec::new(),
            multipliers: Multipliers {
                batch: Some(Ratio::ONE),
                flex: Some(Ratio::ONE),
                priority: Some(Ratio::ONE),
                regional: Some(Ratio::ONE),
            },
        }
    }
}

/// The prompt's length, which decides on the rates; unlike the usage's own it cannot be too much for its type.
fn prompt_tokens(usage: &TokenUsage) -> u128 {
    [
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.cache_write_long_tokens,
    ]
    .into_iter()
    .map(u128::from)
    .sum()
}

#[cfg(test)]
mod tests;
