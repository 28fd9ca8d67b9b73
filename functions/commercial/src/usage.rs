use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use llmopt_commercial::CommercialError;
use llmopt_domain::Scope;
use llmopt_http::{Caller, Code, Parameters, Problem, Validation, now_ms};
use llmopt_prices::Day;
use llmopt_spending::{GroupBy, UsageQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{CommercialState, Days, UsageView};

/// Which usage is asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageParameters {
    /// The first day, in UTC; absent, the one that makes it 30 days.
    #[param(format = Date, example = "2026-11-01")]
    from: Option<String>,
    /// The last day, in UTC; absent, today.
    #[param(format = Date, example = "2026-11-26")]
    to: Option<String>,
    /// What is added up together; absent, what one model cost.
    group_by: Option<GroupName>,
    /// Only what this key asked for. Without the scope `admin` it is one's own in any case.
    key: Option<String>,
    /// JSON, or the groups as a table with `csv`, as with `accept: text/csv`.
    #[param(inline)]
    format: Option<UsageFormat>,
}

/// What groups are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupName {
    /// The model that answered.
    #[default]
    Model,
    /// The provider that answered.
    Provider,
    /// The key that asked.
    Key,
    /// The day.
    Day,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum UsageFormat {
    Json,
    Csv,
}

/// Adds up what was used and what it cost: together, by group and by day. Whoever has the scope `admin` is told of
/// everybody's, everybody else of their own.
#[utoipa::path(
    get,
    path = "/commercial/usage",
    tag = "commercial",
    params(UsageParameters),
    responses((
        status = 200,
        description = "What was used, and what it cost; as `text/csv` the groups, one on each line.",
        content((UsageView = "application/json"), (String = "text/csv"))
    ))
)]
pub(crate) async fn get_usage(
    State(state): State<CommercialState>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    Parameters(parameters): Parameters<UsageParameters>,
) -> Result<Response, Problem> {
    let caller = caller.as_ref().map(|Extension(caller)| caller);
    let days = parameters.days(now_ms())?;
    let group_by = parameters.group_by.unwrap_or_default();
    let query = UsageQuery {
        days: days.as_slice().to_vec(),
        by: group_by.into(),
        key: visible_key(caller, parameters.key.as_deref())?,
    };
    let report = state.commercial.spending().usage_report(&query).await;
    let view = UsageView::new(&report.map_err(CommercialError::from)?, &days, group_by);
    if parameters.wants_csv(&headers) {
        return Ok(csv(&view));
    }
    Ok(Json(view).into_response())
}

impl UsageParameters {
    fn days(&self, now_ms: u64) -> Result<Days, Problem> {
        let mut validation = Validation::default();
        let mut day = |name: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(str::parse::<Day>)?;
            validation.take(name, parsed)
        };
        let (from, to) = (day("from", &self.from), day("to", &self.to));
        validation.finish()?;
        let mut validation = Validation::default();
        let days = validation.take("from", Days::new(from, to, now_ms));
        validation.finish()?;
        days.ok_or_else(|| Problem::new(Code::Internal, "no days were found"))
    }

    fn wants_csv(&self, headers: &HeaderMap) -> bool {
        match self.format {
            Some(format) => format == UsageFormat::Csv,
            None => {
                let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
                accept.is_some_and(|accept| accept.contains("text/csv"))
            }
        }
    }
}

/// Returns whose usage is told; `None` is everybody's.
fn visible_key(caller: Option<&Caller>, wanted: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(caller) = caller.filter(|caller| !caller.0.record.allows(Scope::Admin)) else {
        return Ok(wanted.map(str::to_owned));
    };
    match wanted {
        Some(wanted) if wanted != caller.id() => Err(Problem::new(
            Code::Forbidden,
            "expected a key with the scope `admin` to see what others used: leave `key` out to see your own",
        )),
        _ => Ok(Some(caller.id().to_owned())),
    }
}

fn csv(view: &UsageView) -> Response {
    let name = format!(
        "attachment; filename=\"usage-{}-{}.csv\"",
        view.from, view.to
    );
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    (headers, view.to_csv()).into_response()
}

impl GroupName {
    /// Returns the name, which is what a column is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Key => "key",
            Self::Day => "day",
        }
    }
}

impl From<GroupName> for GroupBy {
    fn from(name: GroupName) -> Self {
        match name {
            GroupName::Model => Self::Model,
            GroupName::Provider => Self::Provider,
            GroupName::Key => Self::Key,
            GroupName::Day => Self::Day,
        }
    }
}
