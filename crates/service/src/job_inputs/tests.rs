use std::sync::Arc;

use llmopt_dataset::{ReadOptions, read_conversations};
use llmopt_domain::{ColumnMap, Conversation, TrainingConfig};

use super::*;
use crate::{
    InitRequest, JobRequest, ModelSizes, NoHub, Place, PreviewRequest, TrainingJobs, init_model,
    testing::Stores,
};

const MAP: &str = "prompt=frage,response=antwort";

fn rows(names: [&str; 2]) -> String {
    let [prompt, response] = names;
    let row = |i| format!("{{\"{prompt}\":\"count {i}\",\"{response}\":\"it is {i}\"}}\n");
    (0..12).map(row).collect()
}

/// Keeps a base model called `tiny`, and returns who trains it.
async fn trainers(stores: &Stores) -> TrainingJobs {
    let folder = tempfile::tempdir().unwrap();
    let rows_file = folder.path().join("rows.jsonl");
    std::fs::write(&rows_file, rows(["prompt", "response"])).unwrap();
    let sizes = ModelSizes {
        vocab_size: 300,
        n_positions: 64,
        n_embd: 8,
        n_layer: 1,
        n_head: 2,
        n_inner: None,
        seed: 7,
    };
    let model = folder.path().join("model");
    let request = InitRequest {
        datasets: &[rows_file.into()],
        sizes: &sizes,
        folder: &model,
    };
    init_model(request).unwrap();
    let models = Models::new(&*stores.stores.folders);
    models
        .import(&model, &"tiny".parse().unwrap())
        .await
        .unwrap();
    let place = Place {
        data_dir: stores.path().to_owned(),
        code_version: "test".to_owned(),
    };
    let (jobs, datasets) = (stores.stores.clone(), stores.datasets.clone());
    TrainingJobs::new(jobs, datasets, Arc::new(NoHub), place)
}

async fn upload(stores: &Stores, text: &str, columns: &str) -> String {
    let mut upload = stores.datasets.upload("rows.jsonl").await.unwrap();
    upload.write(text.as_bytes()).await.unwrap();
    if !columns.is_empty() {
        upload.map_columns(columns.parse().unwrap());
    }
    stores.datasets.finish(upload).await.unwrap().dataset.id
}

fn request(dataset: &str, evaluation: Option<&str>) -> JobRequest {
    JobRequest {
        base_model: "base:tiny".to_owned(),
        dataset: dataset.to_owned(),
        evaluation: evaluation.map(str::to_owned),
        name: "orders".parse().unwrap(),
        config: TrainingConfig::default(),
    }
}

/// Reads what a trainer would of the file that it is told.
fn trained_on(file: &DatasetFile) -> Vec<(u64, Conversation)> {
    let options = ReadOptions::from(file.columns.clone());
    read_conversations(&file.path, &options).unwrap()
}

#[tokio::test]
async fn a_job_trains_on_the_columns_that_an_upload_maps() {
    let stores = Stores::new();
    let jobs = trainers(&stores).await;
    let mapped = upload(&stores, &rows(["frage", "antwort"]), MAP).await;
    let plain = upload(&stores, &rows(["prompt", "response"]), "").await;
    let job = jobs
        .submit(request(&mapped, Some(&plain)))
        .await
        .unwrap()
        .job;
    let known = stores.record(&job.id).await;
    let spec = localise(&known, &*stores.stores.folders, stores.path())
        .await
        .unwrap();
    assert_eq!(spec.dataset.columns, MAP.parse().unwrap());
    let evaluation = spec.evaluation.as_ref().unwrap();
    assert_eq!(evaluation.columns, ColumnMap::default());
    let expected = trained_on(evaluation);
    assert_eq!(expected.len(), 12);
    assert_eq!(trained_on(&spec.dataset), expected);

    let other = jobs.submit(request(&plain, Some(&mapped))).await.unwrap();
    assert!(other.created);
    let again = jobs.submit(request(&mapped, Some(&plain))).await.unwrap();
    assert_eq!((again.created, again.job.id), (false, job.id));
}

#[tokio::test]
async fn a_map_that_exchanges_columns_is_another_dataset_and_another_job() {
    let stores = Stores::new();
    let jobs = trainers(&stores).await;
    let text = rows(["prompt", "response"]);
    let plain = upload(&stores, &text, "").await;
    let exchanged = upload(&stores, &text, "prompt=response,response=prompt").await;
    assert_ne!(plain, exchanged);
    let first = jobs.submit(request(&plain, None)).await.unwrap().job;
    let second = jobs.submit(request(&exchanged, None)).await.unwrap();
    assert!(second.created);
    assert_ne!(first.id, second.job.id);
    let spec = localise(&second.job, &*stores.stores.folders, stores.path())
        .await
        .unwrap();
    let expected = Conversation::from_pair("it is 3", "count 3");
    assert_eq!(trained_on(&spec.dataset)[3], (4, expected));
}

#[tokio::test]
async fn a_preview_shows_the_columns_that_an_upload_maps() {
    let stores = Stores::new();
    trainers(&stores).await;
    let mapped = upload(&stores, &rows(["frage", "antwort"]), MAP).await;
    let request = PreviewRequest {
        row: 3,
        base_model: "base:tiny".to_owned(),
        max_length: None,
    };
    let shown = stores.datasets.preview(&mapped, request).await.unwrap();
    assert_eq!(
        shown.conversation,
        Conversation::from_pair("count 2", "it is 2")
    );
}
