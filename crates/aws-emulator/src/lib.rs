//! An AWS emulator for tests: starts MiniStack on this machine, one for each test program.
//!
//! Knows how the emulator is started and reached. Does not know what is kept there.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "for tests only, which fail by panicking"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment where the emulator is"
)]

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

/// Where the emulator's program is.
const PROGRAM: &str = "LLMOPT_TEST_MINISTACK";
/// How long it may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running emulator.
#[derive(Clone, Debug)]
pub struct MiniStack {
    endpoint: String,
}

impl MiniStack {
    /// Returns this program's emulator, which is started at the first call and ends with the program.
    /// `None` where there is none on this machine: the test is to be skipped, and says so.
    ///
    /// # Panics
    /// If there is one and it does not start.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<MiniStack>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| env::var_os(PROGRAM).map(|_| Self::start()));
        if shared.is_none() {
            eprintln_skip();
        }
        shared.as_ref()
    }

    fn start() -> Self {
        let port = free_port();
        let (started, is_started) = mpsc::channel();
        // The system ends the emulator with the thread that started it, so that thread never ends: it
        // goes with the program, however that ends.
        thread::spawn(move || {
            let folder = env::temp_dir().join(format!("llmopt-ministack-{port}"));
            fs::create_dir_all(&folder).expect("a folder for the emulator");
            let program = env::var_os(PROGRAM).expect("it was set before");
            let child = Command::new("setpriv")
                .args(["--pdeathsig", "TERM"])
                .arg(program)
                .env("BIND_HOST", "127.0.0.1")
                .env("GATEWAY_PORT", port.to_string())
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let _ = started.send(child.map(|child| child.id()));
            loop {
                thread::park();
            }
        });
        let started = is_started.recv().expect("the thread tells");
        started.expect("the emulator's program can be started");
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "the emulator does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        Self {
            endpoint: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Returns the URL of every service.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns a Python that has what deploys to the emulator.
    ///
    /// # Panics
    /// If the emulator is not in a virtual environment.
    pub fn python(&self) -> PathBuf {
        let program = env::var_os(PROGRAM).expect("it is running");
        let folder = Path::new(&program)
            .parent()
            .expect("a program is in a folder");
        folder.join("python")
    }

    /// Returns the variables that point every AWS SDK at the emulator.
    pub fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }
}

#[expect(clippy::print_stderr, reason = "tests speak there")]
fn eprintln_skip() {
    eprintln!("skipped: {PROGRAM} names no emulator; scripts/test installs one");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    match listener.local_addr() {
        Ok(address) => address.port(),
        Err(error) => panic!("a listener has an address: {error}"),
    }
}
