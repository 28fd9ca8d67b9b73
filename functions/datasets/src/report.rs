use axum::{
    Json,
    extract::{Path, State},
};
use llmopt_http::{Parameters, Problem, Validation};
use llmopt_service::{DatasetReport, Datasets, TokenRequest};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportParameters {
    /// The model whose tokenizer and chat template tell of the rows, too: `base:NAME`, or a fine-tuned one.
    base_model: Option<String>,
    /// The longest row that is to be trained on, in tokens, beside `base_model`; absent, what the model takes, and
    /// never more.
    #[param(minimum = 1)]
    max_length: Option<usize>,
}

impl ReportParameters {
    fn validate(self) -> Result<Option<TokenRequest>, Problem> {
        let mut validation = Validation::default();
        validation.require(self.max_length != Some(0), "/max_length", || {
            "expected 1 or more, found 0".to_owned()
        });
        let has_model = self.base_model.is_some() || self.max_length.is_none();
        validation.require(has_model, "/max_length", || {
            "expected `base_model` beside it: tokens are counted with a model's tokenizer"
                .to_owned()
        });
        validation.finish()?;
        Ok(self.base_model.map(|base_model| TokenRequest {
            base_model,
            max_length: self.max_length,
        }))
    }
}

/// Tells everything that validation found, by row, and what a model's tokenizer finds if one is named.
#[utoipa::path(
    get,
    path = "/datasets/{dataset_id}/report",
    tag = "datasets",
    params(
        ("dataset_id" = String, Path, description = "The dataset's id."),
        ReportParameters,
    ),
    responses(
        (status = 200, description = "The report.", body = DatasetReport),
        (status = 404, description = "`dataset_not_found` or `model_not_found`"),
    )
)]
pub(crate) async fn get_report(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<ReportParameters>,
) -> Result<Json<DatasetReport>, Problem> {
    let request = parameters.validate()?;
    Ok(Json(datasets.report_with(&id, request).await?))
}
