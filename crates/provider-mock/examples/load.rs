//! Asks a gateway, or the stand-in behind it, as its users do, and measures each answer; prints a line of JSON.
//!
//! With a rate, questions are asked so often a second, whether answers come in time or not, and an answer is measured
//! from the moment at which its question was due: one that waits for the answer before it on its connection is late,
//! and that counts. Without one, each connection asks as soon as it has its answer. `--once` asks one question on each
//! connection, all at the same moment. Each connection is a thread of its own, because a runtime's timers have
//! milliseconds and a sleeping thread wakes within a tenth of one.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]

use std::{
    collections::BTreeMap,
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::json;

type Failure = Box<dyn Error + Send + Sync>;

/// What comes before the first question that is measured, so that all threads are there.
const LEAD: Duration = Duration::from_millis(500);
/// Answers that take longer are none.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks a question again and again, and measures the answers.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// The server, as `HOST:PORT`.
    address: String,
    /// The path that is posted to.
    path: String,
    /// The question, as JSON.
    body: String,
    /// A header of it, as `NAME: VALUE`; any number of them.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Questions a second, on all connections together.
    #[arg(long)]
    rate: Option<u32>,
    /// For how long.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// On how many connections.
    #[arg(long, default_value_t = 16)]
    connections: u32,
    /// One question on each connection, all at the same moment.
    #[arg(long, conflicts_with = "rate")]
    once: bool,
    /// The first part of an answer is there when its body has this text.
    #[arg(long, default_value = "")]
    first: String,
}

/// What came of the questions of one connection.
#[derive(Default)]
struct Measured {
    /// From when a question was due to the end of its answer.
    latencies: Vec<Duration>,
    /// From when a question was due to the first part of its answer.
    firsts: Vec<Duration>,
    /// From when a question was due to when it was sent, where nothing on its connection held it up.
    delays: Vec<Duration>,
    /// Answers by status; 0 is none.
    statuses: BTreeMap<u16, u64>,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let begin = Instant::now() + LEAD;
    let threads: Vec<_> = (0..arguments.connections)
        .map(|connection| {
            let arguments = arguments.clone();
            thread::spawn(move || ask(&arguments, connection, begin))
        })
        .collect();
    let mut all = Measured::default();
    for thread in threads {
        let one = thread.join().map_err(|_| "a connection's thread died")??;
        all.latencies.extend(one.latencies);
        all.firsts.extend(one.firsts);
        all.delays.extend(one.delays);
        for (status, count) in one.statuses {
            *all.statuses.entry(status).or_default() += count;
        }
    }
    report(all, begin.elapsed());
    Ok(())
}

/// Asks what falls to one connection.
fn ask(arguments: &Arguments, connection: u32, begin: Instant) -> Result<Measured, Failure> {
    let mut asker = Asker::connect(arguments)?;
    if !arguments.once {
        // The first answer on a connection is no measure of the others.
        asker.answer()?;
    }
    let mut measured = Measured::default();
    let end = begin + Duration::from_secs(arguments.seconds.into());
    for number in 0.. {
        let due = match arguments.rate {
            Some(rate) => {
                let before = connection + number * arguments.connections;
                begin + Duration::from_secs(before.into()) / rate
            }
            None => Instant::now().max(begin),
        };
        if due >= end || (arguments.once && number > 0) {
            break;
        }
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::sleep(early);
            measured.delays.push(due.elapsed());
        }
        match asker.answer() {
            Ok(answered) => {
                *measured.statuses.entry(answered.status).or_default() += 1;
                measured.latencies.push(due.elapsed());
                if let Some(at) = answered.first {
                    measured.firsts.push(at.duration_since(due));
                }
            }
            Err(_) => {
                *measured.statuses.entry(0).or_default() += 1;
                asker = Asker::connect(arguments)?;
            }
        }
    }
    Ok(measured)
}

/// A connection, and what is asked on it.
struct Asker {
    stream: BufReader<TcpStream>,
    request: String,
    first: String,
}

/// What an answer was.
struct Answered {
    status: u16,
    /// When its first part was there.
    first: Option<Instant>,
}

impl Asker {
    fn connect(arguments: &Arguments) -> Result<Self, Failure> {
        let stream = TcpStream::connect(&arguments.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let Arguments {
            address,
            path,
            body,
            ..
        } = arguments;
        let headers: String = arguments
            .headers
            .iter()
            .map(|header| format!("{header}\r\n"))
            .collect();
        Ok(Self {
            stream: BufReader::new(stream),
            request: format!(
                "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n{headers}\r\n{body}",
                body.len()
            ),
            first: arguments.first.clone(),
        })
    }

    /// Asks, and reads the whole answer.
    fn answer(&mut self) -> Result<Answered, Failure> {
        self.stream.get_mut().write_all(self.request.as_bytes())?;
        let line = self.line()?;
        let status = line.split(' ').nth(1).ok_or("the connection ended")?;
        let status = status.parse()?;
        let mut length = None;
        loop {
            let header = self.line()?.to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
        }
        let first = match length {
            Some(length) => {
                let mut body = vec![0; length];
                self.stream.read_exact(&mut body)?;
                self.has_first(&body).then(Instant::now)
            }
            None => self.parts()?,
        };
        Ok(Answered { status, first })
    }

    /// Reads a body that comes in chunks, and returns when its first part was there.
    fn parts(&mut self) -> Result<Option<Instant>, Failure> {
        let mut body = Vec::new();
        let mut first = None;
        loop {
            let length = usize::from_str_radix(&self.line()?, 16)?;
            let from = body.len();
            body.resize(from + length, 0);
            self.stream.read_exact(&mut body[from..])?;
            self.line()?;
            if length == 0 {
                return Ok(first);
            }
            if first.is_none() && self.has_first(&body) {
                first = Some(Instant::now());
            }
        }
    }

    fn has_first(&self, body: &[u8]) -> bool {
        let first = self.first.as_bytes();
        first.is_empty() || body.windows(first.len()).any(|window| window == first)
    }

    /// Reads a line without its end.
    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("the connection ended".into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

fn report(mut measured: Measured, took: Duration) {
    for times in [
        &mut measured.latencies,
        &mut measured.firsts,
        &mut measured.delays,
    ] {
        times.sort_unstable();
    }
    let requests: u64 = measured.statuses.values().sum();
    let answered = measured.statuses.get(&200).copied().unwrap_or_default();
    println!(
        "{}",
        json!({
            "requests": requests,
            "failed": requests - answered,
            "statuses": measured.statuses,
            "requests_per_second": requests as f64 / took.as_secs_f64(),
            "p50_us": percentile(&measured.latencies, 0.5),
            "p99_us": percentile(&measured.latencies, 0.99),
            "max_us": percentile(&measured.latencies, 1.0),
            "first_p50_us": percentile(&measured.firsts, 0.5),
            "first_p99_us": percentile(&measured.firsts, 0.99),
            "own_delay_p99_us": percentile(&measured.delays, 0.99),
        })
    );
}

/// Returns the least of the `sorted` times that this share of them does not exceed, in microseconds.
fn percentile(sorted: &[Duration], share: f64) -> u64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let time = sorted.get(rank.saturating_sub(1));
    time.map_or(0, |time| time.as_micros() as u64)
}
