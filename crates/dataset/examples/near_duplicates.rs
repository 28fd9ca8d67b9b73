//! Measures the search for near duplicates: time, memory, how many planted ones are found, and how many of those
//! that are found are none.
//!
//! ```text
//! near_duplicates [--rows 100000] [--planted 50] [--template 0] [--seed 1]
//! ```
//!
//! Rows are sentences of GSM8K's in a new order, as many as there, or of made-up words where `LLMOPT_TEST_DATA`
//! names no folder with `gsm8k/train.jsonl`. Each 50th row alters the row 25 before it until they are 0.8
//! alike. `--template` puts so many prompts before every row, the same ones. No row is kept: each is made anew from the seed and its number.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]

#[path = "../src/near/planted.rs"]
mod planted;

use std::{error::Error, fs, path::PathBuf, time::Instant};

use fastrand::Rng;
use llmopt_dataset::{NearPair, ReadOptions, Sketches, read_conversations};
use llmopt_domain::Conversation;
use planted::{Pair, Sentences};

type Failure = Box<dyn Error + Send + Sync>;

/// How alike the planted rows are.
const JACCARD: f64 = 0.8;

fn main() -> Result<(), Failure> {
    let sentences = sentences()?;
    let rows = Rows {
        template: template(&sentences, argument("--template", 0)?),
        sentences,
        every: argument("--planted", 50)?,
        seed: argument("--seed", 1)?,
    };
    let count = argument("--rows", 100_000)?;
    let before = Usage::now()?;
    let (sketches, signing) = rows.sketches(count);
    let kept = Usage::now()?;
    let start = Instant::now();
    let found = sketches.near_duplicates();
    let finding = start.elapsed().as_secs_f64();
    let after = Usage::now()?;
    println!("{count} rows, {} processors", processors());
    println!(
        "signing: {:.2} s, {:.2} s of processors",
        signing.seconds, signing.processors
    );
    println!(
        "finding: {finding:.2} s, {:.2} s of processors",
        after.processors - kept.processors
    );
    println!(
        "memory: {} MiB before, {} MiB with all rows signed, {} MiB at most",
        before.resident >> 20,
        kept.resident >> 20,
        after.peak >> 20
    );
    println!("clusters: {}", found.clusters.len());
    rows.judge(count, &found.pairs);
    Ok(())
}

fn template(sentences: &Sentences, prompts: u64) -> String {
    let mut rng = Rng::with_seed(0);
    let prompt = |_| sentences.row(&mut rng).prompt + " ";
    (0..prompts).map(prompt).collect()
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

fn argument(name: &str, default: u64) -> Result<u64, Failure> {
    let value = std::env::args().skip_while(|it| it != name).nth(1);
    Ok(value.map_or(Ok(default), |value| value.parse())?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "outside data is found through this one variable"
)]
fn sentences() -> Result<Sentences, Failure> {
    let folder = std::env::var_os("LLMOPT_TEST_DATA").map(PathBuf::from);
    match folder.map(|folder| folder.join("gsm8k/train.jsonl")) {
        Some(file) if file.is_file() => {
            let rows = read_conversations(&file, &ReadOptions::default())?;
            let turns = rows.iter().flat_map(|(_, row)| &row.messages);
            Ok(Sentences::of(turns.map(|turn| turn.content.as_str())))
        }
        _ => {
            println!("no GSM8K: made-up words");
            Ok(Sentences::made_up(50_000, 0))
        }
    }
}

/// Rows that can be made again.
struct Rows {
    sentences: Sentences,
    /// What every row begins with.
    template: String,
    every: u64,
    seed: u64,
}

impl Rows {
    fn row(&self, i: u64) -> Pair {
        let altered = || {
            self.fresh(self.original(i)?)
                .altered(JACCARD, &mut self.rng(i))
        };
        altered().unwrap_or_else(|| self.fresh(i))
    }

    /// The row that row `i` is to alter.
    fn original(&self, i: u64) -> Option<u64> {
        (i % self.every == self.every - 1).then(|| i - self.every / 2)
    }

    fn fresh(&self, i: u64) -> Pair {
        let mut row = self.sentences.row(&mut self.rng(i));
        row.prompt.insert_str(0, &self.template);
        row
    }

    fn rng(&self, i: u64) -> Rng {
        Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i)
    }

    /// Signs `count` rows, and measures that without the making of them.
    fn sketches(&self, count: u64) -> (Sketches, Spent) {
        const AT_ONCE: u64 = 5_000;
        let (mut sketches, mut spent) = (Sketches::default(), Spent::default());
        for first in (0..count).step_by(AT_ONCE as usize) {
            let rows: Vec<_> = (first..count.min(first + AT_ONCE))
                .map(|i| self.row(i))
                .map(|row| Conversation::from_pair(row.prompt, row.response))
                .collect();
            spent.add(|| {
                for (i, row) in (first..).zip(&rows) {
                    sketches.add(i, row);
                }
            });
        }
        (sketches, spent)
    }

    fn judge(&self, count: u64, found: &[NearPair]) {
        let [mut planted, mut sought] = [0, 0];
        let mut found_by_row = found.iter().peekable();
        for i in 0..count {
            let pair = found_by_row.next_if(|pair| pair.row as u64 == i);
            let Some(original) = self.original(i) else {
                continue;
            };
            if (self.row(i).jaccard(&self.fresh(original)) - JACCARD).abs() > 0.005 {
                continue;
            }
            sought += 1;
            planted += u32::from(pair.is_some_and(|pair| pair.earlier as u64 == original));
        }
        let true_jaccard = |pair: &NearPair| {
            let [row, earlier] = [pair.row, pair.earlier].map(|i| self.row(i as u64));
            row.jaccard(&earlier)
        };
        let unlike = found.iter().filter(|pair| true_jaccard(pair) < 0.6).count();
        println!("planted at {JACCARD}: {sought}, of which found: {planted}");
        println!("reported: {}, of which below 0.6: {unlike}", found.len());
    }
}

/// Time that something took.
#[derive(Default)]
struct Spent {
    seconds: f64,
    processors: f64,
}

impl Spent {
    fn add(&mut self, work: impl FnOnce()) {
        let (start, before) = (Instant::now(), Usage::now());
        work();
        self.seconds += start.elapsed().as_secs_f64();
        if let (Ok(before), Ok(after)) = (before, Usage::now()) {
            self.processors += after.processors - before.processors;
        }
    }
}

/// What the process has used, as Linux tells.
struct Usage {
    processors: f64,
    resident: u64,
    peak: u64,
}

impl Usage {
    fn now() -> Result<Self, Failure> {
        let status = fs::read_to_string("/proc/self/status")?;
        let stat = fs::read_to_string("/proc/self/stat")?;
        Ok(Self {
            processors: processor_seconds(&stat).ok_or("no times in /proc/self/stat")?,
            resident: bytes(&status, "VmRSS:").ok_or("no VmRSS")?,
            peak: bytes(&status, "VmHWM:").ok_or("no VmHWM")?,
        })
    }
}

/// User and system time, which stand at places 14 and 15 in hundredths; the name before may have spaces.
fn processor_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let times = fields.split(' ').skip(11).take(2);
    let ticks: u64 = times.map(|ticks| ticks.parse().unwrap_or(0)).sum();
    Some(ticks as f64 / 100.0)
}

fn bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}
