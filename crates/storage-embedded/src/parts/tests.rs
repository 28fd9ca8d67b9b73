use llmopt_domain::Digest;
use llmopt_storage::{
    conformance::{PartSubject, run},
    part_store_conformance,
};
use tempfile::tempdir;

use super::*;
use crate::disk::fault::{Failing, Fault};

/// Small: what is cut is cut anywhere.
const SMALL: u64 = 100;

fn open(root: &Path) -> Arc<dyn PartStore> {
    Arc::new(FilePartStore::open_on(Disk::default(), root, SMALL).unwrap())
}

fn dying(root: &Path, write: u64) -> Arc<dyn PartStore> {
    let (disk, _) = Fault::disk(Failing::From(write));
    Arc::new(FilePartStore::open_on(disk, root, SMALL).unwrap())
}

const SUBJECT: PartSubject = PartSubject {
    open,
    open_dying: dying,
    part_bytes: SMALL,
};

part_store_conformance!(SUBJECT);

fn plan() -> PartPlan {
    PartPlan {
        name: "a.jsonl".to_owned(),
        size_bytes: SMALL + 1,
        digest: None,
    }
}

fn folders(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join(UPLOADS)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

async fn put(store: &FilePartStore, root: &Path, upload: &PartUpload, number: u32) {
    let part = upload.record.part(number).unwrap();
    let path = root.join("sent");
    fs::write(&path, vec![0; part.size_bytes as usize]).unwrap();
    store.put(&upload.id, part, &path).await.unwrap();
}

#[test]
fn what_is_over_is_removed_when_another_is_begun_and_when_the_store_is_opened() {
    let root = tempdir().unwrap();
    let store = FilePartStore::open_on(Disk::default(), root.path(), SMALL).unwrap();
    run(async {
        store.begin(plan(), Duration::ZERO).await.unwrap();
        assert_eq!(folders(root.path()).len(), 1);
        let lasting = store.begin(plan(), Duration::from_secs(60)).await.unwrap();
        put(&store, root.path(), &lasting, 1).await;
        assert_eq!(folders(root.path()), std::slice::from_ref(&lasting.id));
        store.begin(plan(), Duration::ZERO).await.unwrap();
        open(root.path());
        assert_eq!(folders(root.path()), std::slice::from_ref(&lasting.id));
        assert_eq!(store.look(&lasting.id).await.unwrap().missing(), [2]);
    });
}

#[test]
fn what_was_just_begun_by_another_process_is_left_alone() {
    let root = tempdir().unwrap();
    let store = open(root.path());
    let begun = root.path().join(UPLOADS).join("a".repeat(32));
    fs::create_dir(&begun).unwrap();
    open(root.path());
    assert!(begun.exists());
    let long_ago = SystemTime::now() - 2 * BEGINNING;
    File::open(&begun).unwrap().set_modified(long_ago).unwrap();
    run(async {
        store.begin(plan(), Duration::ZERO).await.unwrap();
    });
    assert!(!begun.exists());
}

#[test]
fn a_part_is_synced_before_it_is_told_of() {
    let root = tempdir().unwrap();
    let (disk, fault) = Fault::disk(Failing::Nothing);
    let store = FilePartStore::open_on(disk, root.path(), SMALL).unwrap();
    run(async {
        let upload = store.begin(plan(), Duration::from_secs(60)).await.unwrap();
        put(&store, root.path(), &upload, 2).await;
    });
    let log = fault.log();
    let named = |what: &str, name: &str| {
        log.iter()
            .position(|(found, path)| found == what && path.ends_with(name))
            .unwrap()
    };
    assert!(named("sync", "sent") < named("rename", "2.part"));
    let (last, _) = log.last().unwrap();
    assert_eq!(last, "sync");
}

#[test]
fn a_settled_upload_takes_no_room() {
    let root = tempdir().unwrap();
    let store = FilePartStore::open_on(Disk::default(), root.path(), SMALL).unwrap();
    run(async {
        let upload = store.begin(plan(), Duration::from_secs(60)).await.unwrap();
        for number in [1, 2] {
            put(&store, root.path(), &upload, number).await;
        }
        store.settle(&upload.id, "dataset").await.unwrap();
        let folder = root.path().join(UPLOADS).join(&upload.id);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    });
}

#[test]
fn a_record_that_cannot_be_read_is_named_and_left() {
    let root = tempdir().unwrap();
    let store = open(root.path());
    run(async {
        let upload = store.begin(plan(), Duration::from_secs(60)).await.unwrap();
        let record = root.path().join(UPLOADS).join(&upload.id).join(RECORD);
        fs::write(&record, "{\"format\":2}").unwrap();
        let error = open(root.path()).look(&upload.id).await.unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains(&upload.id), "{error}");
    });
}

#[test]
fn a_record_of_the_first_format_is_read_and_written_as_ever() {
    let golden = include_str!("../golden/upload-1.json").trim_ascii();
    let record: PartRecord = serde_json::from_str(golden).unwrap();
    let plan = PartPlan {
        name: "orders.jsonl".to_owned(),
        size_bytes: 16_777_217,
        digest: Some(Digest::of_bytes(b"abc")),
    };
    assert_eq!((&record.plan, record.count()), (&plan, 3));
    assert_eq!(record.outcome.as_deref(), Some("ce88202e9c07"));
    assert_eq!(serde_json::to_string(&record).unwrap(), golden);
}
