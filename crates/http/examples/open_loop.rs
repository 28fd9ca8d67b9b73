//! Asks a URL so often a second, whether answers come in time or not, and measures each answer from the
//! moment at which its request was due. A request that has to wait for the answer before it on its connection
//! is late, and that counts; a generator that only measures from when it sent would leave it out. Prints a
//! line of JSON.
//!
//! `open_loop HOST:PORT PATH KEY RATE SECONDS CONNECTIONS`. Each connection is a thread of its own, because a
//! runtime's timers have milliseconds and a sleeping thread wakes within a tenth of one.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]

use std::{
    env,
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

type Failure = Box<dyn Error + Send + Sync>;

/// What comes before the first request, so that all threads are there.
const LEAD: Duration = Duration::from_millis(200);

/// What is asked, and how often.
#[derive(Clone)]
struct Load {
    address: String,
    request: String,
    /// Requests a second, on all connections together.
    rate: u32,
    requests: u32,
    connections: u32,
}

/// What came of the requests of one connection.
#[derive(Default)]
struct Measured {
    /// From when a request was due to the end of its answer.
    latencies: Vec<Duration>,
    /// From when a request was due to when it was sent, where nothing on its connection held it up.
    delays: Vec<Duration>,
    /// Answers other than 200.
    failed: u32,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, path, key, rate, seconds, connections] = &arguments[..] else {
        return Err("expected HOST:PORT PATH KEY RATE SECONDS CONNECTIONS".into());
    };
    let (rate, seconds): (u32, u32) = (rate.parse()?, seconds.parse()?);
    let load = Load {
        address: address.clone(),
        request: format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\r\n"
        ),
        rate,
        requests: rate * seconds,
        connections: connections.parse()?,
    };
    let measured = run(&load)?;
    report(measured);
    Ok(())
}

fn run(load: &Load) -> Result<Measured, Failure> {
    let begin = Instant::now() + LEAD;
    let threads: Vec<_> = (0..load.connections)
        .map(|connection| {
            let load = load.clone();
            thread::spawn(move || ask(&load, connection, begin))
        })
        .collect();
    let mut all = Measured::default();
    for thread in threads {
        let one = thread.join().map_err(|_| "a connection's thread died")??;
        all.latencies.extend(one.latencies);
        all.delays.extend(one.delays);
        all.failed += one.failed;
    }
    Ok(all)
}

/// Sends every `connections`th request on one connection.
fn ask(load: &Load, connection: u32, begin: Instant) -> Result<Measured, Failure> {
    let stream = TcpStream::connect(&load.address)?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    // The first answer on a connection is no measure of the others.
    answer(&mut stream, &load.request)?;
    let mut measured = Measured::default();
    for number in (connection..load.requests).step_by(load.connections as usize) {
        let due = begin + Duration::from_secs(number.into()) / load.rate;
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::sleep(early);
            measured.delays.push(due.elapsed());
        }
        let status = answer(&mut stream, &load.request)?;
        measured.latencies.push(due.elapsed());
        measured.failed += u32::from(status != 200);
    }
    Ok(measured)
}

/// Asks, reads the whole answer, and returns its status.
fn answer(stream: &mut BufReader<TcpStream>, request: &str) -> Result<u16, Failure> {
    stream.get_mut().write_all(request.as_bytes())?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).ok_or("the connection ended")?;
    let status = status.parse()?;
    let mut length = None;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = Some(value.trim().parse()?);
        }
    }
    let mut body = vec![0; length.ok_or("expected an answer with `content-length`")?];
    stream.read_exact(&mut body)?;
    Ok(status)
}

fn report(mut measured: Measured) {
    measured.latencies.sort_unstable();
    measured.delays.sort_unstable();
    let at = |share: f64| percentile(&measured.latencies, share);
    println!(
        "{{\"requests\": {}, \"failed\": {}, \"p50_us\": {}, \"p90_us\": {}, \"p99_us\": {}, \"p999_us\": {}, \
         \"max_us\": {}, \"own_delay_p99_us\": {}}}",
        measured.latencies.len(),
        measured.failed,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
        percentile(&measured.delays, 0.99),
    );
}

/// Returns the least of the `sorted` times that this share of them does not exceed, in microseconds.
fn percentile(sorted: &[Duration], share: f64) -> u128 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let time = sorted.get(rank.saturating_sub(1));
    time.map_or(0, Duration::as_micros)
}
