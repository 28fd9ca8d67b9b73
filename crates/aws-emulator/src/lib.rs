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
    env,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

/// Where the emulator's program is.
const MINISTACK: &str = "LLMOPT_TEST_MINISTACK";
/// Where the program of the second opinion on DynamoDB is.
const DYNALITE: &str = "LLMOPT_TEST_DYNALITE";
/// Runs what it is given with a temporary folder of its own, and when it is told to end, ends that and removes the folder:
/// MiniStack leaves the code of every function there. The folder has a name of its own here, so that whoever is told to
/// end before it is made removes nothing: `TMPDIR` may be everybody's until then.
const KEEPER: &str = r#"
folder=
trap '[ -z "$!" ] || kill "$!"; wait; [ -z "$folder" ] || rm -rf "$folder"; exit' TERM
folder=$(mktemp -d) || exit
TMPDIR=$folder "$@" &
wait
rm -rf "$folder"
"#;
/// How long they may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running emulator.
#[derive(Clone, Debug)]
pub struct MiniStack {
    endpoint: String,
}

/// A running emulator of DynamoDB alone, by others: a second opinion on conditional writes.
#[derive(Clone, Debug)]
pub struct Dynalite {
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
        let shared = SHARED.get_or_init(|| {
            let endpoint = start(MINISTACK, |command, port| {
                command
                    // Who may do what is looked at, as AWS does; our own key is the account's owner.
                    .env("AUTH", "true")
                    .env("BIND_HOST", "127.0.0.1")
                    .env("MINISTACK_HOST", "127.0.0.1")
                    .env("GATEWAY_PORT", port.to_string());
            });
            endpoint.map(|endpoint| Self { endpoint })
        });
        told(MINISTACK, shared.as_ref())
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
        let program = env::var_os(MINISTACK).expect("it is running");
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

impl Dynalite {
    /// As [`MiniStack::shared`].
    ///
    /// # Panics
    /// If there is one and it does not start.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Dynalite>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let endpoint = start(DYNALITE, |command, port| {
                command.args(["--host", "127.0.0.1", "--createTableMs", "0", "--port"]);
                command.arg(port.to_string());
            });
            endpoint.map(|endpoint| Self { endpoint })
        });
        told(DYNALITE, shared.as_ref())
    }

    /// Returns the service's URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

/// Starts the program that `variable` names, if it does, and returns its URL.
fn start(variable: &'static str, tell: fn(&mut Command, u16)) -> Option<String> {
    let program = env::var_os(variable)?;
    let port = free_port();
    let (started, is_started) = mpsc::channel();
    // The system ends the emulator with the thread that started it, so that thread never ends: it
    // goes with the program, however that ends.
    thread::spawn(move || {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "sh", "-c", KEEPER, "emulator"]);
        command.arg(program);
        tell(&mut command, port);
        let child = command
            .current_dir(env::temp_dir())
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
    Some(format!("http://127.0.0.1:{port}"))
}

#[expect(clippy::print_stderr, reason = "tests speak there")]
fn told<T>(variable: &str, shared: Option<&'static T>) -> Option<&'static T> {
    if shared.is_none() {
        eprintln!("skipped: {variable} names no emulator; scripts/test installs one");
    }
    shared
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    match listener.local_addr() {
        Ok(address) => address.port(),
        Err(error) => panic!("a listener has an address: {error}"),
    }
}
