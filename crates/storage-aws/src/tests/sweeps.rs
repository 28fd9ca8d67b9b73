//! What dead processes left is found and removed, and nothing else is.

use llmopt_domain::ObjectKey;

use super::*;

const HOUR_MS: u64 = 3_600_000;
const WEEK_MS: u64 = 7 * 24 * HOUR_MS;

struct Swept {
    store: S3FolderStore,
    bucket: Bucket,
    _root: tempfile::TempDir,
}

impl Swept {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let aws = aws();
        let name = bucket(&aws, root.path());
        Self {
            store: S3FolderStore::open(&aws, &name, root.path()).unwrap(),
            bucket: Bucket::new(&aws, &name),
            _root: root,
        }
    }

    /// Notes that `upload` to `key` began so long ago.
    async fn note(&self, key: &ObjectKey, upload: &str, age_ms: u64) {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let began_ms = u64::try_from(now.as_millis()).unwrap() - age_ms;
        let note = serde_json::json!({ "key": key, "began_ms": began_ms });
        let note = note.to_string().into_bytes();
        let name = format!(".pending/{upload}");
        self.bucket.put(&name, note).await.unwrap();
    }

    async fn keys(&self) -> Vec<String> {
        self.bucket.list("", None).await.unwrap().keys
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_a_week_ago_and_is_not_published_is_removed() {
    if MiniStack::shared().is_none() {
        return;
    }
    let swept = Swept::new();
    let key = ObjectKey::dataset("a");
    for (upload, age_ms) in [("old", WEEK_MS + HOUR_MS), ("young", WEEK_MS - HOUR_MS)] {
        swept.note(&key, upload, age_ms).await;
        let object = format!("{key}/{upload}/rows.jsonl");
        swept.bucket.put(&object, b"{}".to_vec()).await.unwrap();
    }
    swept
        .bucket
        .put(".pending/foreign", b"?".to_vec())
        .await
        .unwrap();
    swept.store.sweep().await.unwrap();
    swept.store.sweep().await.unwrap();
    let expected = [
        ".pending/foreign".to_owned(),
        ".pending/young".to_owned(),
        format!("{key}/young/rows.jsonl"),
    ];
    assert_eq!(swept.keys().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_stays_whatever_notes_there_are_of_it() {
    if MiniStack::shared().is_none() {
        return;
    }
    let swept = Swept::new();
    let key = ObjectKey::dataset("a");
    let staged = swept.store.stage().await.unwrap();
    std::fs::write(staged.path().join("rows.jsonl"), "{}\n").unwrap();
    swept.store.publish(staged.path(), &key).await.unwrap();
    let before = swept.keys().await;
    let upload = before.iter().find_map(|name| {
        name.strip_prefix(&format!("{key}/"))?
            .strip_suffix("/rows.jsonl")
    });
    swept.note(&key, upload.unwrap(), 2 * WEEK_MS).await;
    swept.note(&key, "another", 2 * WEEK_MS).await;
    swept.store.sweep().await.unwrap();
    assert_eq!(swept.keys().await, before);
    swept.store.open(&key).await.unwrap();
}
