use std::{path::Path, sync::Arc};

use tokio::task::JoinSet;

use super::root;
use crate::{AnswerClaim, AnswerStore, Claimed, KeptAnswer, StorageError};

/// Opens the answers that live below a folder; opening them twice is another process, or a restart.
pub type OpenAnswers = fn(&Path) -> Arc<dyn AnswerStore>;

/// Opens the answers that live below a folder, with writes numbered from 0 that stop working at one.
pub type OpenDyingAnswers = fn(&Path, u64) -> Arc<dyn AnswerStore>;

/// An adapter under test and what it can do.
#[derive(Clone, Copy)]
pub struct AnswerSubject {
    /// Opens the store.
    pub open: OpenAnswers,
    /// Opens the store as a process that dies before the given write: that one and all later ones fail
    /// without effect. `None` where every call is one write.
    pub open_dying: Option<OpenDyingAnswers>,
}

/// Generates the suite of [`AnswerStore`] as tests of the calling module; `$subject` is an expression that
/// gives an [`AnswerSubject`](crate::conformance::AnswerSubject).
#[macro_export]
macro_rules! answer_store_conformance {
    ($subject:expr) => {
        $crate::conformance_cases!($subject;
            a_claim_is_granted_and_the_next_is_told_of_it
            exactly_one_of_a_hundred_concurrent_claims_is_granted
            a_claim_by_its_own_holder_is_granted_again
            a_lapsed_claim_goes_to_the_same_request_and_to_no_other
            exactly_one_of_a_hundred_takes_a_lapsed_claim
            a_claim_of_something_unknown_that_lapsed_is_free
            a_renewed_claim_lasts
            a_released_claim_is_free_for_any_request
            what_is_released_twice_or_by_another_stays
            who_has_lost_a_claim_neither_renews_nor_finishes_it
            an_answer_is_given_to_all_who_come_after_it
            an_answer_that_is_finished_twice_is_the_same
            answers_are_given_byte_for_byte_whatever_their_size
            what_has_ended_is_as_if_it_had_never_been
            each_id_has_a_claim_of_its_own
            a_look_tells_what_is_there_and_changes_nothing
            a_restart_keeps_claims_and_answers
            dying_between_any_two_writes_leaves_an_answer_whole_or_absent
        );
    };
}

const NOW: u64 = 1_800_000_000_000;
const LEASE: u64 = 30_000;
const DAY: u64 = 86_400_000;
/// No adapter needs more writes than this for one call; a suite that gets here found none that works.
const WRITES: u64 = 200;

type Answers = Arc<dyn AnswerStore>;

fn claim(holder: &str, fingerprint: Option<&str>, now_ms: u64) -> AnswerClaim {
    AnswerClaim {
        holder: holder.to_owned(),
        fingerprint: fingerprint.map(str::to_owned),
        now_ms,
        until_ms: now_ms + LEASE,
        expires_ms: now_ms + DAY,
    }
}

fn answer(body: Option<&[u8]>) -> KeptAnswer {
    KeptAnswer {
        fingerprint: "asked".to_owned(),
        body: body.map(<[u8]>::to_vec),
        expires_ms: NOW + DAY,
    }
}

fn in_flight(fingerprint: Option<&str>, until_ms: u64) -> Claimed {
    Claimed::InFlight {
        fingerprint: fingerprint.map(str::to_owned),
        until_ms,
    }
}

async fn claimed(store: &Answers, holder: &str, fingerprint: Option<&str>, now_ms: u64) -> Claimed {
    let claim = claim(holder, fingerprint, now_ms);
    store.claim("a", &claim).await.expect("the store is there")
}

/// Asserts that `holder` gets the claim.
async fn granted(store: &Answers, holder: &str, now_ms: u64) {
    let claimed = claimed(store, holder, Some("asked"), now_ms).await;
    assert_eq!(claimed, Claimed::Granted);
}

fn conflict(result: Result<(), StorageError>) {
    assert!(
        matches!(result, Err(StorageError::Conflict { .. })),
        "{result:?}"
    );
}

/// Whoever comes second learns what is asked, and until when.
pub async fn a_claim_is_granted_and_the_next_is_told_of_it(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    granted(&store, "first", NOW).await;
    for fingerprint in [Some("asked"), Some("other"), None] {
        let next = claimed(&store, "second", fingerprint, NOW + LEASE - 1).await;
        assert_eq!(next, in_flight(Some("asked"), NOW + LEASE));
    }
}

/// Whoever only wants to know takes nothing, and leaves nothing behind.
pub async fn a_look_tells_what_is_there_and_changes_nothing(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let look = |now_ms| {
        let store = &store;
        async move { store.look("a", now_ms).await.expect("the store is there") }
    };
    assert_eq!(look(NOW).await, None);
    granted(&store, "first", NOW).await;
    for now_ms in [NOW, NOW + LEASE, NOW + DAY - 1] {
        let there = in_flight(Some("asked"), NOW + LEASE);
        assert_eq!(look(now_ms).await, Some(there));
    }
    assert_eq!(look(NOW + DAY).await, None);
    let large = vec![7; 700_000];
    let kept = answer(Some(&large));
    let finished = store.finish("a", "first", &kept).await;
    finished.expect("it is the first's");
    assert_eq!(look(NOW).await, Some(Claimed::Finished(kept)));
    assert_eq!(look(NOW + DAY).await, None);
}

/// Two at work would be one too many.
pub async fn exactly_one_of_a_hundred_concurrent_claims_is_granted(subject: AnswerSubject) {
    let root = root();
    drop((subject.open)(root.path()));
    assert_eq!(granted_of_a_hundred(subject, root.path(), NOW).await, 1);
}

/// So do those who wait for the first to be taken for dead.
pub async fn exactly_one_of_a_hundred_takes_a_lapsed_claim(subject: AnswerSubject) {
    let root = root();
    granted(&(subject.open)(root.path()), "first", NOW).await;
    let late = NOW + LEASE;
    assert_eq!(granted_of_a_hundred(subject, root.path(), late).await, 1);
}

async fn granted_of_a_hundred(subject: AnswerSubject, root: &Path, now_ms: u64) -> usize {
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let store = (subject.open)(root);
        tasks.spawn(async move {
            claimed(&store, &format!("holder{number}"), Some("asked"), now_ms).await
        });
    }
    let all = tasks.join_all().await;
    let granted = all.iter().filter(|it| **it == Claimed::Granted).count();
    let others = in_flight(Some("asked"), now_ms + LEASE);
    assert_eq!(
        all.iter().filter(|it| **it == others).count(),
        100 - granted
    );
    granted
}

/// The answer to the first try may have been lost.
pub async fn a_claim_by_its_own_holder_is_granted_again(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    granted(&store, "first", NOW).await;
    granted(&store, "first", NOW).await;
}

/// What the dead one did is known to one request alone.
pub async fn a_lapsed_claim_goes_to_the_same_request_and_to_no_other(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    granted(&store, "first", NOW).await;
    let late = NOW + LEASE;
    for fingerprint in [Some("other"), None] {
        let next = claimed(&store, "second", fingerprint, late).await;
        assert_eq!(next, in_flight(Some("asked"), NOW + LEASE));
    }
    granted(&store, "third", late).await;
    let next = claimed(&store, "fourth", Some("asked"), late).await;
    assert_eq!(next, in_flight(Some("asked"), late + LEASE));
}

/// Nobody can say what it was.
pub async fn a_claim_of_something_unknown_that_lapsed_is_free(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    assert_eq!(claimed(&store, "first", None, NOW).await, Claimed::Granted);
    let early = claimed(&store, "second", Some("other"), NOW).await;
    assert_eq!(early, in_flight(None, NOW + LEASE));
    let late = claimed(&store, "second", Some("other"), NOW + LEASE).await;
    assert_eq!(late, Claimed::Granted);
}

/// As long as its holder lives.
pub async fn a_renewed_claim_lasts(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    granted(&store, "first", NOW).await;
    let until_ms = NOW + 2 * LEASE;
    for _ in 0..2 {
        let renewed = store.renew("a", "first", until_ms).await;
        renewed.expect("the claim is there");
    }
    let next = claimed(&store, "second", Some("asked"), NOW + LEASE).await;
    assert_eq!(next, in_flight(Some("asked"), until_ms));
    granted(&store, "second", until_ms).await;
}

/// What failed may be mended.
pub async fn a_released_claim_is_free_for_any_request(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    granted(&store, "first", NOW).await;
    let released = store.release("a", "first").await;
    released.expect("the claim is given up");
    let next = claimed(&store, "second", Some("other"), NOW).await;
    assert_eq!(next, Claimed::Granted);
}

/// Who comes late takes nothing from anybody.
pub async fn what_is_released_twice_or_by_another_stays(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    let release = async || {
        let released = store.release("a", "first").await;
        released.expect("nothing happens");
    };
    release().await;
    granted(&store, "first", NOW).await;
    release().await;
    granted(&store, "second", NOW).await;
    release().await;
    let next = claimed(&store, "third", Some("asked"), NOW).await;
    assert_eq!(next, in_flight(Some("asked"), NOW + LEASE));
    let kept = answer(Some(b"done"));
    let finished = store.finish("a", "second", &kept).await;
    finished.expect("the claim is there");
    for holder in ["first", "second"] {
        let released = store.release("a", holder).await;
        released.expect("nothing happens");
    }
    let next = claimed(&store, "third", None, NOW).await;
    assert_eq!(next, Claimed::Finished(kept));
}

/// It may have been suspended for long.
pub async fn who_has_lost_a_claim_neither_renews_nor_finishes_it(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    conflict(store.renew("a", "first", NOW + LEASE).await);
    conflict(store.finish("a", "first", &answer(None)).await);
    granted(&store, "first", NOW).await;
    granted(&store, "second", NOW + LEASE).await;
    conflict(store.renew("a", "first", NOW + 9 * LEASE).await);
    conflict(store.finish("a", "first", &answer(Some(b"late"))).await);
    let next = claimed(&store, "third", None, NOW + LEASE).await;
    assert_eq!(next, in_flight(Some("asked"), NOW + 2 * LEASE));
    let kept = answer(Some(b"second"));
    let finished = store.finish("a", "second", &kept).await;
    finished.expect("the claim is there");
    conflict(store.renew("a", "second", NOW + 9 * LEASE).await);
    conflict(store.finish("a", "first", &answer(Some(b"late"))).await);
    let next = claimed(&store, "third", None, NOW).await;
    assert_eq!(next, Claimed::Finished(kept));
}

/// Also where the lease ran out before it was kept, and where there is no more to keep.
pub async fn an_answer_is_given_to_all_who_come_after_it(subject: AnswerSubject) {
    for kept in [answer(Some(b"done")), answer(Some(b"")), answer(None)] {
        let root = root();
        let store = (subject.open)(root.path());
        assert_eq!(claimed(&store, "first", None, NOW).await, Claimed::Granted);
        let finished = store.finish("a", "first", &kept).await;
        finished.expect("the claim is there");
        for (holder, fingerprint) in [
            ("second", Some("asked")),
            ("second", Some("other")),
            ("first", None),
        ] {
            let next = claimed(&store, holder, fingerprint, NOW + 2 * LEASE).await;
            assert_eq!(next, Claimed::Finished(kept.clone()));
        }
    }
}

/// The answer to the first try may have been lost.
pub async fn an_answer_that_is_finished_twice_is_the_same(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    granted(&store, "first", NOW).await;
    let kept = answer(Some(b"done"));
    for _ in 0..2 {
        let finished = store.finish("a", "first", &kept).await;
        finished.expect("it is the same answer");
    }
    let next = claimed(&store, "second", None, NOW).await;
    assert_eq!(next, Claimed::Finished(kept));
}

/// No item of any technology holds the largest.
pub async fn answers_are_given_byte_for_byte_whatever_their_size(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    for size in [1, 299_999, 300_000, 300_001, 600_000, 5_000_001] {
        // No part of it is like another.
        let body: Vec<u8> = (0..size)
            .map(|at: u32| (at ^ (at >> 8) ^ (at >> 16)) as u8)
            .collect();
        let id = size.to_string();
        let first = store.claim(&id, &claim("first", None, NOW)).await;
        assert_eq!(first.expect("the store is there"), Claimed::Granted);
        let kept = answer(Some(&body));
        let finished = store.finish(&id, "first", &kept).await;
        finished.expect("the claim is there");
        let next = store.claim(&id, &claim("second", None, NOW)).await;
        let next = next.expect("the store is there");
        assert!(next == Claimed::Finished(kept), "{size} bytes");
    }
}

/// Claims and answers alike, whether the store has removed them or not.
pub async fn what_has_ended_is_as_if_it_had_never_been(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    granted(&store, "first", NOW).await;
    let late = NOW + DAY;
    let next = claimed(&store, "second", Some("other"), late - 1_000).await;
    assert_eq!(next, in_flight(Some("asked"), NOW + LEASE));
    let next = claimed(&store, "second", Some("other"), late).await;
    assert_eq!(next, Claimed::Granted);
    let kept = KeptAnswer {
        expires_ms: late + DAY,
        ..answer(Some(b"done"))
    };
    let finished = store.finish("a", "second", &kept).await;
    finished.expect("the claim is there");
    let next = claimed(&store, "third", None, late + DAY - 1_000).await;
    assert_eq!(next, Claimed::Finished(kept));
    let next = claimed(&store, "third", None, late + DAY).await;
    assert_eq!(next, Claimed::Granted);
}

/// Whatever they are called.
pub async fn each_id_has_a_claim_of_its_own(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    for id in ["a", "a#first", "a#first#0", "b"] {
        let first = store.claim(id, &claim("first", None, NOW)).await;
        assert_eq!(first.expect("the store is there"), Claimed::Granted, "{id}");
        let finished = store
            .finish(id, "first", &answer(Some(id.as_bytes())))
            .await;
        finished.expect("the claim is there");
    }
    for id in ["a", "a#first", "a#first#0", "b"] {
        let next = store.claim(id, &claim("second", None, NOW)).await;
        let expected = Claimed::Finished(answer(Some(id.as_bytes())));
        assert_eq!(next.expect("the store is there"), expected, "{id}");
    }
}

/// What was granted and kept is known to whoever comes next.
pub async fn a_restart_keeps_claims_and_answers(subject: AnswerSubject) {
    let root = root();
    let store = (subject.open)(root.path());
    granted(&store, "first", NOW).await;
    drop(store);
    let store = (subject.open)(root.path());
    let next = claimed(&store, "second", Some("asked"), NOW).await;
    assert_eq!(next, in_flight(Some("asked"), NOW + LEASE));
    let kept = answer(Some(b"done"));
    let finished = store.finish("a", "first", &kept).await;
    finished.expect("the claim is there");
    drop(store);
    let store = (subject.open)(root.path());
    let next = claimed(&store, "second", None, NOW).await;
    assert_eq!(next, Claimed::Finished(kept));
}

/// And where it is absent, the claim lapses and the work is done again.
pub async fn dying_between_any_two_writes_leaves_an_answer_whole_or_absent(subject: AnswerSubject) {
    let Some(open_dying) = subject.open_dying else {
        return;
    };
    let body = vec![7; 1_000_000];
    for write in 0..WRITES {
        let root = root();
        let store = (subject.open)(root.path());
        let dying = open_dying(root.path(), write);
        let first = dying.claim("a", &claim("first", Some("asked"), NOW)).await;
        let kept = answer(Some(&body));
        let finished = dying.finish("a", "first", &kept).await;
        let late = claimed(&store, "second", Some("asked"), NOW + LEASE).await;
        if finished.is_ok() {
            assert!(write > 2, "no write was cut");
            assert!(late == Claimed::Finished(kept), "at write {write}");
            return;
        }
        assert_eq!(late, Claimed::Granted, "at write {write}");
        assert_eq!(first.is_ok(), write > 0);
        // What the dead one left of its answer is no part of this one.
        let kept = answer(Some(&[9; 700_000]));
        let finished = store.finish("a", "second", &kept).await;
        finished.expect("the claim is there");
        let next = claimed(&store, "third", None, NOW).await;
        assert!(next == Claimed::Finished(kept), "at write {write}");
    }
    panic!("an answer is not kept after {WRITES} writes");
}
