use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Stdio},
};

use serde_json::Value;

use crate::support::Workplace;

/// A server that is killed when its test fails.
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(place: &Workplace) -> (Self, Value) {
        let mut child = place
            .command("serve --json --listen 127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        (Self(child), serde_json::from_str(&line).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn a_server_is_ended_from_elsewhere() {
    let place = Workplace::new();
    place
        .run("stop")
        .succeeds(&["no server runs on this data directory"]);
    let (mut server, ready) = Server::start(&place);
    let url = ready["url"].as_str().unwrap();
    place
        .run("serve --listen 127.0.0.1:0")
        .fails(1, &["runs on", url, "llmopt stop"]);
    place.run("stop").succeeds(&["stopped", url]);
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    assert_eq!(place.run("stop --json").json()["stopped"], Value::Null);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    Workplace::new()
        .run(&format!("serve --listen {address}"))
        .fails(1, &[&address, "--listen"]);
}

#[test]
fn a_certificate_needs_its_key_and_both_have_to_be_there() {
    let place = Workplace::new();
    place
        .run("serve --tls-cert cert.pem")
        .fails(2, &["--tls-key"]);
    place
        .run("serve --listen 127.0.0.1:0 --tls-cert cert.pem --tls-key key.pem")
        .fails(1, &["`cert.pem`", "`key.pem`"]);
}
