use std::{fs, path::Path, sync::Arc};

use llmopt_domain::{Digest, ObjectKey};
use llmopt_storage::{
    FolderStore, StorageError,
    conformance::{Store, Subject, run},
    folder_store_conformance,
};
use tempfile::tempdir;

use super::{FEW, FileFolderStore};
use crate::disk::fault::{Failing, Fault};

fn open(root: &Path) -> Store {
    Arc::new(FileFolderStore::open(root).unwrap())
}

/// Opens with no fault, then stops at the given change.
fn faulty(root: &Path, failing: Failing) -> Store {
    Arc::new(FileFolderStore::open_on(Fault::disk(failing).0, root).unwrap())
}

const SUBJECT: Subject = Subject {
    open,
    survives_restart: true,
    open_dying: Some(|root, write| faulty(root, Failing::From(write))),
    open_full: Some(|root, write| faulty(root, Failing::FullAt(write))),
};

folder_store_conformance!(SUBJECT);

fn key() -> ObjectKey {
    ObjectKey::checkpoint(&Digest::of_bytes(b"job"), 7)
}

async fn publish(store: &FileFolderStore, content: &str) {
    let staged = store.stage().await.unwrap();
    fs::create_dir(staged.path().join("inner")).unwrap();
    fs::write(staged.path().join("inner/file"), content).unwrap();
    store.publish(staged.path(), &key()).await.unwrap();
}

fn staging(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join(".staging")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "lock").collect()
}

#[test]
fn everything_is_synced_before_the_rename_and_the_parents_after_it() {
    let root = tempdir().unwrap();
    let (disk, fault) = Fault::disk(Failing::Nothing);
    let store = FileFolderStore::open_on(disk, root.path()).unwrap();
    run(publish(&store, "content"));
    let log = fault.log();
    let path = root.path().join(key().as_str());
    let renamed = log
        .iter()
        .position(|(what, to)| what == "rename" && *to == path)
        .unwrap();
    let synced = |log: &[(String, std::path::PathBuf)], end: &str| {
        log.iter()
            .any(|(what, path)| what == "sync" && path.ends_with(end))
    };
    for end in [
        "inner/file",
        "folder/inner",
        "folder",
        "folder/.published.json",
        "jobs",
    ] {
        assert!(
            synced(&log[..renamed], end),
            "`{end}` is not synced before: {log:?}"
        );
    }
    assert!(
        synced(&log[renamed..], "checkpoints"),
        "the parent is not synced after: {log:?}"
    );
}

#[test]
fn what_a_dead_process_left_is_swept_at_open() {
    let root = tempdir().unwrap();
    let (disk, _) = Fault::disk(Failing::From(3));
    let store = FileFolderStore::open_on(disk, root.path()).unwrap();
    let staged = run_staged(&store);
    assert_eq!(staging(root.path()).len(), 1);
    // The process dies: its locks are released, nothing is removed.
    drop(staged);
    assert_eq!(
        staging(root.path()).len(),
        1,
        "a dead process removed something"
    );
    drop(open(root.path()));
    assert_eq!(staging(root.path()), Vec::<String>::new());
}

fn run_staged(store: &FileFolderStore) -> llmopt_storage::StagedFolder {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(store.stage()).unwrap()
}

#[test]
fn publishing_and_deleting_leave_nothing_staged() {
    let root = tempdir().unwrap();
    let store = FileFolderStore::open(root.path()).unwrap();
    run(async {
        publish(&store, "content").await;
        assert_eq!(staging(root.path()), Vec::<String>::new());
        store.delete(&key()).await.unwrap();
        assert_eq!(staging(root.path()), Vec::<String>::new());
    });
}

#[test]
fn a_file_that_was_lost_or_cut_is_damage_that_names_it() {
    let root = tempdir().unwrap();
    let store = FileFolderStore::open(root.path()).unwrap();
    run(async {
        publish(&store, "content").await;
        let folder = store.open(&key()).await.unwrap();
        fs::write(folder.join("inner/file"), "cut").unwrap();
        let error = store.open(&key()).await.unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("`inner/file` has 3 bytes: expected 7"),
            "{error}"
        );
        fs::remove_file(folder.join("inner/file")).unwrap();
        let error = store.open(&key()).await.unwrap_err();
        assert!(
            error.to_string().contains("`inner/file` is missing"),
            "{error}"
        );
        fs::write(folder.join(".published.json"), "{").unwrap();
        let error = store.open(&key()).await.unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { .. }), "{error:?}");
    });
}

#[test]
fn files_of_others_beside_the_keys_are_left_alone_and_not_overwritten() {
    let root = tempdir().unwrap();
    let store = FileFolderStore::open(root.path()).unwrap();
    let job = ObjectKey::job(&Digest::of_bytes(b"job"));
    fs::create_dir_all(root.path().join(job.as_str())).unwrap();
    fs::write(root.path().join(job.as_str()).join("job.json"), "{}").unwrap();
    run(async {
        publish(&store, "content").await;
        for taken in [job.clone(), job.child("job.json").unwrap()] {
            let staged = store.stage().await.unwrap();
            let error = store.publish(staged.path(), &taken).await.unwrap_err();
            assert!(
                matches!(error, StorageError::AlreadyExists { .. }),
                "{error:?}"
            );
        }
        let below = job
            .child("job.json")
            .and_then(|key| key.child("below"))
            .unwrap();
        let staged = store.stage().await.unwrap();
        let error = store.publish(staged.path(), &below).await.unwrap_err();
        assert!(
            matches!(error, StorageError::AlreadyExists { .. }),
            "{error:?}"
        );
        assert_eq!(
            store
                .list(&ObjectKey::job(&Digest::of_bytes(b"job")))
                .await
                .unwrap(),
            []
        );
    });
    assert!(root.path().join(job.as_str()).join("job.json").is_file());
}

#[test]
fn a_staged_copy_of_a_published_folder_gets_a_record_of_its_own() {
    let root = tempdir().unwrap();
    let store = FileFolderStore::open(root.path()).unwrap();
    run(async {
        publish(&store, "content").await;
        let record = store.open(&key()).await.unwrap().join(".published.json");
        let staged = store.stage().await.unwrap();
        fs::copy(&record, staged.path().join(".published.json")).unwrap();
        fs::write(staged.path().join("other"), "other").unwrap();
        let copy = ObjectKey::checkpoint(&Digest::of_bytes(b"job"), 8);
        store.publish(staged.path(), &copy).await.unwrap();
        store.open(&copy).await.unwrap();
    });
}

#[test]
fn a_list_is_whole_however_many_it_has() {
    let root = tempdir().unwrap();
    let store = FileFolderStore::open(root.path()).unwrap();
    let name = |number: usize| ObjectKey::models().child(&format!("m{number:03}")).unwrap();
    run(async {
        let mut published = Vec::new();
        for number in 0..FEW + 2 {
            assert_eq!(
                store.list_below(&ObjectKey::models()).await.unwrap(),
                published
            );
            let staged = store.stage().await.unwrap();
            fs::write(staged.path().join("file"), "content").unwrap();
            store.publish(staged.path(), &name(number)).await.unwrap();
            published.push(name(number));
        }
        let all = store.list_below(&ObjectKey::models()).await.unwrap();
        assert_eq!(all, published);
    });
}
