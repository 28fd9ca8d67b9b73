use std::time::Duration;

use llmopt_domain::{ColumnMap, Digest};
use llmopt_storage::UploadTarget;

use super::{kept::id, *};
use crate::{clock::now_ms, testing::Stores};

fn rows() -> String {
    let row = |n: u32| format!("{{\"prompt\":\"{n}?\",\"response\":\"{n}!\"}}\n");
    (0..12).map(row).collect()
}

async fn upload(stores: &Stores, name: &str, text: &str) -> Result<Uploaded, ServiceError> {
    let mut upload = stores.datasets.upload(name).await?;
    for part in text.as_bytes().chunks(100) {
        upload.write(part).await?;
    }
    stores.datasets.finish(upload).await
}

fn id_of(text: &str, name: &str) -> String {
    let digest = Digest::of_bytes(text.as_bytes());
    id(&digest, name, &ColumnMap::default()).unwrap()
}

#[tokio::test]
async fn the_same_bytes_are_one_dataset_whatever_they_are_called() {
    let stores = Stores::new();
    let first = upload(&stores, "a.jsonl", &rows()).await.unwrap();
    assert!(first.created && first.dataset.is_valid());
    assert_eq!(first.dataset.id, id_of(&rows(), "x.jsonl"));
    assert_eq!(first.dataset.size_bytes, rows().len() as u64);
    let second = upload(&stores, "b.jsonl", &rows()).await.unwrap();
    assert!(!second.created);
    assert_eq!(second.dataset, first.dataset);
    let path = stores.datasets.path(&first.dataset.id).await.unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), rows());
    let report = stores.datasets.report(&first.dataset.id).await.unwrap();
    assert_eq!(
        (report["file"].as_str(), report["rows"].as_u64()),
        (Some("a.jsonl"), Some(12))
    );
}

#[tokio::test]
async fn a_dataset_whose_record_was_never_written_is_healed_by_uploading_it_again() {
    let stores = Stores::new();
    let first = upload(&stores, "a.jsonl", &rows()).await.unwrap().dataset;
    // As if the process had died between the two.
    stores.datasets.records.delete(&first.id).await.unwrap();
    assert!(stores.datasets.get(&first.id).await.is_err());
    let healed = upload(&stores, "b.jsonl", &rows()).await.unwrap();
    assert!(healed.created);
    assert_eq!(healed.dataset, first);
    let path = stores.datasets.path(&first.id).await.unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), rows());
}

#[tokio::test]
async fn a_dataset_whose_files_are_gone_is_healed_by_uploading_it_again() {
    let stores = Stores::new();
    let first = upload(&stores, "a.jsonl", &rows()).await.unwrap().dataset;
    let key = ObjectKey::dataset(&first.id);
    stores.stores.folders.delete(&key).await.unwrap();
    upload(&stores, "a.jsonl", &rows()).await.unwrap();
    stores.datasets.report(&first.id).await.unwrap();
}

#[tokio::test]
async fn the_same_bytes_read_in_another_way_are_another_dataset() {
    let stores = Stores::new();
    let wrong = upload(&stores, "a.csv", &rows()).await.unwrap();
    let right = upload(&stores, "a.jsonl", &rows()).await.unwrap();
    assert!(right.created && right.dataset.is_valid());
    assert_ne!(right.dataset.id, wrong.dataset.id);
}

/// The only file that was sent past this process.
struct Sent(&'static str);

#[async_trait::async_trait]
impl UploadStore for Sent {
    async fn begin(&self, _valid: Duration) -> Result<UploadTarget, StorageError> {
        panic!("nothing is sent anew")
    }

    async fn fetch(&self, _id: &str, into: &Path) -> Result<u64, StorageError> {
        std::fs::write(into, self.0).unwrap();
        Ok(self.0.len() as u64)
    }

    async fn discard(&self, _id: &str) -> Result<(), StorageError> {
        Ok(())
    }
}

#[tokio::test]
async fn the_same_bytes_with_another_map_of_columns_are_another_dataset() {
    const CSV: &str = "frage,antwort,kurz\na,b,c\n";
    let stores = Stores::new();
    let datasets = stores.datasets.clone().with_uploads(Arc::new(Sent(CSV)));
    let complete = async |map: &str| {
        let map = serde_json::from_str(map).unwrap();
        datasets.complete_upload("u", "a.csv", map).await.unwrap()
    };
    let long = complete(r#"{"prompt": "frage", "response": "antwort"}"#).await;
    let short = complete(r#"{"prompt": "frage", "response": "kurz"}"#).await;
    let none = complete("{}").await;
    assert!(long.created && short.created && none.created);
    assert_ne!(long.dataset.id, short.dataset.id);
    assert_eq!(none.dataset.id, id_of(CSV, "a.csv"));
    let again = complete(r#"{"response": "antwort", "prompt": "frage"}"#).await;
    assert_eq!(
        (again.dataset.clone(), again.created),
        (long.dataset.clone(), false)
    );
    for uploaded in [long, short] {
        let known = datasets.get(&uploaded.dataset.id).await.unwrap();
        assert_eq!(known, uploaded.dataset);
        let source = datasets.source(&known.id).await.unwrap();
        assert_eq!(source.columns, known.columns);
        assert!(!known.columns.is_empty());
    }
}

#[tokio::test]
async fn what_is_mended_has_the_columns_that_are_read() {
    let stores = Stores::new();
    let mut upload = stores.datasets.upload("fragen.csv").await.unwrap();
    upload.map_columns("prompt=frage,response=antwort".parse().unwrap());
    upload
        .write("frage;antwort\na;b \n".as_bytes())
        .await
        .unwrap();
    let first = stores.datasets.finish(upload).await.unwrap().dataset;
    let repairs = vec![llmopt_dataset::Repair::TrailingSpace];
    let mended = stores.datasets.mend(&first.id, repairs).await.unwrap();
    assert_eq!(mended.summary.renamed_columns, first.columns);
    assert_eq!(mended.changes[0].field.as_deref(), Some("antwort"));
    let second = mended.uploaded.dataset;
    assert_eq!(
        (&second.columns, &second.parent),
        (&ColumnMap::default(), &Some(first.id))
    );
    let path = stores.datasets.path(&second.id).await.unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text, "{\"prompt\":\"a\",\"response\":\"b\"}\n");
}

#[tokio::test]
async fn rows_with_errors_are_kept_with_their_report() {
    let stores = Stores::new();
    let text = rows() + "{\"prompt\":\"x\",\"response\":\"\"}\n";
    let uploaded = upload(&stores, "a.jsonl", &text).await.unwrap();
    assert!(!uploaded.dataset.is_valid());
    let report = stores.datasets.report(&uploaded.dataset.id).await.unwrap();
    let place = &report["findings"][0]["place"];
    assert_eq!(
        (place["file"].as_str(), place["row"].as_u64()),
        (Some("a.jsonl"), Some(13))
    );
}

#[tokio::test]
async fn a_file_that_is_no_dataset_is_refused_by_the_name_its_owner_gave_it() {
    let stores = Stores::new();
    let error = upload(&stores, "a.xlsx", "PK\x03\x04...")
        .await
        .unwrap_err();
    assert!(matches!(error, ServiceError::Upload { .. }), "{error:?}");
    assert!(
        error.to_string().starts_with("`a.xlsx` is a ZIP archive"),
        "{error}"
    );
    let staging = std::fs::read_dir(stores.path().join(".staging")).unwrap();
    let folders = staging.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), 0);
}

#[tokio::test]
async fn a_dataset_is_not_deleted_while_a_job_needs_it() {
    let stores = Stores::new();
    let uploaded = upload(&stores, "a.jsonl", &rows()).await.unwrap();
    let id = uploaded.dataset.id;
    let mut job = stores.job("j").await;
    job.datasets = vec![id.clone()];
    let known = stores.stores.records.get("j").await.unwrap();
    let known = stores
        .stores
        .records
        .replace(known.revision, &job)
        .await
        .unwrap();
    let refused = stores.datasets.delete(&id).await.unwrap_err();
    assert!(matches!(refused, ServiceError::DatasetInUse { job, .. } if job == "j"));
    let stopped = job.stopped(now_ms()).unwrap();
    stores
        .stores
        .records
        .replace(known.revision, &stopped)
        .await
        .unwrap();
    stores.datasets.delete(&id).await.unwrap();
    assert!(stores.datasets.get(&id).await.is_err());
    stores.datasets.delete(&id).await.unwrap();
    assert!(upload(&stores, "a.jsonl", &rows()).await.unwrap().created);
}
