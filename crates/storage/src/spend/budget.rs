use std::{collections::BTreeMap, fmt};

use llmopt_domain::{Format, Picodollars};
use serde::{Deserialize, Serialize};

use super::{BudgetScope, RequestId};

/// How many requests may hold a part of one budget at the same time: they all lie in its row.
pub const MOST_HOLDS: usize = 500;

/// What a scope may spend: a limit for each period that has one.
///
/// A budget that was deleted has none, and stays with its revision, so that one that is made later is newer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The version of this format.
    pub format: Format<1>,
    /// Whose it is.
    pub scope: BudgetScope,
    /// Counts its changes from 1.
    pub revision: u64,
    /// What may be spent in a day, in UTC.
    pub daily: Option<Picodollars>,
    /// What may be spent in a calendar month, in UTC.
    pub monthly: Option<Picodollars>,
    /// What may be spent ever.
    pub total: Option<Picodollars>,
    /// The parts of a limit, in per cent, that somebody is told of when they are spent.
    pub alert_percent: Vec<u8>,
}

/// One window of one scope's budget, such as a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowKey {
    /// Whose budget it is.
    pub scope: BudgetScope,
    /// The window: `2026-11-26`, `2026-11` or `total`.
    pub window: String,
}

/// What may be spent in a window, as of a revision of the budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The most that may be spent.
    pub amount: Picodollars,
    /// The budget's revision that says so.
    pub revision: u64,
    /// As [`Budget::alert_percent`].
    pub alert_percent: Vec<u8>,
}

/// A part of a budget that is kept for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// How much.
    pub amount: Picodollars,
    /// A number that no other hold has: each call that takes makes another.
    pub token: u64,
    /// When it was taken, in milliseconds since 1970.
    pub taken_ms: u64,
}

/// A budget in one window: always `limit = available + spent + all holds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetRow {
    /// Its limit.
    pub limit: Limit,
    /// What nobody holds and nobody has spent, in picodollars. Below nothing where the limit was lowered, or a
    /// request came to more than its bound.
    pub available: i64,
    /// What was spent.
    pub spent: Picodollars,
    /// What is held, and by whom.
    pub holds: BTreeMap<RequestId, Hold>,
    /// Until when, in milliseconds since 1970, each alert is somebody's to tell; [`TOLD`] where it was told.
    pub alerts: BTreeMap<u8, u64>,
}

/// The time that an alert has which was told.
pub const TOLD: u64 = i64::MAX as u64;

/// What a request wants of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The request.
    pub request: RequestId,
    /// How much.
    pub amount: Picodollars,
    /// The revision that the row's limit must have, or a later one.
    pub revision: u64,
    /// The time now, in milliseconds since 1970.
    pub now_ms: u64,
}

/// What came of taking a part of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The request has it, or had it before.
    Held(Hold),
    /// Less than that is available.
    Short {
        /// What is, in picodollars.
        available: i64,
        /// The limit.
        limit: Picodollars,
    },
    /// There is no such row.
    Absent,
    /// The row's limit is of an older revision.
    Outdated,
    /// [`MOST_HOLDS`] requests hold a part of it.
    Crowded,
}

impl BudgetRow {
    /// Returns a row of which nothing is spent.
    pub fn new(limit: Limit) -> Self {
        Self {
            available: signed(limit.amount),
            limit,
            spent: Picodollars::ZERO,
            holds: BTreeMap::new(),
            alerts: BTreeMap::new(),
        }
    }

    /// Says why a request cannot take what it wants, or what it has already; `None` where it can.
    pub fn refusal(&self, wanted: &Wanted) -> Option<Taken> {
        if let Some(hold) = self.holds.get(&wanted.request) {
            return Some(Taken::Held(*hold));
        }
        if self.limit.revision < wanted.revision {
            return Some(Taken::Outdated);
        }
        if self.available < signed(wanted.amount) {
            return Some(Taken::Short {
                available: self.available,
                limit: self.limit.amount,
            });
        }
        (self.holds.len() >= MOST_HOLDS).then_some(Taken::Crowded)
    }

    /// Returns what is held by all together.
    pub fn reserved(&self) -> Picodollars {
        self.holds.values().map(|hold| hold.amount).sum()
    }

    /// Returns the alerts, in per cent, that are due and that nobody tells or has told, at `now_ms`.
    pub fn due_alerts(&self, now_ms: u64) -> Vec<u8> {
        let limit = u128::from(self.limit.amount.get());
        let spent = u128::from(self.spent.get()) * 100;
        let due = self.limit.alert_percent.iter().copied().filter(|percent| {
            let until_ms = self.alerts.get(percent).copied().unwrap_or_default();
            spent > 0 && spent >= limit * u128::from(*percent) && until_ms <= now_ms
        });
        due.collect()
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.scope, self.window)
    }
}

/// Returns an amount as a number that can be below nothing.
pub fn signed(amount: Picodollars) -> i64 {
    i64::try_from(amount.get()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_written_as_it_always_was() {
        let json = r#"{"format":1,"scope":"team/search","revision":3,"daily":5000000000000,"monthly":null,"total":null,"alert_percent":[50,80]}"#;
        let budget: Budget = serde_json::from_str(json).unwrap();
        assert_eq!(budget.daily, Picodollars::dollars(5));
        assert_eq!(serde_json::to_string(&budget).unwrap(), json);
    }

    #[test]
    fn alerts_are_due_from_their_part_of_the_limit_on_until_they_are_told() {
        let mut row = BudgetRow::new(Limit {
            amount: Picodollars::MAX,
            revision: 1,
            alert_percent: vec![50, 100],
        });
        assert_eq!(row.due_alerts(5), [0; 0]);
        row.spent = Picodollars::new(Picodollars::MAX.get() / 2).unwrap();
        assert_eq!(row.due_alerts(5), [0; 0]);
        row.spent = Picodollars::new(Picodollars::MAX.get() / 2 + 1).unwrap();
        assert_eq!(row.due_alerts(5), [50]);
        row.alerts.insert(50, 6);
        assert_eq!(row.due_alerts(5), [0; 0]);
        row.spent = Picodollars::MAX;
        assert_eq!(row.due_alerts(6), [50, 100]);
        row.alerts.insert(50, TOLD);
        assert_eq!(row.due_alerts(u64::MAX >> 2), [100]);
    }
}
