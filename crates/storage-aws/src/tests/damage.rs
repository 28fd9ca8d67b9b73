//! Objects that are not what was published, and folders of this machine that others remove.

use llmopt_domain::ObjectKey;

use super::*;
use crate::download::PART_BYTES;

fn key() -> ObjectKey {
    ObjectKey::dataset("a")
}

async fn publish(store: &S3FolderStore, key: &ObjectKey, size_bytes: usize) {
    let staged = store.stage().await.unwrap();
    std::fs::write(staged.path().join("rows"), vec![7; size_bytes]).unwrap();
    store.publish(staged.path(), key).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_not_what_was_published_is_damage_that_names_it() {
    if MiniStack::shared().is_none() {
        return;
    }
    let aws = aws();
    let large = usize::try_from(PART_BYTES).unwrap() + 1;
    for size in [3, large] {
        for (what, content) in [
            ("has another size", Some(vec![7; size - 1])),
            ("has other bytes", Some(vec![8; size])),
            ("is missing", None),
        ] {
            let root = tempfile::tempdir().unwrap();
            let name = bucket(&aws, root.path());
            let store = S3FolderStore::open(&aws, &name, root.path()).unwrap();
            publish(&store, &key(), size).await;
            let bucket = Bucket::new(&aws, &name);
            let keys = bucket.list(key().as_str(), None).await.unwrap().keys;
            match content {
                Some(content) => bucket.put(&keys[0], content).await.unwrap(),
                None => bucket.delete(&keys[0]).await.unwrap(),
            }
            let error = store.open(&key()).await.unwrap_err();
            assert!(matches!(error, StorageError::Corrupt { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("`rows`") && text.contains(what), "{text}");
            assert_eq!(store.digests(&key()).await.unwrap().len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_open_a_folder_at_once_find_all_of_it() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let aws = aws();
    let name = bucket(&aws, root.path());
    let store = S3FolderStore::open(&aws, &name, root.path()).unwrap();
    publish(&store, &key(), 100_000).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = S3FolderStore::open(&aws, &name, root.path()).unwrap();
        tasks.spawn(async move {
            let folder = store.open(&key()).await.unwrap();
            std::fs::read(folder.join("rows")).unwrap()
        });
    }
    for read in tasks.join_all().await {
        assert_eq!(read, vec![7; 100_000]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_to_make_room_is_fetched_again() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let aws = aws();
    let name = bucket(&aws, root.path());
    let store = S3FolderStore::open(&aws, &name, root.path()).unwrap();
    publish(&store, &key(), 100).await;
    let folder = store.open(&key()).await.unwrap();
    store.cache.make_room(1).unwrap();
    assert!(!folder.exists());
    assert_eq!(store.open(&key()).await.unwrap(), folder);
    assert_eq!(std::fs::read(folder.join("rows")).unwrap(), [7; 100]);
}
