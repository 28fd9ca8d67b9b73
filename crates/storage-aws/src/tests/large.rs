//! More than one answer or one part holds.

use llmopt_domain::ObjectKey;
use llmopt_storage::Listing;

use super::{faulty::*, lost_answers::Lossy, *};
use crate::download::PART_BYTES;

/// Bytes of which no part is like another.
fn content(size_bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..))
        .take(size_bytes)
        .collect()
}

async fn publish(store: &S3FolderStore, key: &ObjectKey, files: &[(&str, &[u8])]) {
    let staged = store.stage().await.unwrap();
    for (name, content) in files {
        std::fs::write(staged.path().join(name), content).unwrap();
    }
    store.publish(staged.path(), key).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_many_parts_come_back_as_they_were() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let aws = aws();
    let bucket = bucket(&aws, root.path());
    let store = S3FolderStore::open(&aws, &bucket, root.path()).unwrap();
    let part = usize::try_from(PART_BYTES).unwrap();
    let large = content(5 * part + 3);
    let files: [(&str, &[u8]); 4] = [
        ("large", &large),
        ("one", &large[..part]),
        ("two", &large[..=part]),
        ("four", &large[..4 * part]),
    ];
    let key = ObjectKey::dataset("a");
    publish(&store, &key, &files).await;
    let folder = store.open(&key).await.unwrap();
    for (name, content) in files {
        assert!(
            std::fs::read(folder.join(name)).unwrap() == content,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_whose_upload_loses_any_of_its_answers_is_published() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let bucket = bucket(&aws(), root.path());
    let large = content((16 << 20) + 1);
    for number in 0.. {
        assert!(number < 30, "a publish does not end");
        let lossy = Lossy::losing(number);
        let store = S3FolderStore::open(&at(&lossy.endpoint), &bucket, root.path()).unwrap();
        let key = ObjectKey::dataset(&format!("d{number}"));
        publish(&store, &key, &[("large", &large)]).await;
        if !lossy.has_lost(number) {
            assert!(number > 5, "no answer was lost");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_that_was_put_together_unheard_is_known_again() {
    if MiniStack::shared().is_none() {
        return;
    }
    let gone = "<Error><Code>NoSuchUpload</Code><Message>it is no more</Message></Error>";
    let root = tempfile::tempdir().unwrap();
    let bucket = bucket(&aws(), root.path());
    let completions = AtomicU64::new(0);
    let (aws, _) = Faulty::on(move |_, request| {
        let completes = request.method() == "POST" && request.uri().contains("uploadId=");
        completes.then(|| match completions.fetch_add(1, Ordering::SeqCst) {
            0 => Instead::After(500, ""),
            _ => Instead::Answer(404, gone),
        })
    });
    let store = S3FolderStore::open(&aws, &bucket, root.path()).unwrap();
    let large = content((16 << 20) + 1);
    let key = ObjectKey::dataset("a");
    publish(&store, &key, &[("large", &large)]).await;
    let folder = store.open(&key).await.unwrap();
    assert!(std::fs::read(folder.join("large")).unwrap() == large);
    // Where it was not put together, it is not published.
    let (aws, _) = Faulty::on(move |_, request| {
        let completes = request.method() == "POST" && request.uri().contains("uploadId=");
        completes.then_some(Instead::Answer(404, gone))
    });
    let store = S3FolderStore::open(&aws, &bucket, root.path()).unwrap();
    let staged = store.stage().await.unwrap();
    std::fs::write(staged.path().join("large"), &large).unwrap();
    let key = ObjectKey::dataset("b");
    let lost = store.publish(staged.path(), &key).await;
    assert!(
        matches!(lost, Err(StorageError::Internal { .. })),
        "{lost:?}"
    );
    let opened = store.open(&key).await;
    assert!(
        matches!(opened, Err(StorageError::NotFound { .. })),
        "{opened:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_whose_bytes_break_off_is_fetched_to_its_end() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let sound = aws();
    let bucket = bucket(&sound, root.path());
    let large = content((20 << 20) + 1);
    let key = ObjectKey::dataset("a");
    let store = S3FolderStore::open(&sound, &bucket, root.path()).unwrap();
    publish(&store, &key, &[("large", &large)]).await;
    for number in [1, 5, 40, 100] {
        let elsewhere = root.path().join(number.to_string());
        let lossy = Lossy::losing(number);
        let store = S3FolderStore::open(&at(&lossy.endpoint), &bucket, &elsewhere).unwrap();
        let folder = store.open(&key).await.unwrap();
        assert!(lossy.has_lost(number), "{number}");
        assert!(std::fs::read(folder.join("large")).unwrap() == large);
    }
}

/// DynamoDB ends an answer after 1 MB, whatever was asked for.
async fn lists_join(store: &dyn RecordStore<Note>) {
    let text = "a".repeat(60_000);
    for number in 0..40 {
        let note = serde_json::json!({
            "id": format!("n{number:02}"), "created_ms": number / 3, "shelf": "upper", "text": text,
        });
        let note: Note = serde_json::from_value(note).unwrap();
        store.create(&note).await.unwrap();
    }
    for (limit, parts) in [(40, 1), (39, 2), (25, 2)] {
        let mut listing = Listing {
            limit,
            ..Listing::default()
        };
        let mut found = Vec::new();
        for part in 1..=parts {
            let page = store.list(&listing).await.unwrap();
            let ids = page
                .records
                .iter()
                .map(|stored| llmopt_storage::Record::id(&stored.record).to_owned());
            found.extend(ids);
            assert_eq!(page.next.is_none(), part == parts, "{limit} {part}");
            listing.after = page.next;
        }
        let expected: Vec<String> = (0..40)
            .rev()
            .map(|number| format!("n{number:02}"))
            .collect();
        assert_eq!(found, expected, "in parts of {limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_more_than_a_megabyte_join() {
    let root = tempfile::tempdir().unwrap();
    if MiniStack::shared().is_some() {
        lists_join(&*records(root.path())).await;
    }
    if Dynalite::shared().is_some() {
        lists_join(&*records_elsewhere(root.path())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_of_several_megabytes_is_one_and_read_in_parts() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let logs = logs(root.path());
    let bodies: Vec<String> = (0..3_000).map(|number| format!("{number:01000}")).collect();
    assert_eq!(logs.append("job", 0, &bodies).await.unwrap(), 3_000);
    for (after, limit) in [(0, 3_000), (0, 1), (299, 2), (1_234, 700), (2_999, 9)] {
        let entries = logs.read("job", after, limit).await.unwrap();
        let last = (after + u64::from(limit)).min(3_000);
        let expected: Vec<u64> = (after + 1..=last).collect();
        let found: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
        assert_eq!(found, expected);
        for entry in entries {
            assert_eq!(entry.body, format!("{:01000}", entry.sequence - 1));
        }
    }
    let too_large = logs.append("job", 3_000, &["a".repeat(400_000)]).await;
    let text = llmopt_domain::error_chain(&too_large.unwrap_err());
    assert!(text.contains("too large"), "{text}");
    logs.delete("job").await.unwrap();
    assert_eq!(logs.last("job").await.unwrap(), 0);
}
