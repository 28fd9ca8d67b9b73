use std::sync::Arc;

use llmopt_storage::PART_BYTES;
use llmopt_storage_embedded::FilePartStore;

use super::*;
use crate::testing::Stores;

fn with_parts(stores: &Stores) -> Datasets {
    let parts = FilePartStore::open(stores.path()).unwrap();
    stores.datasets.clone().with_parts(Arc::new(parts))
}

/// Rows of more than one part.
fn rows() -> Vec<u8> {
    let row = |n: u32| {
        format!(
            "{{\"prompt\":\"{n}?\",\"response\":\"{}\"}}\n",
            "x".repeat(9_000)
        )
    };
    (0..1_000).map(row).collect::<String>().into_bytes()
}

fn plan(bytes: &[u8]) -> PartPlan {
    PartPlan {
        name: "a.jsonl".to_owned(),
        size_bytes: bytes.len() as u64,
        digest: Some(Digest::of_bytes(bytes)),
    }
}

fn part_of(bytes: &[u8], number: u32) -> &[u8] {
    bytes
        .chunks(PART_BYTES as usize)
        .nth(number as usize - 1)
        .unwrap()
}

async fn send(
    datasets: &Datasets,
    id: &str,
    number: u32,
    bytes: &[u8],
) -> Result<(), ServiceError> {
    let mut receipt = datasets.receive_part(id, number).await?;
    for piece in bytes.chunks(1 << 16) {
        receipt.write(piece).await?;
    }
    datasets.keep_part(receipt).await
}

#[tokio::test]
async fn a_file_that_came_in_parts_is_a_dataset_and_told_so_again() {
    let stores = Stores::new();
    let datasets = with_parts(&stores);
    let bytes = rows();
    let upload = datasets.begin_parts(plan(&bytes)).await.unwrap();
    let id = &upload.id;
    assert_eq!(upload.missing(), [1, 2]);
    let early = datasets
        .complete(id, None, ColumnMap::default())
        .await
        .unwrap_err();
    assert!(early.to_string().ends_with("lacks parts 1, 2"), "{early}");
    send(&datasets, id, 2, part_of(&bytes, 2)).await.unwrap();
    // The process ends here, and another goes on.
    let datasets = with_parts(&stores);
    let upload = datasets.part_upload(id).await.unwrap();
    assert_eq!(upload.missing(), [1]);
    let early = datasets
        .complete(id, None, ColumnMap::default())
        .await
        .unwrap_err();
    assert!(early.to_string().ends_with("lacks part 1"), "{early}");
    send(&datasets, id, 1, part_of(&bytes, 1)).await.unwrap();
    let done = datasets
        .complete(id, None, ColumnMap::default())
        .await
        .unwrap();
    assert!(done.created);
    assert_eq!(
        (done.dataset.rows, done.dataset.name.as_str()),
        (1_000, "a.jsonl")
    );
    let again = datasets
        .complete(id, Some("b.jsonl"), ColumnMap::default())
        .await
        .unwrap();
    assert_eq!(
        (again.created, again.dataset),
        (false, done.dataset.clone())
    );
    let late = send(&datasets, id, 1, part_of(&bytes, 1))
        .await
        .unwrap_err();
    assert!(
        matches!(late, ServiceError::Parts(PartError::Done { dataset, .. }) if dataset == done.dataset.id)
    );
    datasets.delete(&done.dataset.id).await.unwrap();
    let gone = datasets
        .complete(id, None, ColumnMap::default())
        .await
        .unwrap_err();
    assert!(matches!(gone, ServiceError::UnknownUpload(_)), "{gone:?}");
}

#[tokio::test]
async fn a_file_is_called_as_whoever_completes_it_says() {
    let stores = Stores::new();
    let datasets = with_parts(&stores);
    let bytes = b"prompt,response\na,b\n";
    let upload = datasets.begin_parts(plan(bytes)).await.unwrap();
    send(&datasets, &upload.id, 1, bytes).await.unwrap();
    let done = datasets
        .complete(&upload.id, Some("b.csv"), ColumnMap::default())
        .await
        .unwrap();
    assert_eq!(
        (done.dataset.name.as_str(), done.dataset.layout.as_str()),
        ("b.csv", "csv")
    );
}

#[tokio::test]
async fn other_bytes_than_those_that_were_announced_are_no_dataset() {
    let stores = Stores::new();
    let datasets = with_parts(&stores);
    let bytes = b"{\"prompt\":\"a\",\"response\":\"b\"}\n";
    let upload = datasets.begin_parts(plan(bytes)).await.unwrap();
    let mut other = bytes.to_vec();
    other[12] = b'c';
    send(&datasets, &upload.id, 1, &other).await.unwrap();
    let refused = datasets
        .complete(&upload.id, None, ColumnMap::default())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ServiceError::Parts(PartError::Changed { .. })),
        "{refused:?}"
    );
    let gone = datasets.part_upload(&upload.id).await.unwrap_err();
    assert!(matches!(gone, ServiceError::UnknownUpload(_)), "{gone:?}");
    let all = llmopt_storage::Listing {
        limit: 10,
        ..Default::default()
    };
    assert!(datasets.list(&all).await.unwrap().records.is_empty());
}

#[tokio::test]
async fn a_file_that_is_no_dataset_is_refused_and_its_upload_stays() {
    let stores = Stores::new();
    let datasets = with_parts(&stores);
    let bytes = b"PK\x03\x04...";
    let upload = datasets.begin_parts(plan(bytes)).await.unwrap();
    send(&datasets, &upload.id, 1, bytes).await.unwrap();
    for _ in 0..2 {
        let refused = datasets
            .complete(&upload.id, None, ColumnMap::default())
            .await
            .unwrap_err();
        assert!(
            matches!(refused, ServiceError::Upload { .. }),
            "{refused:?}"
        );
    }
    let found = datasets.part_upload(&upload.id).await.unwrap();
    assert!(found.missing().is_empty());
    datasets.discard_parts(&upload.id).await.unwrap();
    let gone = datasets.part_upload(&upload.id).await.unwrap_err();
    assert!(matches!(gone, ServiceError::UnknownUpload(_)), "{gone:?}");
}

#[tokio::test]
async fn a_part_of_another_size_is_not_kept() {
    let stores = Stores::new();
    let datasets = with_parts(&stores);
    let upload = datasets.begin_parts(plan(b"12345")).await.unwrap();
    for (bytes, found) in [
        (&b"1234"[..], "found 4"),
        (b"123456", "found 6 and more"),
        (b"", "found 0"),
    ] {
        let refused = send(&datasets, &upload.id, 1, bytes).await.unwrap_err();
        let text = refused.to_string();
        assert!(text.ends_with(found), "{text}");
        assert!(
            matches!(refused, ServiceError::Parts(PartError::Size { .. })),
            "{refused:?}"
        );
    }
    for number in [0, 2] {
        let refused = send(&datasets, &upload.id, number, b"1").await.unwrap_err();
        assert!(
            matches!(
                refused,
                ServiceError::Parts(PartError::NoPart { count: 1, .. })
            ),
            "{refused:?}"
        );
    }
    assert_eq!(
        datasets.part_upload(&upload.id).await.unwrap().missing(),
        [1]
    );
    let staging = std::fs::read_dir(stores.path().join(".staging")).unwrap();
    let folders = staging.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), 0);
}

#[tokio::test]
async fn where_nothing_keeps_parts_requests_take_everything() {
    let stores = Stores::new();
    let refused = stores.datasets.begin_parts(plan(b"1")).await.unwrap_err();
    assert!(matches!(refused, ServiceError::NoUploads), "{refused:?}");
    let refused = stores
        .datasets
        .complete("a", Some("a.csv"), ColumnMap::default())
        .await;
    assert!(
        matches!(refused, Err(ServiceError::NoUploads)),
        "{refused:?}"
    );
}
