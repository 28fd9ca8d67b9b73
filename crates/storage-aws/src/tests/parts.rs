//! Uploads in parts on S3.

use std::{fs, process::Command};

use llmopt_storage::{Part, PartPlace, PartPlan, PartStore, PartUpload, conformance::PartSubject};

use super::{
    faulty::{Faulty, Instead},
    *,
};
use crate::S3Parts;

/// S3 takes no smaller ones.
const SMALL: u64 = 5 << 20;
const HOUR: Duration = Duration::from_secs(3_600);

fn parts(root: &Path) -> Arc<dyn PartStore> {
    let aws = aws();
    let name = bucket(&aws, root);
    Arc::new(S3Parts::on(Bucket::new(&aws, &name), SMALL))
}

fn dying(root: &Path, write: u64) -> Arc<dyn PartStore> {
    let aws = aws();
    let name = bucket(&aws, root);
    let death = Death {
        writes: AtomicU64::new(0),
        at: write,
    };
    let bucket = Bucket::with_interceptor(&aws, &name, death);
    Arc::new(S3Parts::on(bucket, SMALL))
}

pub(super) const PARTS: PartSubject = PartSubject {
    open: parts,
    open_dying: dying,
    part_bytes: SMALL,
};

fn plan(size_bytes: u64) -> PartPlan {
    PartPlan {
        name: "rows.csv".to_owned(),
        size_bytes,
        digest: None,
    }
}

fn put(url: &str, body: &str) -> bool {
    let put = Command::new("curl")
        .args([
            "--silent",
            "--fail",
            "--request",
            "PUT",
            "--data-binary",
            body,
        ])
        .arg(url)
        .status();
    put.unwrap().success()
}

async fn url_of(store: &dyn PartStore, upload: &PartUpload) -> String {
    let part = upload.record.part(1).unwrap();
    let places = store.locate(&upload.id, &[part], HOUR).await.unwrap();
    match places.as_slice() {
        [PartPlace::Url { url, .. }] => url.clone(),
        others => panic!("{others:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_goes_to_its_url_with_its_size_and_no_other() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let store = parts(root.path());
    let upload = store.begin(plan(4), HOUR).await.unwrap();
    let url = url_of(&*store, &upload).await;
    // S3 holds the sender to the length that is signed, and to no checksum.
    let signed = url
        .split('&')
        .find(|it| it.contains("X-Amz-SignedHeaders="));
    let signed = signed.unwrap().to_lowercase();
    assert!(signed.contains("content-length"), "{url}");
    assert!(!url.to_lowercase().contains("checksum"), "{url}");
    // The emulator takes any length, as whoever has keys of the bucket may send: it is no part.
    put(&url, "a,b\n1");
    assert_eq!(store.look(&upload.id).await.unwrap().missing(), [1]);
    assert!(put(&url, "a,b\n"));
    assert_eq!(store.look(&upload.id).await.unwrap().missing(), [0_u32; 0]);
    let into = root.path().join("whole");
    store.assemble(&upload.id, &into).await.unwrap();
    assert_eq!(fs::read_to_string(into).unwrap(), "a,b\n");
    store.settle(&upload.id, "dataset").await.unwrap();
    assert!(!put(&url, "a,b\n"), "a part came after the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_whose_answer_is_lost_is_known_again() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let store = parts(root.path());
    let lost = "<Error><Code>InternalError</Code><Message>lost</Message></Error>";
    let (aws, _) = Faulty::on(move |_, request| {
        let completes = request.method() == "POST" && request.uri().contains("uploadId=");
        completes.then_some(Instead::After(500, lost))
    });
    let name = bucket(&aws, root.path());
    let unlucky = S3Parts::on(Bucket::new(&aws.without_retries(), &name), SMALL);
    let upload = store.begin(plan(4), HOUR).await.unwrap();
    assert!(put(&url_of(&*store, &upload).await, "a,b\n"));
    let into = root.path().join("whole");
    let failed = unlucky.assemble(&upload.id, &into).await;
    assert!(
        matches!(failed, Err(StorageError::Unavailable { .. })),
        "{failed:?}"
    );
    // It was done all the same.
    assert!(store.look(&upload.id).await.unwrap().missing().is_empty());
    for store in [&*store, &unlucky as &dyn PartStore] {
        store.assemble(&upload.id, &into).await.unwrap();
        assert_eq!(fs::read_to_string(&into).unwrap(), "a,b\n");
        fs::remove_file(&into).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_buckets_rules_have_aborted_is_unknown() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let aws = aws();
    let name = bucket(&aws, root.path());
    let store = parts(root.path());
    let upload = store.begin(plan(4), HOUR).await.unwrap();
    let client = Bucket::new(&aws, &name).client().clone();
    let begun = client.list_multipart_uploads().bucket(&name).send().await;
    let [begun] = begun.unwrap().uploads.unwrap().try_into().unwrap();
    let abort = client.abort_multipart_upload().bucket(&name);
    let abort = abort
        .key(begun.key.unwrap())
        .upload_id(begun.upload_id.unwrap());
    abort.send().await.unwrap();
    let looked = store.look(&upload.id).await;
    assert!(
        matches!(looked, Err(StorageError::NoRecord { .. })),
        "{looked:?}"
    );
    let path = root.path().join("part");
    fs::write(&path, "a,b\n").unwrap();
    let part: Part = upload.record.part(1).unwrap();
    let put = store.put(&upload.id, part, &path).await;
    assert!(matches!(put, Err(StorageError::NoRecord { .. })), "{put:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_sent_without_a_checksum_that_the_others_do_not_have() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (aws, client) = Faulty::on(|_, request| {
        let has = request
            .headers()
            .iter()
            .any(|(name, _)| name.contains("checksum"));
        let is_of_parts = request.uri().contains("uploadId=") || request.uri().contains("uploads");
        let is_note = request.uri().contains("upload.json");
        (has && is_of_parts && !is_note).then_some(Instead::Dead)
    });
    let name = bucket(&aws, root.path());
    let store = S3Parts::on(Bucket::new(&aws.without_retries(), &name), SMALL);
    let upload = store.begin(plan(4), HOUR).await.unwrap();
    let path = root.path().join("part");
    fs::write(&path, "a,b\n").unwrap();
    let part = upload.record.part(1).unwrap();
    store.put(&upload.id, part, &path).await.unwrap();
    assert!(client.calls() > 2);
}
