//! A server of its own, on the tiny model, with the means to kill it and its trainer.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread::sleep,
    time::{Duration, Instant},
};

use reqwest::blocking::{Client, RequestBuilder, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// No step of a test takes this long unless something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A data directory with the tiny model as a base.
pub(crate) struct Place {
    folder: TempDir,
}

/// A server on a [`Place`]; it is killed when it is dropped.
pub(crate) struct Server {
    child: Mutex<Child>,
    pub(crate) url: String,
    client: Client,
}

impl Place {
    /// Makes one with `base:tiny`.
    pub(crate) fn new() -> Self {
        Self::with_base("tiny")
    }

    /// Makes one with the tiny model under this name.
    pub(crate) fn with_base(name: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer/tests/fixtures/tiny-gpt2");
        let imported = place
            .llmopt()
            .args(["models", "import", "--name", name])
            .arg(fixture)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&imported.stderr);
        assert!(imported.status.success(), "{errors}");
        place
    }

    /// The program, at work in this place.
    pub(crate) fn llmopt(&self) -> Command {
        self.command(programs().join("llmopt"))
    }

    /// Another program in this place, which finds ours on its path.
    #[expect(
        clippy::disallowed_methods,
        reason = "the path of the tests, and ours before it"
    )]
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([programs()].into_iter().chain(env::split_paths(&path)));
        command
            .current_dir(self.folder.path())
            .env("PATH", path.unwrap())
            .env("LLMOPT_ENVIRONMENT", "testing")
            .env("LLMOPT_LOG", "error")
            .env("LLMOPT_DATA_DIR", self.data_dir())
            .env("LLMOPT_MODEL_CACHE", "3")
            .env("LLMOPT_THREADS", "1")
            // Nobody listens there: a test asks no other machine.
            .env("LLMOPT_HUB_ENDPOINT", "http://127.0.0.1:9")
            .env("LLMOPT_JOB_LEASE_SECONDS", "2");
        command
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, arguments: &[&str]) -> Server {
        let mut command = self.llmopt();
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
        command.args(arguments);
        self.start(command)
    }

    /// Starts a server by this command, which writes JSON.
    pub(crate) fn start(&self, mut command: Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Server {
            child: Mutex::new(child),
            url: ready["url"].as_str().unwrap().to_owned(),
            client,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    fn published(&self, name: &str) -> PathBuf {
        self.data_dir().join(format!("models/ft--tiny--{name}/1"))
    }

    /// The bytes of every file with weights of a published model.
    pub(crate) fn weights(&self, name: &str) -> BTreeMap<&'static str, Vec<u8>> {
        let folder = self.published(name);
        ["adapter/adapter_model.safetensors", "model.safetensors"]
            .into_iter()
            .map(|file| (file, fs::read(folder.join(file)).unwrap()))
            .collect()
    }

    pub(crate) fn is_published(&self, name: &str) -> bool {
        self.published(name).exists()
    }

    /// Waits until a model's files are being written that are not visible yet; returns whether that came
    /// before the model was published.
    pub(crate) fn wait_for_publication(&self, name: &str) -> bool {
        let began = Instant::now();
        while !self.is_published(name) {
            let staging = fs::read_dir(self.data_dir().join(".staging")).unwrap();
            let mut slots = staging.map(|entry| entry.unwrap().path());
            // Checkpoints are staged too, but hold no such file.
            if slots.any(|slot| slot.join("folder/model.safetensors").exists()) {
                return true;
            }
            assert!(began.elapsed() < PATIENCE);
            sleep(Duration::from_micros(200));
        }
        false
    }

    /// Starts a server once more, which has nothing to tidy up after: it finds nothing half made.
    pub(crate) fn is_tidy_after(&self, server: Server) -> bool {
        server.terminate();
        // A trainer that a killed server was just starting had that server's locks for a moment, so that
        // the server after it left things alone.
        drop(server);
        let _server = self.serve();
        self.staged() == 0
    }

    /// What was begun and not made visible.
    pub(crate) fn staged(&self) -> usize {
        let staging = fs::read_dir(self.data_dir().join(".staging")).unwrap();
        staging
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count()
    }
}

impl Server {
    /// The id of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.at(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.at(path))
    }

    pub(crate) fn put(&self, path: &str) -> RequestBuilder {
        self.client.put(self.at(path))
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.client.delete(self.at(path))
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.url)
    }

    /// The JSON of a successful answer.
    pub(crate) fn json(&self, request: RequestBuilder) -> Value {
        let (status, body) = answer(request.send().unwrap());
        assert!((200..300).contains(&status), "{status}: {body}");
        body
    }

    /// The status and problem of an unsuccessful one.
    pub(crate) fn problem(&self, request: RequestBuilder) -> (u16, Value) {
        let response = request.send().unwrap();
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let id = response.headers()["x-request-id"].to_str().unwrap();
        let id = id.to_owned();
        let (status, body) = answer(response);
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"], id.as_str());
        (status, body)
    }

    pub(crate) fn upload(&self, name: &str, text: String) -> Value {
        self.json(self.post(&format!("/datasets?name={name}")).body(text))
    }

    pub(crate) fn job(&self, id: &str) -> Value {
        self.json(self.get(&format!("/training/jobs/{id}")))
    }

    /// Waits until the job is in one of these states.
    pub(crate) fn wait_for(&self, id: &str, states: &[&str]) -> Value {
        let began = Instant::now();
        loop {
            let job = self.job(id);
            if states.contains(&job["status"].as_str().unwrap()) {
                return job;
            }
            assert!(began.elapsed() < PATIENCE, "{job}");
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the job has reported this event.
    pub(crate) fn wait_for_event(&self, id: &str, wanted: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        let mut after = 0;
        loop {
            let page = self.json(self.get(&format!(
                "/training/jobs/{id}/events?after={after}&limit=1000"
            )));
            if page["data"].as_array().unwrap().iter().any(&wanted) {
                return;
            }
            after = page["last"].as_u64().unwrap();
            assert!(began.elapsed() < PATIENCE, "after {after}");
            sleep(Duration::from_millis(20));
        }
    }

    /// The names and data of all events of a stream, to its end.
    pub(crate) fn stream(&self, request: RequestBuilder) -> Vec<(String, Value)> {
        let response = request.header("accept", "text/event-stream").send();
        let response = response.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Vec::new();
        let mut name = String::new();
        for line in BufReader::new(response).lines() {
            let line = line.unwrap();
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                events.push((name.clone(), serde_json::from_str(data).unwrap()));
            }
        }
        events
    }

    /// Sends SIGKILL to the trainer that is at work, if one is.
    pub(crate) fn kill_trainer(&self) -> bool {
        self.trainer()
            .is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
    }

    /// Has the trainer that is at work do nothing more, without ending it.
    pub(crate) fn suspend_trainer(&self) -> bool {
        self.trainer()
            .is_some_and(|pid| kill_process(pid, Signal::STOP).is_ok())
    }

    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks the server to end and returns its exit code.
    pub(crate) fn terminate(&self) -> Option<i32> {
        let mut child = self.child.lock().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.wait().unwrap().code()
    }

    /// Finds the trainer among the server's children.
    fn trainer(&self) -> Option<Pid> {
        // Each thread has the children that it started.
        let mut all = String::new();
        let own = self.child.lock().unwrap().id();
        for task in fs::read_dir(format!("/proc/{own}/task")).ok()? {
            let path = task.ok()?.path().join("children");
            all.push_str(&fs::read_to_string(path).unwrap_or_default());
        }
        let pid = all.split_whitespace().next()?.parse().ok()?;
        Pid::from_raw(pid)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_trainer();
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the folder with the programs: target/debug/deps/platform-… stands beside target/debug/llmopt.
fn programs() -> PathBuf {
    let mut folder = env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    folder
}

fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().unwrap();
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"))
    };
    (status, body)
}

/// Rows that teach squares.
pub(crate) fn rows(range: std::ops::Range<u32>) -> String {
    range
        .map(|n| format!("{{\"prompt\":\"{n}?\",\"response\":\"{}\"}}\n", n * n))
        .collect()
}

/// A job in which everything that has to be restored is in use.
pub(crate) fn job(server: &Server, name: &str, epochs: u32) -> Value {
    let train = server.upload("train.jsonl", rows(0..24));
    let heldout = server.upload("heldout.jsonl", rows(40..44));
    json!({
        "base_model": "base:tiny",
        "dataset_id": train["id"],
        "evaluation_dataset_id": heldout["id"],
        "name": name,
        "config": {
            "epochs": epochs,
            "batch_size": 5,
            "micro_batch_size": 2,
            "learning_rate": 2e-3,
            "dropout": 0.1,
            "checkpoint_steps": 7,
            "evaluation_max_new_tokens": 4,
        },
    })
}
