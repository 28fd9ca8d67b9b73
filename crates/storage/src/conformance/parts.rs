use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use llmopt_domain::Digest;

use super::root;
use crate::{Part, PartPlan, PartStore, PartUpload, StorageError};

/// Opens the uploads that live below a folder; opening them twice is another process, or a restart.
pub type OpenParts = fn(&Path) -> Arc<dyn PartStore>;

/// Opens the uploads that live below a folder, with writes numbered from 0 that stop working at one.
pub type OpenDyingParts = fn(&Path, u64) -> Arc<dyn PartStore>;

/// An adapter under test and what it can do.
#[derive(Clone, Copy)]
pub struct PartSubject {
    /// Opens the store.
    pub open: OpenParts,
    /// Opens the store as a process that dies before the given write: that one and all later ones fail
    /// without effect.
    pub open_dying: OpenDyingParts,
    /// The size of every part but the last, in bytes.
    pub part_bytes: u64,
}

/// Generates the suite of [`PartStore`] as tests of the calling module; `$subject` is an expression that
/// gives a [`PartSubject`](crate::conformance::PartSubject).
#[macro_export]
macro_rules! part_store_conformance {
    ($subject:expr) => {
        $crate::conformance_cases!($subject;
            an_upload_is_told_of_as_it_was_begun
            parts_that_come_in_any_order_are_one_file
            of_parts_that_come_twice_the_last_is_kept
            a_file_of_one_part_assert_assembled_too
            every_part_has_a_place
            what_lacks_a_part_is_not_assembled
            an_upload_that_is_not_there_is_named
            a_settled_upload_tells_its_outcome_and_takes_no_more
            a_discarded_upload_is_gone
            an_upload_that_is_over_is_gone
            uploads_do_not_meet
            a_restart_keeps_what_was_sent
            dying_between_any_two_writes_loses_nothing_that_was_acknowledged
        );
    };
}

/// No adapter needs more writes than this for an upload; a suite that gets here found none that works.
const WRITES: u64 = 200;
const DAY: Duration = Duration::from_secs(86_400);

type Parts = Arc<dyn PartStore>;

/// A file to send, and where it lies in parts.
struct Sample {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Sample {
    fn new(size_bytes: u64, mark: u8) -> Self {
        let byte = |at: u64| (at / 1_000).to_le_bytes()[0].wrapping_add(mark);
        Self {
            folder: root(),
            bytes: (0..size_bytes).map(byte).collect(),
        }
    }

    fn plan(&self) -> PartPlan {
        PartPlan {
            name: "orders.jsonl".to_owned(),
            size_bytes: self.bytes.len() as u64,
            digest: Some(Digest::of_bytes(&self.bytes)),
        }
    }

    /// Writes a part as a file, as a store is handed it.
    fn file(&self, part: Part) -> PathBuf {
        let path = self.folder.path().join(part.number.to_string());
        let start = usize::try_from(part.offset).expect("it fits into memory");
        let size = usize::try_from(part.size_bytes).expect("it fits into memory");
        fs::write(&path, &self.bytes[start..start + size]).expect("a part can be written");
        path
    }

    async fn put(
        &self,
        store: &Parts,
        upload: &PartUpload,
        number: u32,
    ) -> Result<(), StorageError> {
        let part = part(upload, number);
        store.put(&upload.id, part, &self.file(part)).await
    }

    async fn assert_assembled(&self, store: &Parts, id: &str) {
        let into = self.folder.path().join("whole");
        let assembled = store.assemble(id, &into).await;
        assembled.expect("nothing is missing");
        let found = fs::read(&into).expect("it was written");
        assert!(found == self.bytes, "{} bytes", found.len());
        fs::remove_file(&into).expect("it can be removed");
    }
}

fn part(upload: &PartUpload, number: u32) -> Part {
    upload.record.part(number).expect("the file has the part")
}

async fn begin(store: &Parts, sample: &Sample) -> PartUpload {
    let begun = store.begin(sample.plan(), DAY).await;
    begun.expect("an upload can be begun")
}

async fn look(store: &Parts, id: &str) -> PartUpload {
    store.look(id).await.expect("the upload is there")
}

async fn received(store: &Parts, id: &str) -> Vec<u32> {
    look(store, id).await.received.into_iter().collect()
}

fn is_unknown<T>(result: &Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::NoRecord { .. }))
}

/// Asserts that nothing can be done with an upload.
async fn assert_gone(store: &Parts, id: &str, sample: &Sample) {
    let first = Part {
        number: 1,
        offset: 0,
        size_bytes: 1,
    };
    assert!(is_unknown(&store.look(id).await), "{id} is told of");
    assert!(is_unknown(&store.locate(id, &[first], DAY).await), "{id}");
    let put = store.put(id, first, &sample.file(first)).await;
    assert!(is_unknown(&put), "{id} takes a part: {put:?}");
    let into = sample.folder.path().join("nothing");
    assert!(is_unknown(&store.assemble(id, &into).await), "{id}");
    assert!(is_unknown(&store.settle(id, "dataset").await), "{id}");
}

/// Nothing of it is there at first, and its ids are not foreseen.
pub async fn an_upload_is_told_of_as_it_was_begun(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let sample = Sample::new(subject.part_bytes * 2 + 7, 1);
    let begun = begin(&store, &sample).await;
    assert_eq!(look(&store, &begun.id).await, begun);
    assert_eq!(begun.record.plan, sample.plan());
    assert_eq!(
        (begun.record.part_bytes, begun.record.count()),
        (subject.part_bytes, 3)
    );
    assert_eq!(begun.record.outcome, None);
    assert_eq!(begun.missing(), [1, 2, 3]);
    let other = begin(&store, &sample).await;
    assert_ne!(other.id, begun.id);
    assert!(begun.id.len() >= 32, "{} can be guessed", begun.id);
}

/// It can be assembled as often as need be.
pub async fn parts_that_come_in_any_order_are_one_file(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let sample = Sample::new(subject.part_bytes * 2 + 7, 2);
    let upload = begin(&store, &sample).await;
    for (number, there) in [(3, vec![3]), (1, vec![1, 3]), (2, vec![1, 2, 3])] {
        let put = sample.put(&store, &upload, number).await;
        put.expect("a part can be put");
        assert_eq!(received(&store, &upload.id).await, there);
    }
    for _ in 0..2 {
        sample.assert_assembled(&store, &upload.id).await;
        assert_eq!(received(&store, &upload.id).await, [1, 2, 3]);
    }
}

/// Whoever does not know whether a part has come sends it again.
pub async fn of_parts_that_come_twice_the_last_is_kept(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let size = subject.part_bytes + 7;
    let (wrong, sample) = (Sample::new(size, 3), Sample::new(size, 4));
    let upload = begin(&store, &sample).await;
    for number in [1, 2] {
        let put = wrong.put(&store, &upload, number).await;
        put.expect("a part can be put");
    }
    for number in [2, 1, 1] {
        let put = sample.put(&store, &upload, number).await;
        put.expect("a part can be put again");
    }
    sample.assert_assembled(&store, &upload.id).await;
}

/// The last part may be of any size.
pub async fn a_file_of_one_part_assert_assembled_too(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    for size in [1, subject.part_bytes] {
        let sample = Sample::new(size, 5);
        let upload = begin(&store, &sample).await;
        assert_eq!(upload.missing(), [1]);
        let put = sample.put(&store, &upload, 1).await;
        put.expect("a part can be put");
        sample.assert_assembled(&store, &upload.id).await;
    }
}

/// They come in the order they were asked for.
pub async fn every_part_has_a_place(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let upload = begin(&store, &Sample::new(subject.part_bytes + 7, 6)).await;
    for numbers in [vec![], vec![2], vec![2, 1]] {
        let parts: Vec<Part> = numbers
            .iter()
            .map(|&number| part(&upload, number))
            .collect();
        let places = store.locate(&upload.id, &parts, DAY).await;
        assert_eq!(places.expect("it is there").len(), parts.len());
    }
}

/// What was sent stays, and can be completed.
pub async fn what_lacks_a_part_is_not_assembled(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let sample = Sample::new(subject.part_bytes + 7, 7);
    let upload = begin(&store, &sample).await;
    let into = sample.folder.path().join("early");
    assert!(is_unknown(&store.assemble(&upload.id, &into).await));
    let put = sample.put(&store, &upload, 2).await;
    put.expect("a part can be put");
    assert!(is_unknown(&store.assemble(&upload.id, &into).await));
    let put = sample.put(&store, &upload, 1).await;
    put.expect("a part can be put");
    sample.assert_assembled(&store, &upload.id).await;
}

/// Ids are a caller's text.
pub async fn an_upload_that_is_not_there_is_named(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let sample = Sample::new(1, 8);
    let id = begin(&store, &sample).await.id;
    let unknown = id.chars().rev().collect::<String>();
    for id in [
        &unknown,
        "",
        ".",
        "..",
        "../models",
        "a/b",
        "\0",
        "ü",
        &id[1..],
    ] {
        assert_gone(&store, id, &sample).await;
        let discarded = store.discard(id).await;
        discarded.expect("what is not there is gone");
    }
    assert!(received(&store, &id).await.is_empty());
}

/// Whoever asks again learns what it became.
pub async fn a_settled_upload_tells_its_outcome_and_takes_no_more(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let sample = Sample::new(7, 9);
    let upload = begin(&store, &sample).await;
    let put = sample.put(&store, &upload, 1).await;
    put.expect("a part can be put");
    sample.assert_assembled(&store, &upload.id).await;
    for _ in 0..2 {
        let settled = store.settle(&upload.id, "dataset").await;
        settled.expect("it can be settled");
        let settled = look(&store, &upload.id).await;
        assert_eq!(settled.record.outcome.as_deref(), Some("dataset"));
        assert!(settled.received.is_empty() && settled.missing().is_empty());
    }
    let put = sample.put(&store, &upload, 1).await;
    assert!(is_unknown(&put), "{put:?}");
    let into = sample.folder.path().join("late");
    assert!(is_unknown(&store.assemble(&upload.id, &into).await));
    let discarded = store.discard(&upload.id).await;
    discarded.expect("it can be discarded");
    assert_gone(&store, &upload.id, &sample).await;
}

/// Whether nothing, something or all of it was sent.
pub async fn a_discarded_upload_is_gone(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let sample = Sample::new(subject.part_bytes + 7, 10);
    for sent in [vec![], vec![1], vec![1, 2]] {
        let upload = begin(&store, &sample).await;
        for number in sent {
            let put = sample.put(&store, &upload, number).await;
            put.expect("a part can be put");
        }
        for _ in 0..2 {
            let discarded = store.discard(&upload.id).await;
            discarded.expect("it can be discarded");
            assert_gone(&store, &upload.id, &sample).await;
        }
    }
}

/// Another one is not touched by that.
pub async fn an_upload_that_is_over_is_gone(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let sample = Sample::new(7, 11);
    let lasting = begin(&store, &sample).await;
    let over = store.begin(sample.plan(), Duration::ZERO).await;
    let over = over.expect("an upload can be begun");
    assert_gone(&store, &over.id, &sample).await;
    // What makes room for another does not touch those that last.
    begin(&store, &sample).await;
    assert_eq!(look(&store, &lasting.id).await, lasting);
}

/// Each has parts of its own.
pub async fn uploads_do_not_meet(subject: PartSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let (one, other) = (Sample::new(7, 12), Sample::new(7, 13));
    let (first, second) = (begin(&store, &one).await, begin(&store, &other).await);
    let put = one.put(&store, &first, 1).await;
    put.expect("a part can be put");
    assert!(received(&store, &second.id).await.is_empty());
    let put = other.put(&store, &second, 1).await;
    put.expect("a part can be put");
    let discarded = store.discard(&second.id).await;
    discarded.expect("it can be discarded");
    one.assert_assembled(&store, &first.id).await;
}

/// A client that comes back goes on where it was.
pub async fn a_restart_keeps_what_was_sent(subject: PartSubject) {
    let root = root();
    let sample = Sample::new(subject.part_bytes + 7, 14);
    let upload = begin(&(subject.open)(root.path()), &sample).await;
    for number in [2, 1] {
        let store = (subject.open)(root.path());
        assert_eq!(
            look(&store, &upload.id).await.missing().last(),
            Some(&number)
        );
        let put = sample.put(&store, &upload, number).await;
        put.expect("a part can be put");
    }
    let store = (subject.open)(root.path());
    sample.assert_assembled(&store, &upload.id).await;
    let settled = store.settle(&upload.id, "dataset").await;
    settled.expect("it can be settled");
    let store = (subject.open)(root.path());
    let outcome = look(&store, &upload.id).await.record.outcome;
    assert_eq!(outcome.as_deref(), Some("dataset"));
}

/// Another process goes on with what is there.
pub async fn dying_between_any_two_writes_loses_nothing_that_was_acknowledged(
    subject: PartSubject,
) {
    for write in 0..WRITES {
        if ended_despite_dying_at(write, subject).await {
            assert!(write > 2, "no write of an upload was cut");
            return;
        }
    }
    panic!("an upload does not end after {WRITES} writes");
}

/// Returns whether the upload got through before the process died.
async fn ended_despite_dying_at(write: u64, subject: PartSubject) -> bool {
    let root = root();
    let sample = Sample::new(subject.part_bytes + 7, 15);
    let store = (subject.open)(root.path());
    let dying = (subject.open_dying)(root.path(), write);
    let Ok(upload) = dying.begin(sample.plan(), DAY).await else {
        let again = begin(&store, &sample).await;
        assert_eq!(look(&store, &again.id).await, again);
        return false;
    };
    assert_eq!(look(&store, &upload.id).await, upload, "at write {write}");
    let mut acknowledged = Vec::new();
    for number in [1, 2] {
        if sample.put(&dying, &upload, number).await.is_ok() {
            acknowledged.push(number);
        }
        let there = received(&store, &upload.id).await;
        assert!(
            acknowledged.iter().all(|it| there.contains(it)),
            "at write {write}"
        );
    }
    let into = sample.folder.path().join("dying");
    let assembled = dying.assemble(&upload.id, &into).await.is_ok();
    let settled = dying.settle(&upload.id, "dataset").await.is_ok();
    let found = look(&store, &upload.id).await;
    if settled {
        assert_eq!(
            found.record.outcome.as_deref(),
            Some("dataset"),
            "at write {write}"
        );
    } else if found.record.outcome.is_none() {
        for number in found.missing() {
            let put = sample.put(&store, &upload, number).await;
            put.expect("what is missing can be put");
        }
        sample.assert_assembled(&store, &upload.id).await;
    }
    let discarded = dying.discard(&upload.id).await.is_ok();
    if discarded {
        assert_gone(&store, &upload.id, &sample).await;
    }
    assembled && settled && discarded
}
