//! Passes bytes on between whoever connects and a server, and does nothing else: what a machine asks for a hop at least,
//! and with `--keep` for a hop before which something is on the disk. Prints where it listens.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that says where it listens, and what went wrong"
)]

use std::{
    error::Error,
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use clap::Parser;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What is written before each question, in bytes: a short entry.
const ENTRY: usize = 200;
/// Where entries begin, in bytes: SQLite's pages begin so often too.
const STRIDE: u64 = 4096;
/// What is laid out in the file before, in bytes, and written over again and again: a file that grows takes longer.
const LAID_OUT: u64 = 8 << 20;
/// A question and a part of an answer come at once.
const BUFFER: usize = 16 << 10;

/// Passes bytes on.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server, as `HOST:PORT`.
    server: String,
    /// A file that an entry is written to, and the disk waited for, before anything is passed on to the server.
    #[arg(long)]
    keep: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let kept = arguments.keep.as_deref().map(Kept::create).transpose()?;
    let (server, kept) = (Arc::new(arguments.server), kept.map(Arc::new));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;
    loop {
        let (caller, _) = listener.accept().await?;
        let (server, kept) = (Arc::clone(&server), kept.clone());
        tokio::spawn(async move {
            if let Err(error) = pass_on(caller, &server, kept.as_deref()).await {
                eprintln!("a connection ended: {error}");
            }
        });
    }
}

/// Passes bytes on in both directions until either side has no more.
async fn pass_on(caller: TcpStream, server: &str, kept: Option<&Kept>) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    caller.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asked = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = from_caller.read(&mut buffer).await?;
            if length == 0 {
                return Ok::<(), io::Error>(());
            }
            if let Some(kept) = kept {
                kept.keep()?;
            }
            to_server.write_all(&buffer[..length]).await?;
        }
    };
    let answered = tokio::io::copy(&mut from_server, &mut to_caller);
    tokio::select! {
        asked = asked => asked,
        answered = answered => answered.map(drop),
    }
}

/// A file that has something written to it, again and again.
struct Kept {
    file: File,
    entries: AtomicU64,
}

impl Kept {
    fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(&vec![0; LAID_OUT as usize])?;
        file.sync_all()?;
        Ok(Self {
            file,
            entries: AtomicU64::new(0),
        })
    }

    /// Returns when an entry is on the disk. Nobody else of the thread goes on meanwhile, which is the quickest way for
    /// whoever is alone.
    fn keep(&self) -> io::Result<()> {
        let entry = self.entries.fetch_add(1, Ordering::Relaxed);
        let at = (entry * STRIDE) % LAID_OUT;
        self.file.write_all_at(&[1; ENTRY], at)?;
        self.file.sync_data()
    }
}
