//! A process that is killed at any moment loses nothing that it was told is kept.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "the process to kill is told by the environment where to write"
)]

use std::{
    io::{BufRead, BufReader, Write},
    num::NonZeroU32,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use llmopt_storage::{EventLog, MessageQueue, Record, RecordStore};
use llmopt_storage_embedded::{Database, SqliteEventLog, SqliteMessageQueue, SqliteRecordStore};
use serde::{Deserialize, Serialize};

const FOLDER: &str = "WRITER_FOLDER";
const LOG: &str = "job";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    id: String,
}

impl Record for Entry {
    const KIND: &'static str = "entry";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_ms(&self) -> u64 {
        1
    }

    fn group(&self) -> &'static str {
        "all"
    }
}

struct Stores {
    records: SqliteRecordStore<Entry>,
    log: SqliteEventLog,
    queue: SqliteMessageQueue,
}

impl Stores {
    fn open(folder: &Path) -> Self {
        let database = Database::open(&folder.join("llmopt.db")).unwrap();
        Self {
            records: SqliteRecordStore::new(database.clone()),
            log: SqliteEventLog::new(database.clone()),
            queue: SqliteMessageQueue::new(database, "training", NonZeroU32::MAX),
        }
    }
}

/// The process that is killed: writes to every store and says so, for ever.
#[test]
#[ignore = "started by the test below, which kills it"]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        println!("skipped: only the test below can start it");
        return;
    };
    let stores = Stores::open(Path::new(&folder));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for number in 1 + stores.log.last(LOG).await.unwrap().. {
            let id = number.to_string();
            // What the log has lost a place for may be there from a process that was killed here.
            let _ = stores.records.create(&Entry { id: id.clone() }).await;
            stores.queue.send(&id).await.unwrap();
            stores.log.append(LOG, number - 1, &[id]).await.unwrap();
            writeln!(std::io::stdout(), "kept {number}").unwrap();
        }
    });
}

/// Lets the writer work for a while, kills it, and returns the last number it was told is kept.
fn write_and_kill(folder: &Path, work: Duration) -> u64 {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "writer", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = writer.stdout.take().unwrap();
    let heard = thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        let kept = lines.filter_map(|line| line.strip_prefix("kept ")?.parse::<u64>().ok());
        kept.max().unwrap_or(0)
    });
    thread::sleep(work);
    writer.kill().unwrap();
    writer.wait().unwrap();
    heard.join().unwrap()
}

#[test]
fn what_was_acknowledged_outlives_kills_at_random_moments() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut most = 0;
    for round in 0..10 {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let work = Duration::from_millis(100 + u64::from(clock.subsec_nanos()) % 150);
        let kept = write_and_kill(folder.path(), work).max(most);
        let stores = Stores::open(folder.path());
        runtime.block_on(async {
            let last = stores.log.last(LOG).await.unwrap();
            assert!(
                last >= kept,
                "round {round}: {last} entries, {kept} were kept"
            );
            let entries = stores.log.read(LOG, 0, u32::MAX).await.unwrap();
            let bodies: Vec<String> = entries.into_iter().map(|entry| entry.body).collect();
            let expected: Vec<String> = (1..=last).map(|number| number.to_string()).collect();
            assert_eq!(bodies, expected, "round {round}");
            for number in 1..=kept {
                let id = number.to_string();
                assert_eq!(stores.records.get(&id).await.unwrap().record.id, id);
            }
            let mut sent = std::collections::BTreeSet::new();
            while let Some(delivery) = stores.queue.receive(Duration::from_secs(60)).await.unwrap()
            {
                sent.insert(delivery.body);
            }
            // Each round looks at what was sent since the last: earlier messages stay hidden.
            let missing: Vec<u64> = (most + 1..=kept)
                .filter(|number| !sent.contains(&number.to_string()))
                .collect();
            assert_eq!(missing, [0; 0], "round {round}");
            most = last;
        });
    }
    assert!(most > 0, "nothing was ever written");
}
