use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use llmopt_domain::{Picodollars, TokenUsage};
use llmopt_storage::spend::{Basis, LedgerEntry};

use crate::{Spending, SpendingError};

/// How many entries are read at once.
const PAGE: u32 = 500;
/// How many days are read at once: a store far away takes a while for each page.
const DAYS_AT_ONCE: usize = 16;

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

/// Which entries of the ledger are added up, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// The days, `2026-11-26`, in UTC.
    pub days: Vec<String>,
    /// What groups are of.
    pub by: GroupBy,
    /// Only what this key asked for; `None` is everybody's.
    pub key: Option<String>,
}

/// What was used and cost, in three ways that come to the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// Together.
    pub total: UsageTotal,
    /// By group.
    pub groups: BTreeMap<String, UsageTotal>,
    /// By day, of those on which something was asked.
    pub days: BTreeMap<String, UsageTotal>,
}

impl Spending {
    /// Adds up what was spent, together, by group and by day, in one pass over every entry of the days.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn usage_report(&self, query: &UsageQuery) -> Result<UsageReport, SpendingError> {
        // As texts of their own: a borrowed one would have to live as long as any.
        let days = query.days.iter().cloned();
        let days = days.map(|day| self.report_of_day(query, day));
        let days = stream::iter(days).buffer_unordered(DAYS_AT_ONCE);
        days.try_fold(UsageReport::default(), |mut report, day| async {
            report.merge(day);
            Ok(report)
        })
        .await
    }

    async fn report_of_day(
        &self,
        query: &UsageQuery,
        day: String,
    ) -> Result<UsageReport, SpendingError> {
        let mut report = UsageReport::default();
        let mut after = None;
        loop {
            let page = self.store.ledger(&day, after.as_ref(), PAGE).await?;
            for entry in page.iter().filter(|entry| query.wants(entry)) {
                report.add(entry, query.by);
            }
            after = page.last().map(LedgerEntry::place);
            if page.len() < PAGE as usize {
                return Ok(report);
            }
        }
    }
}

impl UsageQuery {
    fn wants(&self, entry: &LedgerEntry) -> bool {
        self.key.as_ref().is_none_or(|key| *key == entry.asked.key)
    }
}

impl UsageReport {
    fn add(&mut self, entry: &LedgerEntry, by: GroupBy) {
        let cost = UsageTotal::of(entry);
        self.total.add(&cost);
        self.groups.entry(by.group(entry)).or_default().add(&cost);
        self.days.entry(entry.day.clone()).or_default().add(&cost);
    }

    fn merge(&mut self, other: Self) {
        self.total.add(&other.total);
        for (group, total) in other.groups {
            self.groups.entry(group).or_default().add(&total);
        }
        for (day, total) in other.days {
            self.days.entry(day).or_default().add(&total);
        }
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
    fn of(entry: &LedgerEntry) -> Self {
        Self {
            requests: 1,
            usage: entry.usage,
            cost: entry.cost,
            assumed: match entry.basis {
                Basis::Assumed => entry.cost,
                Basis::Measured | Basis::Overrun { .. } => Picodollars::ZERO,
            },
        }
    }

    fn add(&mut self, entry: &Self) {
        self.requests += entry.requests;
        self.cost = [self.cost, entry.cost].into_iter().sum();
        self.assumed = [self.assumed, entry.assumed].into_iter().sum();
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
