//! Secrets that are named, not told.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use crate::account::{Account, boto};

/// Answers one request with 401 and returns its head.
fn hub() -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut part = [0; 1024];
        while !head.ends_with(b"\r\n\r\n") {
            let count = connection.read(&mut part).unwrap();
            assert_ne!(count, 0, "the request breaks off");
            head.extend_from_slice(&part[..count]);
        }
        let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        connection.write_all(answer).unwrap();
        String::from_utf8(head).unwrap()
    });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_hub_is_read_from_a_secret_and_told_nobody_else() {
    let Some(account) = Account::new().await else {
        return;
    };
    boto(
        "client('secretsmanager').create_secret(Name='llmopt/hub-token', SecretString='hf_canary')",
    );

    let import = |secret: &str, hub: &str| {
        let output = account
            .command("llmopt")
            .args(["models", "import", "acme/gated"])
            .env("LLMOPT_LOG", "trace")
            .env("LLMOPT_HUB_ENDPOINT", hub)
            .env("LLMOPT_HUB_TOKEN_SECRET", secret)
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8(said).unwrap()
    };
    let (url, asked) = hub();
    let said = import("llmopt/hub-token", &url);
    let head = asked.join().unwrap().to_lowercase();
    assert!(head.contains("authorization: bearer hf_canary"), "{head}");
    assert!(said.contains("acme/gated"), "{said}");
    assert!(!said.contains("hf_canary"), "the token is told");

    let said = import("llmopt/nothing", "http://127.0.0.1:9");
    assert!(said.contains("`llmopt/nothing`"), "{said}");
}
