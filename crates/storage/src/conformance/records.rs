use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{only_winner, root};
use crate::{Listing, Page, Record, RecordStore, Revision, StorageError};

/// A record that only the suite keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    id: String,
    created_ms: u64,
    shelf: String,
    text: String,
}

impl Record for Note {
    const KIND: &'static str = "note";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_ms(&self) -> u64 {
        self.created_ms
    }

    fn group(&self) -> &str {
        &self.shelf
    }
}

/// Opens the store that lives below a folder; opening it twice is another process, or a restart.
pub type OpenRecords = fn(&Path) -> Arc<dyn RecordStore<Note>>;

/// Generates the suite of [`RecordStore`] as tests of the calling module; `$open` is an
/// [`OpenRecords`](crate::conformance::OpenRecords).
#[macro_export]
macro_rules! record_store_conformance {
    ($open:expr) => {
        $crate::conformance_cases!($open;
            a_record_is_read_as_it_was_created
            a_record_that_is_not_there_is_named
            exactly_one_of_a_hundred_concurrent_creates_wins
            a_replacement_needs_the_present_revision
            exactly_one_of_a_hundred_concurrent_replacements_wins
            a_deleted_record_is_gone_and_its_revisions_fit_nothing
            records_are_listed_from_the_last_in_parts_that_join
            a_group_is_listed_as_it_is_now
            a_restart_keeps_every_record
        );
    };
}

fn note(id: &str, created_ms: u64) -> Note {
    Note {
        id: id.to_owned(),
        created_ms,
        shelf: "upper".to_owned(),
        text: format!("this is {id}"),
    }
}

fn is_conflict(error: &StorageError) -> bool {
    matches!(error, StorageError::Conflict { .. })
}

async fn ids(store: &Arc<dyn RecordStore<Note>>, listing: Listing) -> Vec<String> {
    let page = store.list(&listing).await.expect("records can be listed");
    page_ids(&page)
}

fn page_ids(page: &Page<Note>) -> Vec<String> {
    let ids = page.records.iter().map(|stored| stored.record.id.clone());
    ids.collect()
}

/// What goes in comes out, whatever characters it has.
pub async fn a_record_is_read_as_it_was_created(open: OpenRecords) {
    let root = root();
    let store = open(root.path());
    for (number, id) in [
        "plain",
        "it's; DROP TABLE",
        "ein schönes 🦀",
        "a\"b\\c\n%_*",
    ]
    .into_iter()
    .enumerate()
    {
        let created = store.create(&note(id, number as u64)).await;
        let created = created.expect("a new id is free");
        assert_eq!(created.record, note(id, number as u64));
        assert_eq!(store.get(id).await.expect("it is there"), created);
    }
}

/// A missing record is an error that says its kind and id; deleting it is none.
pub async fn a_record_that_is_not_there_is_named(open: OpenRecords) {
    let root = root();
    let store = open(root.path());
    let error = store.get("absent").await.expect_err("it was never made");
    assert!(
        matches!(&error, StorageError::NoRecord { kind: "note", id } if id == "absent"),
        "{error:?}"
    );
    let replaced = store.replace(Revision(1), &note("absent", 1)).await;
    assert!(
        matches!(replaced, Err(StorageError::Conflict { .. })),
        "{replaced:?}"
    );
    store
        .delete("absent")
        .await
        .expect("there is nothing to do");
}

/// Creating is exclusive.
pub async fn exactly_one_of_a_hundred_concurrent_creates_wins(open: OpenRecords) {
    let root = root();
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let store = open(root.path());
        tasks.spawn(async move { store.create(&note("wanted", number)).await });
    }
    let winner = only_winner(
        tasks.join_all().await,
        |error| matches!(error, StorageError::RecordExists { kind: "note", id } if id == "wanted"),
    );
    let kept = open(root.path()).get("wanted").await;
    assert_eq!(kept.expect("it is there"), winner);
}

/// What changed since it was read is not overwritten.
pub async fn a_replacement_needs_the_present_revision(open: OpenRecords) {
    let root = root();
    let store = open(root.path());
    let first = store.create(&note("a", 1)).await.expect("free");
    let changed = Note {
        text: "changed".to_owned(),
        ..first.record.clone()
    };
    let second = store
        .replace(first.revision, &changed)
        .await
        .expect("present");
    assert_eq!(second.record, changed);
    assert_ne!(second.revision, first.revision);
    let stale = store.replace(first.revision, &note("a", 1)).await;
    assert!(
        matches!(stale, Err(StorageError::Conflict { .. })),
        "{stale:?}"
    );
    assert_eq!(store.get("a").await.expect("it is there"), second);
}

/// Claims are replacements: one worker gets the job.
pub async fn exactly_one_of_a_hundred_concurrent_replacements_wins(open: OpenRecords) {
    let root = root();
    let first = open(root.path())
        .create(&note("job", 1))
        .await
        .expect("free");
    let mut tasks = JoinSet::new();
    for worker in 0..100 {
        let store = open(root.path());
        let claimed = Note {
            text: format!("claimed by {worker}"),
            ..first.record.clone()
        };
        tasks.spawn(async move { store.replace(first.revision, &claimed).await });
    }
    let winner = only_winner(tasks.join_all().await, is_conflict);
    let kept = open(root.path()).get("job").await;
    assert_eq!(kept.expect("it is there"), winner);
}

/// A revision means one state of one record, also after the id is used again.
pub async fn a_deleted_record_is_gone_and_its_revisions_fit_nothing(open: OpenRecords) {
    let root = root();
    let store = open(root.path());
    let other = store.create(&note("other", 1)).await.expect("free");
    let first = store.create(&note("a", 2)).await.expect("free");
    store.delete("a").await.expect("it is there");
    store.delete("a").await.expect("deleting twice is fine");
    assert!(store.get("a").await.is_err());
    assert_eq!(ids(&store, all(10)).await, ["other"]);
    let again = store.create(&note("a", 3)).await.expect("free again");
    let stale = store.replace(first.revision, &note("a", 2)).await;
    assert!(
        matches!(stale, Err(StorageError::Conflict { .. })),
        "{stale:?}"
    );
    assert_eq!(store.get("a").await.expect("it is there"), again);
    assert_eq!(store.get("other").await.expect("it is there"), other);
}

fn all(limit: u32) -> Listing {
    Listing {
        limit,
        ..Listing::default()
    }
}

/// Parts of a list have no gaps and no repeats, also where many records are of one moment and some
/// are made in between.
pub async fn records_are_listed_from_the_last_in_parts_that_join(open: OpenRecords) {
    let root = root();
    let store = open(root.path());
    for number in 0..23_u64 {
        let made = store
            .create(&note(&format!("n{number:02}"), 100 + number / 5))
            .await;
        made.expect("free");
    }
    let expected: Vec<String> = (0..23)
        .rev()
        .map(|number| format!("n{number:02}"))
        .collect();
    assert_eq!(ids(&store, all(100)).await, expected);
    for limit in [1, 4, 23] {
        let mut listing = all(limit);
        let mut found = Vec::new();
        loop {
            let page = store.list(&listing).await.expect("records can be listed");
            assert!(page.records.len() <= limit as usize);
            found.extend(page_ids(&page));
            listing.after = page.next;
            let late = note(&format!("late-{limit}-{}", found.len()), 1000);
            store.create(&late).await.expect("free");
            store.delete(&late.id).await.expect("it is there");
            if listing.after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "in parts of {limit}");
    }
    assert_eq!(ids(&store, all(0)).await, Vec::<String>::new());
}

/// A change of group shows in lists.
pub async fn a_group_is_listed_as_it_is_now(open: OpenRecords) {
    let root = root();
    let store = open(root.path());
    let on = |shelf: &str, limit| Listing {
        group: Some(shelf.to_owned()),
        ..all(limit)
    };
    for number in 0..6_u64 {
        let made = store.create(&note(&format!("n{number}"), number)).await;
        let made = made.expect("free");
        if number % 2 == 0 {
            let moved = Note {
                shelf: "lower".to_owned(),
                ..made.record
            };
            store.replace(made.revision, &moved).await.expect("present");
        }
    }
    assert_eq!(ids(&store, on("upper", 9)).await, ["n5", "n3", "n1"]);
    assert_eq!(ids(&store, on("lower", 9)).await, ["n4", "n2", "n0"]);
    assert_eq!(ids(&store, on("none", 9)).await, Vec::<String>::new());
    let page = store.list(&on("lower", 2)).await.expect("listed");
    assert_eq!(page_ids(&page), ["n4", "n2"]);
    let rest = Listing {
        after: page.next,
        ..on("lower", 2)
    };
    assert_eq!(ids(&store, rest).await, ["n0"]);
}

/// What was acknowledged is there after a restart.
pub async fn a_restart_keeps_every_record(open: OpenRecords) {
    let root = root();
    let store = open(root.path());
    let first = store.create(&note("a", 1)).await.expect("free");
    store.create(&note("b", 2)).await.expect("free");
    store.delete("b").await.expect("it is there");
    let changed = Note {
        text: "changed".to_owned(),
        ..first.record
    };
    let kept = store
        .replace(first.revision, &changed)
        .await
        .expect("present");
    drop(store);
    let store = open(root.path());
    assert_eq!(store.get("a").await.expect("it is there"), kept);
    assert_eq!(ids(&store, all(9)).await, ["a"]);
    let later = store.create(&note("b", 3)).await.expect("free");
    assert_ne!(later.revision, kept.revision);
}
