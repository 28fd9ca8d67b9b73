//! A small Hub on this machine: the routes that a fetch uses, with faults to order.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const REPOSITORY: &str = "owner/tiny";

/// What the server does wrong.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// Answers everything with this status and `X-Error-Code`.
    pub(crate) refusal: Option<(u16, &'static str)>,
    /// Connections for this file break after so many bytes of the body, so many times.
    pub(crate) drops: Option<(&'static str, usize, usize)>,
    /// Sends whole files where a range is asked for.
    pub(crate) ignores_ranges: bool,
    /// Tells this SHA-256 for `model.safetensors`.
    pub(crate) sha256: Option<String>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    faults: Faults,
    /// Request lines, with ` bytes=…` behind those that ask for a range.
    requests: Vec<String>,
    authorization: Option<String>,
}

#[derive(Clone)]
pub(crate) struct HubServer {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
}

impl HubServer {
    pub(crate) fn start(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files = files
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.to_vec()));
        let state = State {
            files: files.collect(),
            ..State::default()
        };
        let server = Self {
            endpoint,
            state: Arc::new(Mutex::new(state)),
        };
        let shared = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = shared.clone();
                thread::spawn(move || server.answer(stream.unwrap()));
            }
        });
        server
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state.lock().unwrap().faults = faults;
    }

    /// Returns the requests for file contents since the last call.
    pub(crate) fn take_downloads(&self) -> Vec<String> {
        let requests = std::mem::take(&mut self.state.lock().unwrap().requests);
        let prefix = format!("GET /{REPOSITORY}/resolve/{COMMIT}/");
        requests
            .iter()
            .filter_map(|line| line.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn authorization(&self) -> Option<String> {
        self.state.lock().unwrap().authorization.clone()
    }

    /// Answers one request and closes the connection. A client that goes away is no failure.
    fn answer(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap())
            .lines()
            .map_while(Result::ok);
        let Some(line) = lines.next() else { return };
        let (mut range, mut authorization) = (None, None);
        for header in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = header.split_once(": ").unwrap();
            match name.to_ascii_lowercase().as_str() {
                "range" => range = Some(value.to_owned()),
                "authorization" => authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let mut state = self.state.lock().unwrap();
        let asked = range
            .as_ref()
            .map(|range| format!(" {range}"))
            .unwrap_or_default();
        state.requests.push(format!("{method} {path}{asked}"));
        state.authorization = authorization;
        let (head, body, cut) = state.respond(path, range.as_deref(), method == "HEAD");
        drop(state);
        let _ = stream.write_all(head.as_bytes());
        if method != "HEAD" {
            let _ = stream.write_all(&body[..cut.unwrap_or(body.len())]);
        }
    }
}

impl State {
    /// Returns the head, the body, and after how many bytes of it the connection breaks.
    fn respond(
        &mut self,
        path: &str,
        range: Option<&str>,
        only_head: bool,
    ) -> (String, Vec<u8>, Option<usize>) {
        if let Some((status, code)) = self.faults.refusal {
            let body = b"{\"error\":\"refused\"}".to_vec();
            return (
                head(status, &format!("X-Error-Code: {code}\r\n"), body.len()),
                body,
                None,
            );
        }
        let json = |text: String| {
            (
                head(200, "Content-Type: application/json\r\n", text.len()),
                text.into_bytes(),
                None,
            )
        };
        if path == format!("/api/models/{REPOSITORY}/revision/main") {
            return json(format!("{{\"id\":\"{REPOSITORY}\",\"sha\":\"{COMMIT}\"}}"));
        }
        if path == format!("/api/models/{REPOSITORY}/tree/{COMMIT}") {
            return json(self.tree());
        }
        let name = path.strip_prefix(&format!("/{REPOSITORY}/resolve/{COMMIT}/"));
        match name.and_then(|name| Some((name, self.files.get(name)?.clone()))) {
            Some((name, content)) => self.file(name, content, range, only_head),
            None => (
                head(404, "X-Error-Code: RevisionNotFound\r\n", 0),
                Vec::new(),
                None,
            ),
        }
    }

    fn tree(&self) -> String {
        let entry = |(name, content): (&String, &Vec<u8>)| {
            let size = content.len();
            let lfs = match &self.faults.sha256 {
                Some(sha256) if name == "model.safetensors" => {
                    format!(
                        ",\"lfs\":{{\"size\":{size},\"sha256\":\"{sha256}\",\"pointerSize\":134}}"
                    )
                }
                _ => String::new(),
            };
            format!("{{\"type\":\"file\",\"oid\":\"0\",\"size\":{size},\"path\":\"{name}\"{lfs}}}")
        };
        let mut entries: Vec<String> = self.files.iter().map(entry).collect();
        entries.push("{\"type\":\"directory\",\"oid\":\"0\",\"path\":\"onnx\"}".to_owned());
        format!("[{}]", entries.join(","))
    }

    fn file(
        &mut self,
        name: &str,
        content: Vec<u8>,
        range: Option<&str>,
        only_head: bool,
    ) -> (String, Vec<u8>, Option<usize>) {
        let range = range.filter(|_| !self.faults.ignores_ranges);
        let start = range.and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .split('-')
                .next()?
                .parse()
                .ok()
        });
        let body = content[start.unwrap_or(0_usize)..].to_vec();
        let status = if range.is_some() { 206 } else { 200 };
        let cut = match &mut self.faults.drops {
            Some((file, bytes, times)) if *file == name && *times > 0 && !only_head => {
                *times -= 1;
                Some((*bytes).min(body.len()))
            }
            _ => None,
        };
        (
            head(
                status,
                &format!("ETag: \"{name}\"\r\nX-Repo-Commit: {COMMIT}\r\n"),
                body.len(),
            ),
            body,
            cut,
        )
    }
}

fn head(status: u16, headers: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}
