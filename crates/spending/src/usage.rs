use std::collections::BTreeMap;

use llmopt_domain::{Picodollars, TokenUsage};
use llmopt_storage::spend::{Basis, LedgerEntry};

use crate::{Spending, SpendingError};

/// How many entries are read at once.
const PAGE: u32 = 500;

/// What entries of the ledger are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The model that answered.
    Model,
    /// The provider that answered.
    Provider,
    /// The key that asked.
    Key,
    /// The day.
    Day,
}

/// What the requests of one group used and cost together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageTotal {
    /// The requests.
    pub requests: u64,
    /// What they used, as far as it is known.
    pub usage: TokenUsage,
    /// What they cost.
    pub cost: Picodollars,
    /// What of that was the most that it can have been, because nobody told what it was.
    pub assumed: Picodollars,
}

impl Spending {
    /// Adds up what was spent on days (`2026-11-26`), by group. It reads every entry of those days.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn usage(
        &self,
        days: &[String],
        by: GroupBy,
    ) -> Result<BTreeMap<String, UsageTotal>, SpendingError> {
        let mut totals: BTreeMap<String, UsageTotal> = BTreeMap::new();
        for day in days {
            let mut after = None;
            loop {
                let page = self.store.ledger(day, after.as_ref(), PAGE).await?;
                for entry in &page {
                    totals.entry(by.group(entry)).or_default().add(entry);
                }
                after = page.last().map(LedgerEntry::place);
                if page.len() < PAGE as usize {
                    break;
                }
            }
        }
        Ok(totals)
    }
}

impl GroupBy {
    fn group(self, entry: &LedgerEntry) -> String {
        match self {
            Self::Model => entry.asked.model.clone(),
            Self::Provider => entry.asked.provider.clone(),
            Self::Key => entry.asked.key.clone(),
            Self::Day => entry.day.clone(),
        }
    }
}

impl UsageTotal {
    fn add(&mut self, entry: &LedgerEntry) {
        self.requests += 1;
        self.cost = [self.cost, entry.cost].into_iter().sum();
        if entry.basis == Basis::Assumed {
            self.assumed = [self.assumed, entry.cost].into_iter().sum();
        }
        let (total, more) = (&mut self.usage, &entry.usage);
        for (total, more) in [
            (&mut total.input_tokens, more.input_tokens),
            (&mut total.cache_read_tokens, more.cache_read_tokens),
            (&mut total.cache_write_tokens, more.cache_write_tokens),
            (
                &mut total.cache_write_long_tokens,
                more.cache_write_long_tokens,
            ),
            (&mut total.output_tokens, more.output_tokens),
            (&mut total.reasoning_tokens, more.reasoning_tokens),
        ] {
            *total = total.saturating_add(more);
        }
    }
}
