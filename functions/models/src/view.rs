use llmopt_artifact::EvaluationResults;
use llmopt_domain::{Method, TrainingConfig, TrainingJob};
use llmopt_service::{CatalogModel, ModelSummary};
use serde::Serialize;
use utoipa::ToSchema;

/// A model in a list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ModelView {
    /// What `model_id` of a request takes; for a fine-tuned model its newest version.
    pub(crate) id: String,
    /// `fine_tuned` or `base`.
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
}

/// A model, with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ModelDetails {
    #[serde(flatten)]
    model: ModelView,
    #[serde(skip_serializing_if = "Option::is_none")]
    training: Option<TrainingView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct TrainingView {
    rows: u64,
    steps: u64,
    trainable_parameters: u64,
    parameters: u64,
    device: String,
    seconds: f64,
    tokens_per_second: f64,
    peak_memory_bytes: u64,
    loss: Option<f64>,
    evaluation: Option<EvaluationResults>,
    config: TrainingConfig,
}

impl From<CatalogModel> for ModelView {
    fn from(model: CatalogModel) -> Self {
        match model {
            CatalogModel::Base(name) => Self {
                id: name,
                kind: "base",
                version: None,
                base_model: None,
                method: None,
                job_id: None,
            },
            CatalogModel::FineTuned(model) => Self {
                id: model.id.to_string(),
                kind: "fine_tuned",
                version: Some(model.version),
                base_model: Some(model.base),
                method: Some(model.method),
                job_id: Some(TrainingJob::id_of(&model.job)),
            },
        }
    }
}

impl From<CatalogModel> for ModelDetails {
    fn from(model: CatalogModel) -> Self {
        let training = match &model {
            CatalogModel::Base(_) => None,
            CatalogModel::FineTuned(model) => Some(TrainingView::of(model)),
        };
        Self {
            model: model.into(),
            training,
        }
    }
}

impl TrainingView {
    fn of(model: &ModelSummary) -> Self {
        Self {
            rows: model.rows,
            steps: model.steps,
            trainable_parameters: model.trainable_parameters,
            parameters: model.parameters,
            device: model.device.clone(),
            seconds: model.seconds,
            tokens_per_second: model.tokens_per_second,
            peak_memory_bytes: model.peak_memory_bytes,
            loss: model.training_loss,
            evaluation: model.evaluation.clone(),
            config: model.config.clone(),
        }
    }
}
