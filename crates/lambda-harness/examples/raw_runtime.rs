//! A function that speaks the Runtime API by hand: what runtimes may do and Rust's does not. `MODE` says
//! what: `init` reports that it cannot start, `trailers` ends a streamed answer with an error, and
//! `twice` answers an event a second time.

#![expect(
    clippy::unwrap_used,
    reason = "part of a test, which fails by panicking"
)]
#![expect(clippy::disallowed_methods, reason = "a bootstrap reads its variables")]
#![expect(clippy::print_stderr, reason = "it speaks there")]

use std::{
    env,
    io::{Read as _, Write as _},
    net::TcpStream,
};

const BASE: &str = "/2018-06-01/runtime";

fn main() {
    let mode = env::var("MODE").unwrap();
    if mode == "init" {
        let error = r#"{"errorType":"Own.Init","errorMessage":"no way","stackTrace":["here"]}"#;
        ask("POST", &format!("{BASE}/init/error"), "", error);
        return;
    }
    loop {
        let next = ask("GET", &format!("{BASE}/invocation/next"), "", "");
        let Some(id) = header(&next, "lambda-runtime-aws-request-id") else {
            return;
        };
        let answer = format!("{BASE}/invocation/{id}/response");
        if mode == "trailers" {
            let headers = "Transfer-Encoding: chunked\r\n\
                Lambda-Runtime-Function-Response-Mode: streaming\r\n\
                Trailer: Lambda-Runtime-Function-Error-Type\r\n\
                Trailer: Lambda-Runtime-Function-Error-Body\r\n";
            // The body is `{"errorType":"Own.Late","errorMessage":"too late"}`.
            let body = "3\r\none\r\n0\r\n\
                Lambda-Runtime-Function-Error-Type: Own.Late\r\n\
                Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJPd24uTGF0ZSIsImVycm9yTWVzc2FnZSI6InRvbyBsYXRlIn0=\r\n\r\n";
            ask("POST", &answer, headers, body);
        } else {
            let first = ask("POST", &answer, "", "1");
            let second = ask("POST", &answer, "", "2");
            eprintln!("{} then {}", status(&first), status(&second));
        }
    }
}

/// Sends one request on a connection of its own and returns all that comes back.
fn ask(method: &str, path: &str, headers: &str, body: &str) -> String {
    let api = env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let length = match headers {
        "" => format!("Content-Length: {}\r\n", body.len()),
        _ => String::new(),
    };
    let mut connection = TcpStream::connect(&api).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n{headers}{length}\r\n{body}"
    );
    connection.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    response
}

fn header<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    response
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap()
}
