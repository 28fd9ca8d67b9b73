use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use llmopt_commercial::{Commercial, CommercialError};
use llmopt_domain::Picodollars;
use llmopt_http::{
    Code, JsonBody, PageParameters, PageView, Parameters, Problem, Validation, now_ms, timestamp,
};
use llmopt_prices::Provider;
use llmopt_spending::{BudgetLimits, Spending, SpendingError, Standing, resets_ms};
use llmopt_storage::spend::{Budget, BudgetScope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{CommercialState, Dollars};

/// The parts of a limit that somebody is told of where the request does not say which.
const ALERTS: [u8; 2] = [80, 100];
const MOST_ALERTS: usize = 10;

/// A budget as it is asked for: the whole of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetBudget {
    /// Whose: `all`, `key/KEYID` or `provider/NAME`.
    #[schema(example = "all")]
    scope: String,
    /// Dollars in a day of UTC, as a decimal number in a text.
    #[schema(pattern = r"^[0-9]{1,7}(\.[0-9]{1,12})?$", example = "5.00")]
    daily_usd: Option<String>,
    /// Dollars in a calendar month of UTC.
    #[schema(pattern = r"^[0-9]{1,7}(\.[0-9]{1,12})?$", example = "100.00")]
    monthly_usd: Option<String>,
    /// Dollars ever.
    #[schema(pattern = r"^[0-9]{1,7}(\.[0-9]{1,12})?$")]
    total_usd: Option<String>,
    /// Parts of each limit, in per cent, that somebody is told of when they are spent; absent, 80 and 100.
    #[schema(max_items = 10)]
    alert_percent: Option<Vec<Percent>>,
}

/// A part of a limit, in per cent.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[schema(minimum = 1, maximum = 100)]
struct Percent(u8);

/// A budget, and how it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BudgetView {
    /// Whose it is.
    pub scope: String,
    /// What may be spent in a day of UTC.
    pub daily_usd: Option<Dollars>,
    /// What may be spent in a calendar month of UTC.
    pub monthly_usd: Option<Dollars>,
    /// What may be spent ever.
    pub total_usd: Option<Dollars>,
    /// The parts of a limit, in per cent, that somebody is told of when they are spent.
    pub alert_percent: Vec<u8>,
    /// How each limit stands now, the shortest window first.
    pub windows: Vec<WindowView>,
}

/// How a limit stands in its window.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WindowView {
    /// The window: `2026-11-26`, `2026-11` or `total`.
    pub window: String,
    /// The limit.
    pub limit_usd: Dollars,
    /// What was spent.
    pub spent_usd: Dollars,
    /// What requests on their way may still cost.
    pub reserved_usd: Dollars,
    /// What is left; below nothing where the limit was lowered.
    pub available_usd: Dollars,
    /// When the next window begins; `null` where there is none.
    #[schema(format = DateTime)]
    pub resets_at: Option<String>,
}

/// Lists the budgets by their scopes, and how each stands.
#[utoipa::path(
    get,
    path = "/commercial/budgets",
    tag = "commercial",
    params(PageParameters),
    responses((status = 200, description = "A part of the list.", body = PageView<BudgetView>))
)]
pub(crate) async fn list_budgets(
    State(state): State<CommercialState>,
    Parameters(page): Parameters<PageParameters>,
) -> Result<Json<PageView<BudgetView>>, Problem> {
    let spending = state.commercial.spending();
    let mut budgets = spending.budgets().await.map_err(CommercialError::from)?;
    budgets.sort_by(|a, b| a.scope.cmp(&b.scope));
    let page = page.part_of(budgets, |budget| budget.scope.as_str())?;
    let mut data = Vec::new();
    for budget in page.data {
        let view = BudgetView::read(spending, budget, now_ms()).await;
        data.push(view.map_err(CommercialError::from)?);
    }
    Ok(Json(PageView {
        data,
        next_cursor: page.next_cursor,
    }))
}

/// Makes the budget of a scope, or changes it into this one; what was spent and reserved counts on.
#[utoipa::path(
    put,
    path = "/commercial/budgets",
    tag = "commercial",
    request_body = SetBudget,
    responses((status = 200, description = "The budget, and how it stands.", body = BudgetView))
)]
pub(crate) async fn set_budget(
    State(state): State<CommercialState>,
    JsonBody(request): JsonBody<SetBudget>,
) -> Result<Json<BudgetView>, Problem> {
    let (scope, limits) = request.validate(&state.commercial)?;
    let spending = state.commercial.spending();
    let now_ms = now_ms();
    let set = spending.set_budget(&scope, &limits, now_ms).await;
    let view = BudgetView::read(spending, set.map_err(CommercialError::from)?, now_ms).await;
    Ok(Json(view.map_err(CommercialError::from)?))
}

/// Deletes the budget of a scope, which may spend anything then.
#[utoipa::path(
    delete,
    path = "/commercial/budgets/{scope}",
    tag = "commercial",
    params(("scope" = String, Path, description = "Whose budget, with `/` as `%2F`.", example = "provider/openai")),
    responses(
        (status = 204, description = "There is none any more."),
        (status = 404, description = "`budget_not_found`"),
    )
)]
pub(crate) async fn delete_budget(
    State(state): State<CommercialState>,
    Path(scope): Path<String>,
) -> Result<StatusCode, Problem> {
    let spending = state.commercial.spending();
    let budgets = spending.budgets().await.map_err(CommercialError::from)?;
    let Some(budget) = budgets.iter().find(|it| it.scope.as_str() == scope) else {
        let detail = format!("`{scope}` has no budget: `GET /commercial/budgets` lists them");
        return Err(Problem::new(Code::BudgetNotFound, detail));
    };
    let deleted = spending.delete_budget(&budget.scope, now_ms()).await;
    deleted.map_err(CommercialError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

impl SetBudget {
    fn validate(self, commercial: &Commercial) -> Result<(BudgetScope, BudgetLimits), Problem> {
        let mut validation = Validation::default();
        let scope = validation.take("/scope", budget_scope(self.scope, commercial));
        let mut amount = |pointer: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(str::parse::<Picodollars>)?;
            validation.take(pointer, parsed)
        };
        let daily = amount("/daily_usd", &self.daily_usd);
        let monthly = amount("/monthly_usd", &self.monthly_usd);
        let total = amount("/total_usd", &self.total_usd);
        let limits = [&self.daily_usd, &self.monthly_usd, &self.total_usd];
        let is_limit = limits.into_iter().any(Option::is_some);
        validation.require(is_limit, "/daily_usd", || {
            "expected `daily_usd`, `monthly_usd` or `total_usd`: DELETE takes a budget away"
                .to_owned()
        });
        let alerts = self.alert_percent.as_deref();
        let alert_percent = validation.take("/alert_percent", alert_percent(alerts));
        validation.finish()?;
        let (Some(scope), Some(alert_percent)) = (scope, alert_percent) else {
            return Err(Problem::new(Code::Internal, "a value is missing"));
        };
        let limits = BudgetLimits {
            daily,
            monthly,
            total,
            alert_percent,
        };
        Ok((scope, limits))
    }
}

/// Returns the scope of that name, if something is ever spent from it: a budget that nothing is taken from would
/// only look like one.
///
/// # Errors
/// What was expected, and found.
pub fn budget_scope(name: String, commercial: &Commercial) -> Result<BudgetScope, String> {
    let is_spent = match name.split_once('/') {
        None => name == "all",
        Some(("key", id)) => !id.is_empty(),
        Some(("provider", provider)) => sells(provider, commercial),
        Some(_) => false,
    };
    let expected = || {
        format!(
            "expected `all`, `key/KEYID`, or `provider/NAME` with a provider that is configured, found `{name}`"
        )
    };
    if !is_spent {
        return Err(expected());
    }
    BudgetScope::try_from(name.clone()).map_err(|_| expected())
}

/// Whether a provider is one that answers here, or may once its key is set.
fn sells(name: &str, commercial: &Commercial) -> bool {
    let known = [Provider::Openai, Provider::Anthropic].map(Provider::name);
    let configured = commercial.circuits();
    known.contains(&name) || configured.iter().any(|it| it.provider == name)
}

/// Returns the parts of a limit to tell of, in their order.
fn alert_percent(wanted: Option<&[Percent]>) -> Result<Vec<u8>, String> {
    let Some(wanted) = wanted else {
        return Ok(ALERTS.to_vec());
    };
    let mut percents: Vec<u8> = wanted.iter().map(|Percent(percent)| *percent).collect();
    let fits = percents.iter().all(|percent| (1..=100).contains(percent));
    if !fits || percents.len() > MOST_ALERTS {
        return Err(format!(
            "expected at most {MOST_ALERTS} numbers from 1 to 100"
        ));
    }
    percents.sort_unstable();
    percents.dedup();
    Ok(percents)
}

impl BudgetView {
    /// Reads how a budget stands.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn read(
        spending: &Spending,
        budget: Budget,
        now_ms: u64,
    ) -> Result<Self, SpendingError> {
        let standing = spending.standing(&budget.scope, now_ms).await?;
        Ok(Self {
            scope: budget.scope.into(),
            daily_usd: budget.daily.map(Dollars::from),
            monthly_usd: budget.monthly.map(Dollars::from),
            total_usd: budget.total.map(Dollars::from),
            alert_percent: budget.alert_percent,
            windows: standing.into_iter().map(WindowView::from).collect(),
        })
    }
}

impl From<Standing> for WindowView {
    fn from(standing: Standing) -> Self {
        let row = standing.row;
        Self {
            resets_at: resets_ms(&standing.key.window).map(timestamp),
            window: standing.key.window,
            limit_usd: row.limit.amount.into(),
            spent_usd: row.spent.into(),
            reserved_usd: row.reserved().into(),
            available_usd: Dollars::signed(row.available),
        }
    }
}
