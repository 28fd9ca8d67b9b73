//! Folders that are published anew while their deletion is still on its way.

use llmopt_domain::ObjectKey;

use super::{faulty::*, *};

async fn publish(store: &S3FolderStore, key: &ObjectKey, content: &str) {
    let staged = store.stage().await.unwrap();
    std::fs::write(staged.path().join("file"), content).unwrap();
    store.publish(staged.path(), key).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_whose_answer_is_lost_spares_what_was_published_since() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let name = bucket(&aws(), root.path());
    let key = ObjectKey::dataset("again");
    let store = S3FolderStore::open(&aws(), &name, &root.path().join("a")).unwrap();
    publish(&store, &key, "old").await;
    let (publisher, published) = (store.clone(), key.clone());
    let deletes = AtomicU64::new(0);
    let (faulty, _) = Faulty::on(move |_, request| {
        let is_marker = request.method() == "DELETE" && request.uri().contains(".published/");
        match is_marker.then(|| deletes.fetch_add(1, Ordering::SeqCst)) {
            Some(0) => Some(Instead::After(500, "")),
            Some(1) => {
                // Whoever sees it gone sends it again, before the deletion is tried again.
                wait(publish(&publisher, &published, "new"));
                None
            }
            _ => None,
        }
    });
    let deleter = S3FolderStore::open(&faulty, &name, &root.path().join("b")).unwrap();
    deleter.delete(&key).await.unwrap();
    let folder = store.open(&key).await.unwrap();
    let content = std::fs::read_to_string(folder.join("file")).unwrap();
    assert_eq!(content, "new");
    assert_eq!(
        Bucket::new(&aws(), &name)
            .list(".pending/", None)
            .await
            .unwrap()
            .keys,
        Vec::<String>::new()
    );
}
