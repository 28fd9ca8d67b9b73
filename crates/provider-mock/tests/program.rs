//! The program, as scripts use it.

#![expect(
    clippy::unwrap_used,
    reason = "tests fail by panicking, and so do their helpers"
)]

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
};

/// Sends a request of JSON, and returns the response as it comes.
async fn ask(url: &str, target: &str, body: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer k\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn a_script_says_what_goes_wrong_and_sees_what_was_asked() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_llmopt-provider-mock"))
        .args(["--port", "0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().unwrap();
    let chat = "POST /v1/chat/completions";
    let question = r#"{"model": "gpt-mock", "messages": [{"role": "user", "content": "Hi"}]}"#;

    let fault = r#"{"fault": {"kind": "rate_limited", "retry_after": "2"}}"#;
    let said = ask(&url, "POST /mock/next", fault).await;
    assert!(said.starts_with("HTTP/1.1 204"), "{said}");
    let refused = ask(&url, chat, question).await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("retry-after: 2\r\n"), "{refused}");
    let answered = ask(&url, chat, question).await;
    assert!(answered.contains("You said: Hi"), "{answered}");

    let of_model = r#"{"fault": {"kind": "status", "status": 503}}"#;
    ask(&url, "PUT /mock/models/gpt-mock", of_model).await;
    let refused = ask(&url, chat, question).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    let exchanges = ask(&url, "GET /mock/exchanges", "").await;
    assert_eq!(
        exchanges
            .matches("\"target\":\"POST /v1/chat/completions\"")
            .count(),
        3
    );

    ask(&url, "DELETE /mock", "").await;
    let answered = ask(&url, chat, question).await;
    assert!(answered.contains("You said: Hi"), "{answered}");
    let mistyped = r#"{"fualt": {"kind": "status", "status": 503}}"#;
    let said = ask(&url, "POST /mock/next", mistyped).await;
    assert!(said.starts_with("HTTP/1.1 422"), "{said}");
}
