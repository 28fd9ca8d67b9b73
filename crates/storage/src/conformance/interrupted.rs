use super::{
    Open, OpenFaulty, Subject, assert_absent, assert_holds, fill, publish, read_all, root, version,
    versions,
};
use crate::StorageError;

/// No adapter needs more writes than this for one call; a suite that gets here found none that works.
const WRITES: u64 = 200;

/// A process that dies while it publishes leaves the key free or whole.
pub async fn dying_between_any_two_writes_of_a_publish_is_all_or_nothing(subject: Subject) {
    let Some(open_dying) = subject.open_dying else {
        return;
    };
    for write in 0..WRITES {
        if published_despite_dying_at(write, subject.open, open_dying).await {
            assert!(write > 0, "no write of a publish was cut");
            return;
        }
    }
    panic!("a publish does not end after {WRITES} writes");
}

/// Returns whether the publish got through before the process died.
async fn published_despite_dying_at(write: u64, open: Open, open_dying: OpenFaulty) -> bool {
    let root = root();
    publish(&open(root.path()), "neighbour", &version(1)).await;
    let completed = {
        let store = open_dying(root.path(), write);
        match store.stage().await {
            Err(_) => false,
            Ok(folder) => {
                fill(folder.path(), "mine");
                store.publish(folder.path(), &version(2)).await.is_ok()
            }
        }
    };
    let store = open(root.path());
    assert_holds(&store, &version(1), "neighbour").await;
    let listed = store
        .list(&versions())
        .await
        .expect("the versions can be listed");
    if listed.contains(&version(2)) {
        assert_holds(&store, &version(2), "mine").await;
    } else {
        assert!(
            !completed,
            "a publish that succeeded is gone, at write {write}"
        );
        assert_absent(&store, &versions(), &version(2)).await;
        publish(&store, "again", &version(2)).await;
        assert_holds(&store, &version(2), "again").await;
    }
    completed
}

/// A process that dies while it deletes leaves the key whole or free.
pub async fn dying_between_any_two_writes_of_a_delete_is_all_or_nothing(subject: Subject) {
    let Some(open_dying) = subject.open_dying else {
        return;
    };
    for write in 0..WRITES {
        let root = root();
        publish(&(subject.open)(root.path()), "mine", &version(1)).await;
        let deleted = open_dying(root.path(), write)
            .delete(&version(1))
            .await
            .is_ok();
        let store = (subject.open)(root.path());
        let listed = store
            .list(&versions())
            .await
            .expect("the versions can be listed");
        if listed.is_empty() {
            assert_absent(&store, &versions(), &version(1)).await;
        } else {
            assert!(!deleted, "what was deleted is back, at write {write}");
            assert_holds(&store, &version(1), "mine").await;
        }
        if deleted {
            assert!(write > 0, "no write of a delete was cut");
            return;
        }
    }
    panic!("a delete does not end after {WRITES} writes");
}

/// A write that fails undoes the publish.
pub async fn a_full_disk_at_any_write_leaves_the_staged_folder_untouched(subject: Subject) {
    let Some(open_full) = subject.open_full else {
        return;
    };
    let mut failures = 0;
    for write in 0..WRITES {
        let root = root();
        let store = open_full(root.path(), write);
        let Ok(folder) = store.stage().await else {
            continue;
        };
        fill(folder.path(), "mine");
        let before = read_all(folder.path());
        match store.publish(folder.path(), &version(1)).await {
            Ok(()) => {
                assert!(failures > 0, "no write of a publish was refused");
                return assert_holds(&store, &version(1), "mine").await;
            }
            Err(StorageError::NoSpace { .. }) => failures += 1,
            Err(error) => panic!("a full disk gave another error at write {write}: {error:?}"),
        }
        assert_eq!(read_all(folder.path()), before, "at write {write}");
        assert_absent(&store, &versions(), &version(1)).await;
        let again = store.publish(folder.path(), &version(1)).await;
        again.expect("with space again, the same staged folder can be published");
        assert_holds(&store, &version(1), "mine").await;
    }
    panic!("a publish does not end after {WRITES} writes");
}
