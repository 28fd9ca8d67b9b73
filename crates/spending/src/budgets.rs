use llmopt_domain::{Format, Picodollars};
use llmopt_storage::{
    StorageError,
    spend::{Budget, BudgetRow, BudgetScope, Limit, RowKey},
};

use crate::{Moment, Spending, SpendingError};

/// How often others may change a budget between our looks at it.
const TRIES: u32 = 8;

/// What a scope is to be allowed to spend; where no period has a limit, anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetLimits {
    /// In a day, in UTC.
    pub daily: Option<Picodollars>,
    /// In a calendar month, in UTC.
    pub monthly: Option<Picodollars>,
    /// Ever.
    pub total: Option<Picodollars>,
    /// The parts of a limit, in per cent, that somebody is told of when they are spent.
    pub alert_percent: Vec<u8>,
}

/// How a budget stands in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose budget, and in which window.
    pub key: RowKey,
    /// What is spent, held and available.
    pub row: BudgetRow,
}

impl Spending {
    /// Makes or changes the budget of a scope, and returns it. What is spent and reserved counts on: a limit that
    /// is lower than that lets nothing through until the window ends or it is raised. A period that gets its
    /// first limit has what is reserved from then on; what was spent before does not count.
    ///
    /// # Errors
    /// Those of the store. The budget may be changed then; doing it again is harmless.
    pub async fn set_budget(
        &self,
        scope: &BudgetScope,
        wanted: &BudgetLimits,
        now_ms: u64,
    ) -> Result<Budget, SpendingError> {
        let budget = self.put_budget(scope, wanted).await?;
        for (key, limit) in limits(&budget, &Moment::new(now_ms)) {
            // Without this the next request would do it.
            self.store.set_limit(&key, &limit).await?;
        }
        Ok(budget)
    }

    async fn put_budget(
        &self,
        scope: &BudgetScope,
        wanted: &BudgetLimits,
    ) -> Result<Budget, SpendingError> {
        let mut tried = 0;
        loop {
            let known = self.store.budget(scope).await?;
            let revision = known.as_ref().map_or(0, |known| known.revision);
            let same = wanted.budget(scope, revision);
            if let Some(known) = known.filter(|known| *known == same) {
                return Ok(known);
            }
            let budget = wanted.budget(scope, revision + 1);
            match self.store.put_budget(&budget).await {
                Ok(()) => return Ok(budget),
                Err(StorageError::Conflict { .. }) if tried + 1 < TRIES => tried += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lets a scope spend anything. What is reserved of its budget is settled as if it were there.
    ///
    /// # Errors
    /// Those of [`set_budget`](Self::set_budget).
    pub async fn delete_budget(
        &self,
        scope: &BudgetScope,
        now_ms: u64,
    ) -> Result<(), SpendingError> {
        let nothing = BudgetLimits::default();
        self.set_budget(scope, &nothing, now_ms).await.map(drop)
    }

    /// Returns the budgets that limit something.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn budgets(&self) -> Result<Vec<Budget>, SpendingError> {
        let mut budgets = self.store.budgets().await?;
        budgets.retain(|it| it.daily.is_some() || it.monthly.is_some() || it.total.is_some());
        Ok(budgets)
    }

    /// Returns how the budget of a scope stands in its windows, the shortest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn standing(
        &self,
        scope: &BudgetScope,
        now_ms: u64,
    ) -> Result<Vec<Standing>, SpendingError> {
        let Some(budget) = self.store.budget(scope).await? else {
            return Ok(Vec::new());
        };
        let mut standing = Vec::new();
        for (key, limit) in limits(&budget, &Moment::new(now_ms)) {
            let row = self.store.row(&key).await?;
            let row = row.unwrap_or_else(|| BudgetRow::new(limit));
            standing.push(Standing { key, row });
        }
        Ok(standing)
    }
}

impl BudgetLimits {
    fn budget(&self, scope: &BudgetScope, revision: u64) -> Budget {
        Budget {
            format: Format,
            scope: scope.clone(),
            revision,
            daily: self.daily,
            monthly: self.monthly,
            total: self.total,
            alert_percent: self.alert_percent.clone(),
        }
    }
}

/// Returns the rows of a budget at a moment that have limits, the shortest window first.
pub(crate) fn limits(budget: &Budget, moment: &Moment) -> Vec<(RowKey, Limit)> {
    let amounts = [budget.daily, budget.monthly, budget.total];
    let rows = moment.rows(&budget.scope).into_iter().zip(amounts);
    let limited = rows.filter_map(|(key, amount)| {
        let limit = Limit {
            amount: amount?,
            revision: budget.revision,
            alert_percent: budget.alert_percent.clone(),
        };
        Some((key, limit))
    });
    limited.collect()
}
