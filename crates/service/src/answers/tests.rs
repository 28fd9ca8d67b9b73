use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use llmopt_storage_embedded::SqliteAnswerStore;

use super::*;

const ASKED: &str = "fingerprint";

fn open(root: &Path) -> Answers {
    let store = SqliteAnswerStore::open(&root.join(SqliteAnswerStore::FILE_NAME)).unwrap();
    Answers::new(Arc::new(store))
}

fn name(secret: Option<&str>) -> RequestName {
    RequestName::new("caller", secret, "POST /keys", "the name that was chosen")
}

async fn granted(answers: &Answers, name: &RequestName) -> AnswerLease {
    match answers.begin(name, Some(ASKED)).await.unwrap() {
        Begun::Granted(lease) => lease,
        _ => panic!("it is not granted"),
    }
}

async fn recalled(answers: &Answers, name: &RequestName, fingerprint: &str) -> Recalled {
    match answers.begin(name, None).await.unwrap() {
        Begun::Finished(past) => past.recall(fingerprint),
        _ => panic!("it is not finished"),
    }
}

#[tokio::test]
async fn an_answer_is_for_who_shows_the_same_secret_and_asks_the_same() {
    for (mine, other) in [(Some("secret"), Some("other")), (None, Some("secret"))] {
        let root = tempfile::tempdir().unwrap();
        let answers = open(root.path());
        let mine = name(mine);
        let lease = granted(&answers, &mine).await;
        lease.keep(ASKED, b"answer".to_vec()).await.unwrap();
        let answer = Recalled::Answer(b"answer".to_vec());
        assert_eq!(recalled(&answers, &mine, ASKED).await, answer);
        assert_eq!(recalled(&answers, &mine, "else").await, Recalled::Reused);
        let sealed = recalled(&answers, &name(other), ASKED).await;
        assert_eq!(sealed, Recalled::Sealed);
    }
}

#[tokio::test]
async fn what_is_too_large_is_known_to_have_been_answered() {
    let root = tempfile::tempdir().unwrap();
    let answers = open(root.path());
    let lease = granted(&answers, &name(None)).await;
    lease
        .keep(ASKED, vec![0; LARGEST_ANSWER + 1])
        .await
        .unwrap();
    assert_eq!(
        recalled(&answers, &name(None), ASKED).await,
        Recalled::TooLarge
    );
    assert_eq!(
        recalled(&answers, &name(None), "else").await,
        Recalled::Reused
    );
}

#[tokio::test]
async fn neither_names_nor_secrets_nor_answers_can_be_read_in_the_store() {
    let root = tempfile::tempdir().unwrap();
    let answers = open(root.path());
    let name = name(Some("the secret that is shown"));
    let lease = granted(&answers, &name).await;
    let answer = b"the answer that was given".repeat(1_000);
    lease.keep(ASKED, answer).await.unwrap();
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(root.path()).unwrap() {
        bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let holds = |text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(holds(ASKED), "the files are not those of the store");
    for text in ["the name that", "the secret that", "the answer that"] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn a_sealed_answer_that_was_changed_anywhere_is_not_opened() {
    let name = name(Some("secret"));
    let sealed = seal::seal(&name, ASKED, b"answer".to_vec()).unwrap();
    assert_eq!(
        seal::open(&name, ASKED, sealed.clone()),
        Some(b"answer".to_vec())
    );
    assert_eq!(seal::open(&name, "else", sealed.clone()), None);
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(seal::open(&name, ASKED, changed), None, "at {at}");
        assert_eq!(seal::open(&name, ASKED, sealed[..at].to_vec()), None);
    }
    let again = seal::seal(&name, ASKED, b"answer".to_vec()).unwrap();
    assert_ne!(sealed, again);
}

#[test]
fn names_differ_where_any_part_of_them_does() {
    let id = |parts: [&str; 3]| RequestName::new(parts[0], None, parts[1], parts[2]).id;
    let ids = [
        ["a", "b", "c"],
        ["ab", "", "c"],
        ["a", "bc", ""],
        ["a", "b", "d"],
        ["a", "d", "c"],
        ["d", "b", "c"],
    ]
    .map(id);
    for (at, one) in ids.iter().enumerate() {
        assert!(!ids[..at].contains(one), "{at}");
    }
}

#[tokio::test]
async fn a_lease_is_renewed_for_as_long_as_the_work_takes() {
    const BEGAN: u64 = 1_000_000;
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteAnswerStore::open(&root.path().join("answers.db")).unwrap());
    let now_ms = Arc::new(AtomicU64::new(BEGAN));
    let clock = Arc::clone(&now_ms);
    let clock = Arc::new(move || clock.load(Ordering::SeqCst));
    let answers = Answers {
        renewal: Duration::from_millis(1),
        ..Answers::with_clock(store.clone(), clock)
    };
    let lease = granted(&answers, &name(None)).await;
    let until_ms = || async {
        let claim = AnswerClaim {
            holder: "who looks".to_owned(),
            fingerprint: Some(ASKED.to_owned()),
            now_ms: 0,
            until_ms: 0,
            expires_ms: 0,
        };
        match store.claim(&name(None).id, &claim).await.unwrap() {
            Claimed::InFlight { until_ms, .. } => until_ms,
            _ => panic!("it is not in flight"),
        }
    };
    let work = async {
        for round in 1..=5 {
            let late = BEGAN + round * 20_000;
            now_ms.store(late, Ordering::SeqCst);
            while until_ms().await < after(late, LEASE) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    lease.hold(work).await;
    let begun = answers.begin(&name(None), Some(ASKED)).await.unwrap();
    assert!(matches!(begun, Begun::InFlight));
    now_ms.fetch_add(LEASE.as_millis() as u64, Ordering::SeqCst);
    granted(&answers, &name(None)).await;
    // Who was taken for dead works on, and keeps nothing.
    assert!(lease.keep(ASKED, Vec::new()).await.is_err());
    lease.release().await.unwrap();
    let begun = answers.begin(&name(None), Some(ASKED)).await.unwrap();
    assert!(matches!(begun, Begun::InFlight));
}

#[tokio::test]
async fn what_is_announced_waits_until_somebody_begins_it_and_again_once_it_is_postponed() {
    let root = tempfile::tempdir().unwrap();
    let answers = open(root.path());
    let name = name(None);
    let look = || async { answers.look(&name).await.unwrap() };
    assert!(look().await.is_none());
    answers.announce(&name, ASKED).await.unwrap();
    assert!(matches!(look().await, Some(Known::Waiting)));
    for _ in 0..2 {
        let lease = granted(&answers, &name).await;
        assert!(matches!(look().await, Some(Known::Working)));
        let begun = answers.begin(&name, Some(ASKED)).await.unwrap();
        assert!(matches!(begun, Begun::InFlight));
        lease.postpone().await.unwrap();
        assert!(matches!(look().await, Some(Known::Waiting)));
    }
    let lease = granted(&answers, &name).await;
    lease.keep(ASKED, b"answer".to_vec()).await.unwrap();
    assert!(lease.postpone().await.is_err());
    let Some(Known::Finished(past)) = look().await else {
        panic!("it is not finished");
    };
    assert_eq!(past.recall(ASKED), Recalled::Answer(b"answer".to_vec()));
    assert!(answers.announce(&name, ASKED).await.is_err());
}

#[tokio::test]
async fn what_nobody_began_for_a_day_is_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteAnswerStore::open(&root.path().join("answers.db")).unwrap());
    let now_ms = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&now_ms);
    let answers = Answers::with_clock(store, Arc::new(move || clock.load(Ordering::SeqCst)));
    answers.announce(&name(None), ASKED).await.unwrap();
    now_ms.fetch_add(KEPT.as_millis() as u64 - 1, Ordering::SeqCst);
    assert!(answers.look(&name(None)).await.unwrap().is_some());
    now_ms.fetch_add(1, Ordering::SeqCst);
    assert!(answers.look(&name(None)).await.unwrap().is_none());
}
