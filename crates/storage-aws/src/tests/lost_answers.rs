//! A service that did what it was asked for, and whose answer was lost on the way.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use llmopt_domain::{ObjectKey, Picodollars};
use llmopt_storage::{
    AnswerClaim, Claimed, KeptAnswer, Record, Stored,
    spend::{Limit, RequestId, Reservation, RowKey, Step, Taken, Wanted},
};

use super::*;

/// Stands before the emulator and loses one answer, the one with a given number.
pub(super) struct Lossy {
    pub(super) endpoint: String,
    answers: Arc<AtomicU64>,
}

impl Lossy {
    pub(super) fn losing(number: u64) -> Self {
        let upstream = MiniStack::shared().unwrap().endpoint();
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&answers);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(&upstream).unwrap();
                let (client_end, server_end) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || pass_on(client_end, server_end, || true));
                let counted = Arc::clone(&counted);
                // One answer is one read here: the bodies are small, and each connection waits for its
                // answer before it sends more.
                thread::spawn(move || {
                    pass_on(server, client, || {
                        counted.fetch_add(1, Ordering::SeqCst) != number
                    });
                });
            }
        });
        Self { endpoint, answers }
    }

    /// Whether an answer was lost.
    pub(super) fn has_lost(&self, number: u64) -> bool {
        self.answers.load(Ordering::SeqCst) > number
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mut lets_through: impl FnMut() -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !lets_through() {
            break;
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn note() -> Note {
    serde_json::from_value(serde_json::json!({
        "id": "a", "created_ms": 1, "shelf": "upper", "text": "first",
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_writes_lose_their_answers_is_written_once() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let table = records_table(&aws(), root.path());
    let lossy = Lossy::losing(0);
    let store = DynamoRecordStore::<Note>::new(&at(&lossy.endpoint), &table);
    let created: Stored<Note> = store.create(&note()).await.unwrap();
    assert!(lossy.has_lost(0));
    let lossy = Lossy::losing(0);
    let store = DynamoRecordStore::<Note>::new(&at(&lossy.endpoint), &table);
    let replaced = store.replace(created.revision, &note()).await.unwrap();
    assert!(lossy.has_lost(0));
    assert_eq!(store.get(note().id()).await.unwrap(), replaced);
    let stale = store.replace(created.revision, &note()).await;
    assert!(
        matches!(stale, Err(StorageError::Conflict { .. })),
        "{stale:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_answer_is_lost_is_in_the_log_once() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let table = events_table(&aws(), root.path());
    let lossy = Lossy::losing(0);
    let logs = DynamoEventLog::new(&at(&lossy.endpoint), &table);
    let bodies = ["{}".to_owned(), "[]".to_owned()];
    assert_eq!(logs.append("job", 0, &bodies).await.unwrap(), 2);
    assert!(lossy.has_lost(0));
    assert_eq!(logs.read("job", 0, 9).await.unwrap().len(), 2);
}

fn claim(holder: &str) -> AnswerClaim {
    AnswerClaim {
        holder: holder.to_owned(),
        fingerprint: Some("asked".to_owned()),
        now_ms: 1_000,
        until_ms: 2_000,
        expires_ms: 9_000_000_000_000,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_and_an_answer_that_lose_theirs_are_known_by_their_holder() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let table = records_table(&aws(), root.path());
    let answer = KeptAnswer {
        fingerprint: "asked".to_owned(),
        body: Some(vec![7; 700_000]),
        expires_ms: 9_000_000_000_000,
    };
    let sound = DynamoAnswerStore::new(&aws(), &table);
    let unlucky = |number| {
        let lossy = Lossy::losing(number);
        let store = DynamoAnswerStore::new(&at(&lossy.endpoint), &table);
        (lossy, store)
    };
    let (lossy, store) = unlucky(0);
    let claimed = store.claim("a", &claim("first")).await.unwrap();
    assert!(lossy.has_lost(0));
    assert_eq!(claimed, Claimed::Granted);
    let (lossy, store) = unlucky(0);
    store.renew("a", "first", 3_000).await.unwrap();
    assert!(lossy.has_lost(0));
    // Three parts, then the claim's own item.
    for number in 0..4 {
        let (lossy, store) = unlucky(number);
        store.finish("a", "first", &answer).await.unwrap();
        assert!(lossy.has_lost(number));
    }
    let next = sound.claim("a", &claim("second")).await.unwrap();
    assert!(next == Claimed::Finished(answer));
    sound.claim("b", &claim("first")).await.unwrap();
    let (lossy, store) = unlucky(0);
    store.release("b", "first").await.unwrap();
    assert!(lossy.has_lost(0));
    let next = sound.claim("b", &claim("second")).await.unwrap();
    assert_eq!(next, Claimed::Granted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_loses_any_of_its_answers_is_whole_or_says_so() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let aws = aws();
    let bucket = bucket(&aws, root.path());
    let sound = S3FolderStore::open(&aws, &bucket, &root.path().join("sound")).unwrap();
    for number in 0.. {
        assert!(number < 50, "a publish does not end");
        let lossy = Lossy::losing(number);
        let store = S3FolderStore::open(&at(&lossy.endpoint), &bucket, root.path()).unwrap();
        let key = ObjectKey::dataset(&format!("d{number}"));
        let staged = store.stage().await.unwrap();
        std::fs::write(staged.path().join("rows.jsonl"), "{}\n").unwrap();
        store.publish(staged.path(), &key).await.unwrap();
        let folder = sound.open(&key).await.unwrap();
        assert_eq!(std::fs::read(folder.join("rows.jsonl")).unwrap(), b"{}\n");
        if !lossy.has_lost(number) {
            assert!(number > 3, "no answer was lost");
            return;
        }
    }
}

fn reservation(request: &RequestId, row: &RowKey) -> Reservation {
    serde_json::from_value(serde_json::json!({
        "format": 1, "request": request, "version": 1, "created_ms": 1, "expires_ms": 9,
        "day": "2026-11-26", "bound": 3, "rows": [row], "state": "pending", "forget_ms": null,
        "asked": { "key": "k", "model": "m", "provider": "p", "price_version": "1" },
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_spending_whose_answer_is_lost_is_done_once() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let table = records_table(&aws(), root.path());
    let sound = DynamoSpendStore::new(&aws(), &table);
    let unlucky = || {
        let lossy = Lossy::losing(0);
        let store = DynamoSpendStore::new(&at(&lossy.endpoint), &table);
        (lossy, store)
    };
    let row: RowKey = serde_json::from_str(r#"{"scope":"team","window":"total"}"#).unwrap();
    let request = RequestId::try_from("r1".to_owned()).unwrap();
    let amount = |picodollars| Picodollars::new(picodollars).unwrap();
    let limit = Limit {
        amount: amount(10),
        revision: 1,
        alert_percent: Vec::new(),
    };
    sound.open_row(&row, &limit).await.unwrap();
    let first = reservation(&request, &row);
    let (lossy, store) = unlucky();
    assert_eq!(store.begin(&first).await.unwrap(), None);
    assert!(lossy.has_lost(0));
    let wanted = Wanted {
        request: request.clone(),
        amount: amount(3),
        revision: 1,
        now_ms: 1,
    };
    let (lossy, store) = unlucky();
    let taken = store.take(&row, &wanted).await.unwrap();
    assert!(lossy.has_lost(0));
    let there = sound.row(&row).await.unwrap().unwrap();
    let hold = there.holds[&request];
    assert_eq!((taken, there.available), (Taken::Held(hold), 7));
    let (lossy, store) = unlucky();
    let step = Step::Open { holds: vec![hold] };
    let open = store.change(&first, &step).await.unwrap().unwrap();
    assert!(lossy.has_lost(0));
    assert_eq!(sound.reservation(&request).await.unwrap(), Some(open));
    let (lossy, store) = unlucky();
    let finished = store
        .finish(&row, &request, &hold, amount(2))
        .await
        .unwrap();
    assert!(lossy.has_lost(0));
    // The try that was answered found nothing to do.
    assert_eq!(finished, None);
    let there = sound.row(&row).await.unwrap().unwrap();
    assert_eq!((there.available, there.spent), (8, amount(2)));
}
