use llmopt_dataset::ValidationReport;
use llmopt_preparation::TokenReport;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    Datasets, Models, NoHub, ServiceError, blocking::blocking, open_encoder, token_options,
    token_report,
};

/// What is known of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DatasetReport {
    /// What validation found when it was uploaded.
    #[serde(flatten)]
    #[schema(value_type = ValidationReport)]
    pub validation: Value,
    /// What a model's tokenizer tells of it; absent where no model was named, or rows are broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenReport>,
}

/// Which model's tokenizer a dataset is looked at with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The model.
    pub base_model: String,
    /// The longest row that is trained on, in tokens; absent, what the model takes.
    pub max_length: Option<usize>,
}

impl Datasets {
    /// Returns what validation found in the dataset with this id, and what a model's tokenizer tells of it if that is
    /// asked for.
    ///
    /// # Errors
    /// [`ServiceError::UnknownDataset`], [`ServiceError::UnknownModel`] and its kin; else as [`token_report`].
    pub async fn report_with(
        &self,
        id: &str,
        request: Option<TokenRequest>,
    ) -> Result<DatasetReport, ServiceError> {
        let validation = self.report(id).await?;
        let tokens = match request {
            Some(request) => self.tokens(id, request, &validation).await?,
            None => None,
        };
        Ok(DatasetReport { validation, tokens })
    }

    async fn tokens(
        &self,
        id: &str,
        request: TokenRequest,
        validation: &Value,
    ) -> Result<Option<TokenReport>, ServiceError> {
        let name = self.get(id).await?.name;
        let models = Models::new(self.folders());
        let model = models.resolve_name(&request.base_model, &NoHub).await?;
        let dataset = self.source(id).await?;
        let duplicates = validation["quality"]["duplicates"].as_u64();
        blocking("tokenize", move || {
            let mut options = token_options(&model, request.max_length)?;
            options.duplicates = duplicates.unwrap_or(0);
            let report = token_report(&dataset, &open_encoder(&model, None)?, &options);
            let mut report = report.map_err(|error| error.in_file(&name))?;
            if let Some(report) = &mut report {
                report.rename(&name);
            }
            Ok(report)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use llmopt_domain::Digest;

    use super::*;
    use crate::{InitRequest, ModelSizes, init_model, testing::Stores};

    /// Stores with the base model `base:tiny`, which takes 64 tokens, and a dataset of `rows`.
    async fn place(rows: &str) -> (Stores, String) {
        let stores = Stores::new();
        let sizes = ModelSizes {
            vocab_size: 300,
            n_positions: 64,
            n_embd: 8,
            n_layer: 1,
            n_head: 2,
            n_inner: None,
            seed: 7,
        };
        let folder = stores.path().join("tiny");
        init_model(InitRequest {
            datasets: &[],
            sizes: &sizes,
            folder: &folder,
        })
        .unwrap();
        let name = "tiny".parse().unwrap();
        let models = Models::new(stores.datasets.folders());
        models.import(&folder, &name).await.unwrap();
        let mut upload = stores.datasets.upload("rows.jsonl").await.unwrap();
        upload.write(rows.as_bytes()).await.unwrap();
        let uploaded = stores.datasets.finish(upload).await.unwrap();
        (stores, uploaded.dataset.id)
    }

    fn rows(count: usize) -> String {
        let row = |n| format!("{{\"prompt\":\"{n}?\",\"response\":\"{n}!\"}}\n");
        (0..count).map(row).collect()
    }

    fn request(max_length: Option<usize>) -> Option<TokenRequest> {
        let base_model = "base:tiny".to_owned();
        Some(TokenRequest {
            base_model,
            max_length,
        })
    }

    #[tokio::test]
    async fn tokens_are_told_only_where_a_model_is_named() {
        let (stores, id) = place(&rows(12)).await;
        let plain = stores.datasets.report_with(&id, None).await.unwrap();
        assert_eq!(plain.tokens, None);
        assert_eq!(plain.validation["rows"], 12);
        let told = stores
            .datasets
            .report_with(&id, request(None))
            .await
            .unwrap();
        assert_eq!(told.validation, plain.validation);
        let tokens = told.tokens.unwrap();
        assert_eq!(
            (tokens.statistics.rows, tokens.statistics.max_length),
            (12, 64)
        );
        assert!(!tokens.has_errors());
    }

    #[tokio::test]
    async fn rows_beyond_the_limit_are_named_as_the_owner_calls_the_file() {
        let (stores, id) = place(&rows(12)).await;
        let told = stores.datasets.report_with(&id, request(Some(30))).await;
        let tokens = told.unwrap().tokens.unwrap();
        assert_eq!(tokens.statistics.overlong.rows, 12);
        assert_eq!(tokens.findings[0].place.file, "rows.jsonl");
        let told = stores.datasets.report_with(&id, request(Some(1_000))).await;
        assert_eq!(told.unwrap().tokens.unwrap().statistics.max_length, 64);
    }

    #[tokio::test]
    async fn rows_that_are_said_twice_count_once_for_epochs() {
        let (stores, id) = place(&(rows(100) + &rows(50))).await;
        let told = stores
            .datasets
            .report_with(&id, request(None))
            .await
            .unwrap();
        let suggestions = told.tokens.unwrap().suggestions;
        let epochs = suggestions
            .iter()
            .find(|it| it.setting == "epochs")
            .unwrap();
        assert!(
            epochs.reason.ends_with("there are 100 different ones"),
            "{epochs:?}"
        );
    }

    #[tokio::test]
    async fn where_a_row_is_broken_no_tokens_are_told() {
        let (stores, id) = place(&(rows(12) + "{\n")).await;
        let told = stores
            .datasets
            .report_with(&id, request(None))
            .await
            .unwrap();
        assert_eq!(
            (told.tokens, told.validation["rows"].as_u64()),
            (None, Some(13))
        );
    }

    #[tokio::test]
    async fn a_dataset_or_a_model_that_is_not_there_is_named() {
        let (stores, id) = place(&rows(12)).await;
        let none = Digest::of_bytes(b"none").short().to_owned();
        let error = stores.datasets.report_with(&none, request(None)).await;
        assert!(
            matches!(error, Err(ServiceError::UnknownDataset(_))),
            "{error:?}"
        );
        let request = request(None).map(|it| TokenRequest {
            base_model: "base:none".to_owned(),
            ..it
        });
        let error = stores.datasets.report_with(&id, request).await;
        assert!(
            matches!(error, Err(ServiceError::UnknownModel { .. })),
            "{error:?}"
        );
    }
}
