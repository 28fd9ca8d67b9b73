use llmopt_domain::TokenUsage;
use llmopt_spending::{UsageReport, UsageTotal};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Days, Dollars, GroupName, csv};

/// What was used on some days, and what it cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsageView {
    /// The first day, in UTC.
    #[schema(format = Date)]
    pub from: String,
    /// The last day.
    #[schema(format = Date)]
    pub to: String,
    /// What groups are of.
    pub group_by: GroupName,
    /// Together.
    pub total: UsageTotals,
    /// By group, the dearest first.
    pub groups: Vec<UsageGroup>,
    /// By day, every day that was asked for.
    pub days: Vec<UsageDay>,
}

/// What some requests used and cost together.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsageTotals {
    /// Entries of the ledger: one for each request, and one more where it was asked again after a call that may have
    /// cost something, or of another model.
    pub requests: u64,
    /// What they cost.
    pub cost_usd: Dollars,
    /// What of that was computed from what the providers counted.
    pub measured_usd: Dollars,
    /// What of that is the most that requests may have cost whose answer nobody saw.
    pub assumed_usd: Dollars,
    /// What they used, as far as the providers counted it.
    pub tokens: TokenTotals,
}

/// Tokens by kind, each counted once: only `reasoning` is part of another.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct TokenTotals {
    /// Input that no cache had and none was given.
    pub input: u64,
    /// Input that came from a provider's cache.
    pub cache_read: u64,
    /// Input that was put into a provider's cache for its short time.
    pub cache_write: u64,
    /// Input that was put into a provider's cache for its long time.
    pub cache_write_long: u64,
    /// Output, what the models thought included.
    pub output: u64,
    /// The part of the output that the models thought.
    pub reasoning: u64,
}

/// What the requests of one group used and cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsageGroup {
    /// The model, the provider, the id of the key, or the day; of a key empty where none was needed.
    pub group: String,
    /// What they used and cost.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

/// What the requests of one day cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsageDay {
    /// The day, in UTC.
    #[schema(format = Date)]
    pub day: String,
    /// The requests.
    pub requests: u64,
    /// What they cost.
    pub cost_usd: Dollars,
}

/// The columns of the table beside the group.
const COLUMNS: [&str; 9] = [
    "requests",
    "cost_usd",
    "assumed_usd",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "output_tokens",
    "reasoning_tokens",
];

impl UsageView {
    /// Shows a report on `days`.
    pub fn new(report: &UsageReport, days: &Days, group_by: GroupName) -> Self {
        let mut groups: Vec<_> = report.groups.iter().collect();
        if group_by != GroupName::Day {
            // Those that cost the same stay in the order of their names.
            groups.sort_by_key(|(_, total)| std::cmp::Reverse(total.cost));
        }
        let group = |(group, total): (&String, &UsageTotal)| UsageGroup {
            group: group.clone(),
            totals: total.into(),
        };
        let day = |day: &String| {
            let total = report.days.get(day).cloned().unwrap_or_default();
            UsageDay {
                day: day.clone(),
                requests: total.requests,
                cost_usd: total.cost.into(),
            }
        };
        Self {
            from: days.first().to_owned(),
            to: days.last().to_owned(),
            group_by,
            total: (&report.total).into(),
            groups: groups.into_iter().map(group).collect(),
            days: days.as_slice().iter().map(day).collect(),
        }
    }

    /// Renders the groups as comma-separated values, with a line of names first. No cell is one that a
    /// spreadsheet takes for a formula.
    pub fn to_csv(&self) -> String {
        let mut table = csv::line([self.group_by.as_str()].into_iter().chain(COLUMNS));
        for UsageGroup { group, totals } in &self.groups {
            let tokens = &totals.tokens;
            let numbers = [
                totals.requests.to_string(),
                totals.cost_usd.as_str().to_owned(),
                totals.assumed_usd.as_str().to_owned(),
                tokens.input.to_string(),
                tokens.cache_read.to_string(),
                tokens.cache_write.to_string(),
                tokens.cache_write_long.to_string(),
                tokens.output.to_string(),
                tokens.reasoning.to_string(),
            ];
            let numbers = numbers.iter().map(String::as_str);
            table += &csv::line([group.as_str()].into_iter().chain(numbers));
        }
        table
    }
}

impl From<&UsageTotal> for UsageTotals {
    fn from(total: &UsageTotal) -> Self {
        let measured = total.cost.checked_sub(total.assumed).unwrap_or_default();
        Self {
            requests: total.requests,
            cost_usd: total.cost.into(),
            measured_usd: measured.into(),
            assumed_usd: total.assumed.into(),
            tokens: total.usage.into(),
        }
    }
}

impl From<TokenUsage> for TokenTotals {
    fn from(usage: TokenUsage) -> Self {
        Self {
            input: usage.input_tokens,
            cache_read: usage.cache_read_tokens,
            cache_write: usage.cache_write_tokens,
            cache_write_long: usage.cache_write_long_tokens,
            output: usage.output_tokens,
            reasoning: usage.reasoning_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use llmopt_domain::Picodollars;

    use super::*;

    fn total(cost: u64) -> UsageTotal {
        UsageTotal {
            requests: 1,
            cost: Picodollars::new(cost).unwrap(),
            ..UsageTotal::default()
        }
    }

    #[test]
    fn groups_come_by_cost_days_by_day_and_none_is_left_out() {
        let day: llmopt_prices::Day = "2026-11-26".parse().unwrap();
        let days = Days::new("2026-11-24".parse().ok(), Some(day), 0).unwrap();
        let groups = [("=b", 5), ("a", 5), ("c", 1_000_000_000_000)];
        let groups = groups.map(|(name, cost)| (name.to_owned(), total(cost)));
        let report = UsageReport {
            total: total(7),
            groups: BTreeMap::from(groups),
            days: BTreeMap::from([("2026-11-25".to_owned(), total(3))]),
        };
        let view = UsageView::new(&report, &days, GroupName::Model);
        let names: Vec<&str> = view.groups.iter().map(|it| &it.group[..]).collect();
        assert_eq!(names, ["c", "=b", "a"]);
        let counts: Vec<u64> = view.days.iter().map(|it| it.requests).collect();
        assert_eq!(counts, [0, 1, 0]);
        let table = view.to_csv();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("model,requests,cost_usd,"), "{table}");
        assert_eq!(lines[1], "c,1,1.00,0.00,0,0,0,0,0,0");
        assert_eq!(lines[2], "'=b,1,0.000000000005,0.00,0,0,0,0,0,0");
    }
}
