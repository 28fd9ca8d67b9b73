use axum::{
    Json,
    extract::{Path, State},
};
use llmopt_http::{Parameters, Problem, Validation};
use llmopt_service::{Datasets, Preview, PreviewRequest};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewParameters {
    /// The model whose tokenizer and chat template are used: `base:NAME`, or a fine-tuned one.
    base_model: String,
    /// The row, counted from 1.
    #[param(minimum = 1, default = 1)]
    row: Option<u64>,
    /// The longest row that is to be trained on, in tokens; absent, what the model takes.
    #[param(minimum = 1)]
    max_length: Option<usize>,
}

impl PreviewParameters {
    fn validate(self) -> Result<PreviewRequest, Problem> {
        let mut validation = Validation::default();
        let row = self.row.unwrap_or(1);
        let expected = || "expected 1 or more, found 0".to_owned();
        validation.require(row >= 1, "/row", expected);
        validation.require(self.max_length != Some(0), "/max_length", expected);
        validation.finish()?;
        Ok(PreviewRequest {
            row,
            base_model: self.base_model,
            max_length: self.max_length,
        })
    }
}

/// Shows a row as a model will see it: its tokens, which of them carry loss, and whether it is short enough.
#[utoipa::path(
    get,
    path = "/datasets/{dataset_id}/preview",
    tag = "datasets",
    params(
        ("dataset_id" = String, Path, description = "The dataset's id."),
        PreviewParameters,
    ),
    responses(
        (status = 200, description = "The row.", body = Preview),
        (status = 404, description = "`dataset_not_found` or `model_not_found`"),
        (status = 422, description = "`validation_failed`, or `dataset_invalid` where the row is broken or not there"),
    )
)]
pub(crate) async fn preview_dataset(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<PreviewParameters>,
) -> Result<Json<Preview>, Problem> {
    Ok(Json(datasets.preview(&id, parameters.validate()?).await?))
}
