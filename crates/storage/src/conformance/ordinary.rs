use std::fs;

use llmopt_domain::{Digest, ObjectKey};

use super::{
    Subject, assert_absent, assert_holds, files, job, only_winner, publish, read, read_all, root,
    staged, version, versions,
};
use crate::StorageError;

/// Publishing moves the files to the key.
pub async fn a_published_folder_opens_with_its_files_and_consumes_the_staged_one(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    let staged = staged(&store, "one").await;
    let path = staged.path().to_owned();
    let published = store.publish(&path, &version(1)).await;
    published.expect("a free key can be published");
    assert!(!path.exists(), "the staged folder is still there");
    assert_holds(&store, &version(1), "one").await;
    drop(staged);
    assert_holds(&store, &version(1), "one").await;
}

/// A missing key is an error that names it.
pub async fn a_key_that_was_never_published_is_not_found(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    publish(&store, "one", &version(1)).await;
    for key in [
        version(2),
        versions(),
        version(1).child("adapter").expect("a name"),
    ] {
        let error = store
            .open(&key)
            .await
            .expect_err("nothing is published there");
        assert!(
            matches!(&error, StorageError::NotFound { key: named } if *named == key),
            "{error:?}"
        );
        assert!(error.to_string().contains(key.as_str()), "{error}");
    }
}

/// A second publish changes nothing.
pub async fn a_published_key_is_taken_and_the_staged_folder_stays(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    publish(&store, "first", &version(1)).await;
    let second = staged(&store, "second").await;
    let before = read_all(second.path());
    let error = store.publish(second.path(), &version(1)).await;
    assert!(
        matches!(error, Err(StorageError::AlreadyExists { .. })),
        "{error:?}"
    );
    assert_eq!(read_all(second.path()), before);
    assert_holds(&store, &version(1), "first").await;
    let elsewhere = store.publish(second.path(), &version(2)).await;
    elsewhere.expect("the same staged folder fits a free key");
}

/// Keys above and below a published one are taken.
pub async fn published_folders_do_not_nest(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    publish(&store, "one", &version(1)).await;
    let below = version(1).child("child").expect("a name");
    for key in [
        versions(),
        below.clone(),
        below.child("child").expect("a name"),
    ] {
        let staged = staged(&store, "other").await;
        let error = store.publish(staged.path(), &key).await;
        assert!(
            matches!(error, Err(StorageError::AlreadyExists { .. })),
            "`{key}`: {error:?}"
        );
        assert_eq!(read(staged.path()), super::files("other"));
    }
    assert_holds(&store, &version(1), "one").await;
    let listed = store.list(&version(1)).await;
    assert_eq!(listed.expect("a published folder can be listed"), []);
}

/// Children that are gone do not occupy their parent.
pub async fn a_key_whose_children_were_deleted_is_free(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    let deep = version(1)
        .child("a")
        .and_then(|key| key.child("b"))
        .expect("names");
    publish(&store, "child", &deep).await;
    store
        .delete(&deep)
        .await
        .expect("a published key can be deleted");
    publish(&store, "parent", &versions()).await;
    assert_holds(&store, &versions(), "parent").await;
}

/// Publishing to one key is exclusive.
pub async fn exactly_one_of_a_hundred_concurrent_publishes_wins(subject: Subject) {
    let root = root();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        // Each opens the store itself, as another process would.
        let store = (subject.open)(root.path());
        tasks.spawn(async move {
            let mark = format!("publisher {number}");
            let staged = staged(&store, &mark).await;
            let result = store.publish(staged.path(), &version(1)).await;
            if result.is_err() {
                assert_eq!(read(staged.path()), super::files(&mark));
            }
            result.map(|()| mark)
        });
    }
    let winner = only_winner(tasks.join_all().await, |error| {
        matches!(error, StorageError::AlreadyExists { .. })
    });
    let store = (subject.open)(root.path());
    assert_holds(&store, &version(1), &winner).await;
}

/// Listing gives published direct children in order.
pub async fn children_are_listed_by_name_and_nothing_else_is(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    let steps = [20, 3, 100].map(|step| ObjectKey::checkpoint(&job(), step));
    for key in &steps {
        publish(&store, "step", key).await;
    }
    let parent = ObjectKey::checkpoints(&job());
    let deep = parent
        .child("not-published")
        .and_then(|key| key.child("below"));
    publish(&store, "deep", &deep.expect("names")).await;
    let _staged = staged(&store, "staged").await;
    let listed = store.list(&parent).await.expect("the parent can be listed");
    assert_eq!(
        listed,
        [3, 20, 100].map(|step| ObjectKey::checkpoint(&job(), step))
    );
    let above = store.list(&ObjectKey::job(&job())).await;
    assert_eq!(above.expect("the job can be listed"), []);
}

/// A missing parent is an empty one.
pub async fn a_parent_that_does_not_exist_has_no_children(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    let listed = store.list(&ObjectKey::models()).await;
    assert_eq!(listed.expect("a missing parent is empty"), []);
}

/// Staging leaves no trace.
pub async fn staged_folders_are_invisible_and_removed_when_dropped(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    let first = staged(&store, "first").await;
    let second = store.stage().await.expect("a second folder is staged");
    assert_ne!(first.path(), second.path());
    assert_eq!(
        read_all(second.path()).len(),
        0,
        "a staged folder is empty at first"
    );
    assert_absent(&store, &versions(), &version(1)).await;
    let path = first.path().to_owned();
    // Opening the store elsewhere must not sweep what is still in use.
    drop((subject.open)(root.path()));
    assert!(path.exists(), "a folder in use was swept");
    drop(first);
    assert!(!path.exists(), "a dropped folder is still there");
}

/// Deleting touches one key.
pub async fn deleting_is_idempotent_and_leaves_children_and_neighbours(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    publish(&store, "one", &version(1)).await;
    publish(&store, "two", &version(2)).await;
    for key in [version(1), version(1), versions(), version(3)] {
        store.delete(&key).await.expect("deleting succeeds always");
    }
    let inside = version(2).child("adapter").expect("a name");
    store
        .delete(&inside)
        .await
        .expect("deleting succeeds always");
    assert_absent(&store, &versions(), &version(1)).await;
    assert_holds(&store, &version(2), "two").await;
}

/// Deleting frees the key.
pub async fn a_deleted_key_can_be_published_again(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    publish(&store, "old", &version(1)).await;
    store
        .delete(&version(1))
        .await
        .expect("a published key can be deleted");
    publish(&store, "new", &version(1)).await;
    assert_holds(&store, &version(1), "new").await;
}

/// A link would make the folder depend on what lies outside it.
pub async fn what_cannot_be_stored_is_refused_and_stays_staged(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    let staged = staged(&store, "linked").await;
    let link = staged.path().join("link");
    std::os::unix::fs::symlink("config.json", &link).expect("a link is made");
    let error = store.publish(staged.path(), &version(1)).await;
    assert!(
        matches!(&error, Err(StorageError::Corrupt { .. })),
        "{error:?}"
    );
    assert_absent(&store, &versions(), &version(1)).await;
    fs::remove_file(&link).expect("the link is still there");
    assert_eq!(read_all(staged.path()), super::files("linked"));
}

/// A restart changes nothing.
pub async fn a_restart_keeps_what_was_published_and_nothing_else(subject: Subject) {
    if !subject.survives_restart {
        return;
    }
    let root = root();
    let store = (subject.open)(root.path());
    publish(&store, "one", &version(1)).await;
    publish(&store, "two", &version(2)).await;
    store
        .delete(&version(2))
        .await
        .expect("a published key can be deleted");
    drop(store);
    let store = (subject.open)(root.path());
    assert_holds(&store, &version(1), "one").await;
    let listed = store.list(&versions()).await;
    assert_eq!(listed.expect("the versions can be listed"), [version(1)]);
}

/// What lies deeper is in the list that is for it, and not in that of direct children.
pub async fn a_list_below_a_parent_has_what_is_published_at_any_depth(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    let models = ObjectKey::models();
    let below = async |parent: &ObjectKey| store.list_below(parent).await.expect("listed");
    assert_eq!(below(&models).await, []);
    publish(&store, "two", &version(2)).await;
    publish(&store, "one", &version(1)).await;
    let alone = models.child("alone").expect("a name");
    publish(&store, "alone", &alone).await;
    assert_eq!(
        below(&models).await,
        [alone.clone(), version(1), version(2)]
    );
    assert_eq!(below(&versions()).await, [version(1), version(2)]);
    let children = store.list(&models).await.expect("listed");
    assert_eq!(children, std::slice::from_ref(&alone));
    assert_eq!(below(&version(1)).await, []);
    assert_eq!(below(&alone).await, []);
    store.delete(&version(1)).await.expect("it is there");
    assert_eq!(below(&models).await, [alone, version(2)]);
}

/// Who wants a part gets it, from the start and after another part.
pub async fn a_part_of_a_folder_has_the_files_that_are_wanted(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    publish(&store, "one", &version(1)).await;
    let key = version(1);
    let part = store.open_part(&key, |name| name == "config.json").await;
    let part = part.expect("the key is published");
    assert_eq!(fs::read(part.join("config.json")).expect("there"), b"one");
    let part = store
        .open_part(&key, |name| name.starts_with("adapter/"))
        .await;
    let part = part.expect("the key is published");
    let weights = fs::read(part.join("adapter/deep/weights")).expect("there");
    assert_eq!(weights, "one".repeat(9000).as_bytes());
    assert_holds(&store, &version(1), "one").await;
    let missing = store.open_part(&version(2), |_| false).await;
    assert!(
        matches!(missing, Err(StorageError::NotFound { .. })),
        "{missing:?}"
    );
}

/// Digests tell of the files without their being opened.
pub async fn digests_are_those_of_the_files(subject: Subject) {
    let root = root();
    let store = (subject.open)(root.path());
    publish(&store, "one", &version(1)).await;
    let digests = store.digests(&version(1)).await;
    let mut digests = digests.expect("the key is published");
    digests.retain(|name, _| !name.starts_with('.'));
    let expected = files("one").into_iter();
    let expected = expected.map(|(name, content)| (name, Digest::of_bytes(&content)));
    assert_eq!(digests, expected.collect());
    let missing = store.digests(&version(2)).await;
    assert!(
        matches!(missing, Err(StorageError::NotFound { .. })),
        "{missing:?}"
    );
}
