use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{Code, RequestId};

/// Whether to send the same request again at once: what the official clients of commercial models look at.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Why a request was not answered as asked, as RFC 9457 renders it.
///
/// A response carries it as an extension until the outermost layer has put the request's id into it.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldProblem>,
    report: Option<Box<Value>>,
    budget: Option<Box<BudgetShortage>>,
    retry_after: Option<Duration>,
    is_final: bool,
    cause: Option<String>,
}

/// How a problem is shown to whoever asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rendering {
    /// Whether it is to be called JSON and no more.
    pub(crate) is_plain: bool,
    /// Whether it tells why it came about.
    pub(crate) tells_cause: bool,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// The field, a JSON pointer into the body, or the name of a parameter.
    pub pointer: String,
    /// What was expected there and found instead.
    pub detail: String,
}

/// Which budget has less than a request may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BudgetShortage {
    /// Whose budget: `key/ID`, `provider/NAME` or `all`.
    pub scope: String,
    /// Of when: a day, a month, or `total`.
    pub window: String,
    /// The limit.
    pub limit_picodollars: u64,
    /// What is left of it; below nothing where it was lowered, or an answer cost more than could be foreseen.
    pub available_picodollars: i64,
    /// The most that the request may cost.
    pub needed_picodollars: u64,
    /// When the next window begins; absent where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub resets_at: Option<String>,
}

/// Why a request was not answered as asked: a problem as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView<'a> {
    /// `about:blank`: `code` tells the kind.
    r#type: &'static str,
    /// What the code means.
    title: &'static str,
    /// The status of the answer; in a stream, what it would have been.
    status: u16,
    #[schema(value_type = Code)]
    code: &'static str,
    /// What happened, and what to do about it.
    detail: &'a str,
    /// What is wrong with single fields.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<FieldProblem>, required = false)]
    errors: &'a [FieldProblem],
    /// What is wrong with a dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    report: Option<&'a Value>,
    /// Which budget has less than the request may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BudgetShortage>)]
    budget: Option<&'a BudgetShortage>,
    /// As the header `retry-after`, for what has no headers of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    /// Why a fault of the service came about; only one in development tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    /// The request's name in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Problem {
    /// Makes a problem; `detail` says what happened and what to do about it.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            report: None,
            budget: None,
            retry_after: None,
            is_final: false,
            cause: None,
        }
    }

    /// Says that a model took longer over an answer than `limit`.
    pub fn answer_too_late(limit: Duration) -> Self {
        let seconds = limit.as_secs();
        let detail = format!(
            "the answer took longer than {seconds} s and was given up: ask for fewer tokens, or raise `LLMOPT_MODEL_TIMEOUT_SECONDS`"
        );
        Self::new(Code::ModelTimeout, detail)
    }

    /// Says that whatever gave an answer ended before it.
    pub fn answer_broke_off() -> Self {
        Self::new(Code::Internal, "the answer broke off")
    }

    /// Adds what is wrong with single fields.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldProblem>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds a report on a dataset.
    #[must_use]
    pub fn with_report(mut self, report: Value) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// Adds which budget has too little.
    #[must_use]
    pub fn with_budget(mut self, budget: BudgetShortage) -> Self {
        self.budget = Some(Box::new(budget));
        self
    }

    /// Adds after how long it is worth while to ask again: told in whole seconds, rounded up.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says that the same request is not to be sent again at once: that was done, or is of no use.
    #[must_use]
    pub fn as_final(mut self) -> Self {
        self.is_final = true;
        self
    }

    /// Adds why it came about, which is for those who run the service.
    #[must_use]
    pub(crate) fn with_cause(mut self, cause: String) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Returns its code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns after how long the same request may work, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns after how long the same request may work, where that is known and waiting is of use.
    pub fn worth_waiting(&self) -> Option<Duration> {
        self.retry_after.filter(|_| !self.is_final)
    }

    /// Renders it for the request called `request_id`.
    pub fn to_json(&self, request_id: Option<&RequestId>) -> Value {
        self.json(request_id, None)
    }

    fn json(&self, request_id: Option<&RequestId>, cause: Option<&str>) -> Value {
        let errors = self.errors.iter().map(|error| FieldProblem {
            pointer: error.pointer.clone(),
            detail: readable(&error.detail).into_owned(),
        });
        let rendered = ProblemView {
            r#type: "about:blank",
            title: self.code.title(),
            status: self.code.status().as_u16(),
            code: self.code.as_str(),
            detail: &readable(&self.detail),
            errors: &errors.collect::<Vec<_>>(),
            report: self.report.as_deref(),
            budget: self.budget.as_deref(),
            retry_after_seconds: self.retry_after_seconds(),
            cause,
            request_id: request_id.map(RequestId::as_str),
        };
        serde_json::to_value(rendered).unwrap_or_default()
    }

    pub(crate) fn render(&self, request_id: Option<&RequestId>, rendering: Rendering) -> Response {
        let cause = self.cause.as_deref().filter(|_| rendering.tells_cause);
        let body = Json(self.json(request_id, cause));
        let mut response = (self.code.status(), body).into_response();
        if !rendering.is_plain {
            let kind = HeaderValue::from_static("application/problem+json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        if let Some(seconds) = self.retry_after_seconds() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.is_final {
            let no = HeaderValue::from_static("false");
            response.headers_mut().insert(SHOULD_RETRY, no);
        }
        response
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        let wait = self.retry_after?;
        // Whoever comes a part of a second too early is sent away again.
        Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.render(None, Rendering::default());
        response.extensions_mut().insert(self);
        response
    }
}

/// Leaves the middle out of a text that holds more of the request than anybody reads; what to do about it comes
/// at the end.
fn readable(text: &str) -> Cow<'_, str> {
    const BEGINNING: usize = 1_500;
    const END: usize = 500;
    if text.len() <= BEGINNING + END {
        return text.into();
    }
    let (beginning, _) = text.split_at(text.floor_char_boundary(BEGINNING));
    let (_, end) = text.split_at(text.ceil_char_boundary(text.len() - END));
    format!("{beginning} … {end}").into()
}

/// Gathers everything that is wrong with a request, so that all can be mended at once.
#[derive(Debug, Default)]
pub struct Validation {
    errors: Vec<FieldProblem>,
}

impl Validation {
    /// Notes what is wrong with the field at `pointer` unless `holds`.
    pub fn require(&mut self, holds: bool, pointer: &str, detail: impl FnOnce() -> String) {
        if !holds {
            self.errors.push(FieldProblem {
                pointer: pointer.to_owned(),
                detail: detail(),
            });
        }
    }

    /// Notes what is wrong with the field at `pointer` if `result` says so.
    pub fn take<T, E: std::fmt::Display>(
        &mut self,
        pointer: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.require(false, pointer, || error.to_string());
                None
            }
        }
    }

    /// Ends the validation.
    ///
    /// # Errors
    /// A [`Problem`] with one entry for each field that was noted.
    pub fn finish(self) -> Result<(), Problem> {
        match self.errors.len() {
            0 => Ok(()),
            1 => Err(Problem::new(
                Code::ValidationFailed,
                self.errors
                    .iter()
                    .map(|it| format!("`{}`: {}", it.pointer, it.detail))
                    .collect::<String>(),
            )
            .with_errors(self.errors)),
            count => Err(
                Problem::new(Code::ValidationFailed, format!("{count} fields are wrong"))
                    .with_errors(self.errors),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_that_holds_the_whole_request_is_cut_in_the_middle() {
        let detail = format!("`{}` is no name: choose another", "ä".repeat(100_000));
        let problem = Problem::new(Code::ModelNotFound, &detail).with_errors(vec![FieldProblem {
            pointer: "/name".to_owned(),
            detail: detail.clone(),
        }]);
        let shown = problem.to_json(None);
        for shown in [&shown["detail"], &shown["errors"][0]["detail"]] {
            let shown = shown.as_str().unwrap();
            assert!(shown.len() < 2_100 && shown.starts_with("`ä") && shown.contains(" … "));
            assert!(shown.ends_with("` is no name: choose another"));
        }
    }
}
