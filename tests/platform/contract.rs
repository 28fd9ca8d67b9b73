//! The API is what its OpenAPI document says: schemathesis asks what the document allows and what it does not.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::PathBuf,
    thread,
};

use serde_json::Value;

use crate::{
    access::create_key,
    server::{Place, Server},
};

/// Names a Python that has schemathesis beside it.
const PYTHON: &str = "LLMOPT_TEST_API_PYTHON";
/// What is answered without a key.
const OPEN: [&str; 2] = ["get_health", "get_readiness"];

/// How often each status came, by operation.
type Counts = BTreeMap<String, BTreeMap<u16, u64>>;

/// How much is asked.
struct Budget {
    /// Requests for each operation and kind of test.
    examples: u32,
    phases: &'static str,
}

const SMALL: Budget = Budget {
    examples: 10,
    phases: "examples,fuzzing",
};
const LARGE: Budget = Budget {
    examples: 350,
    phases: "examples,coverage,fuzzing,stateful",
};

/// Returns schemathesis, or says what is skipped for want of it.
#[expect(
    clippy::disallowed_methods,
    reason = "tests find what is not part of the repository through variables"
)]
fn schemathesis() -> Option<PathBuf> {
    let Some(python) = env::var_os(PYTHON) else {
        println!("skipped: {PYTHON} names no Python; scripts/test installs one");
        return None;
    };
    Some(PathBuf::from(python).with_file_name("st"))
}

/// Starts a Hub that has no model, and returns its address.
fn empty_hub() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.unwrap());
            let mut line = String::from("a head");
            while !line.trim_end().is_empty() {
                line.clear();
                if connection.read_line(&mut line).is_err() {
                    break;
                }
            }
            let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            // Who has gone meanwhile needs no answer, and the next one does.
            let _ = connection.into_inner().write_all(answer.as_bytes());
        }
    });
    url
}

/// Starts a server without limits.
fn serve(place: &Place) -> Server {
    let mut command = place.llmopt();
    command
        .args(["serve", "--json", "--listen", "127.0.0.1:0"])
        .env("LLMOPT_HUB_ENDPOINT", empty_hub())
        .env("LLMOPT_REQUESTS_PER_MINUTE", "0")
        .env("LLMOPT_KEY_REQUESTS_PER_MINUTE", "0");
    place.start(command)
}

/// Has schemathesis ask, with a key if there is one, and returns what was counted.
fn ask(
    place: &Place,
    server: &Server,
    key: Option<&str>,
    checks: &str,
    budget: &Budget,
) -> Option<Counts> {
    let schemathesis = schemathesis()?;
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let counts = place.path("counts.json");
    let mut command = place.command(schemathesis);
    command
        .arg("run")
        .arg(tests.join("../docs/openapi.json"))
        .args(["--url", &server.at("")])
        .args(["--checks", checks, "--phases", budget.phases])
        .args(["--max-examples", &budget.examples.to_string()])
        // The same requests each time.
        .args(["--seed", "5", "--continue-on-failure", "--no-color"])
        .args(["--suppress-health-check", "all", "--warnings", "off"])
        .env("PYTHONPATH", tests.join("contract"))
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("LLMOPT_URL", server.at(""))
        .env("LLMOPT_CONTRACT_COUNTS", &counts);
    if let Some(key) = key {
        command.env("LLMOPT_KEY", key);
        command.args(["--header", &format!("Authorization: Bearer {key}")]);
    }
    let asked = command.output().unwrap();
    let said = String::from_utf8_lossy(&asked.stdout);
    let errors = String::from_utf8_lossy(&asked.stderr);
    assert!(asked.status.success(), "{said}\n{errors}");
    println!("{said}");
    Some(serde_json::from_slice(&fs::read(counts).unwrap()).unwrap())
}

fn operations() -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    paths
        .flat_map(|methods| methods.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
        .collect()
}

/// Asserts that the platform does what the document says, and returns how many requests showed it.
fn keeps_to_the_document(budget: &Budget) -> u64 {
    let place = Place::new();
    let key = create_key(&place, &["--scope", "admin"]);
    let server = serve(&place);
    let served = server.json(server.get("/openapi.json").bearer_auth(&key));
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(served, document);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_headers_conformance,response_schema_conformance,negative_data_rejection,\
                  unsupported_method,allow_header_conformance,ignored_auth";
    let Some(counts) = ask(&place, &server, Some(&key), checks, budget) else {
        return 0;
    };
    for operation in operations() {
        let found = counts.get(&operation);
        let found = found.unwrap_or_else(|| panic!("{operation} was not asked"));
        let done = found.keys().any(|status| (200..300).contains(status));
        assert!(done, "{operation}: {found:?}");
    }
    let health = server.get("/health").send().unwrap();
    assert_eq!(health.status(), 200);
    counts.values().flat_map(BTreeMap::values).sum()
}

#[test]
fn the_api_is_what_its_document_says() {
    let asked = keeps_to_the_document(&SMALL);
    println!("{asked} requests");
}

/// Some minutes: scripts/test-contract runs it.
#[test]
#[ignore = "takes minutes; scripts/test-contract runs it"]
fn the_api_is_what_its_document_says_over_ten_thousand_requests() {
    let asked = keeps_to_the_document(&LARGE);
    println!("{asked} requests");
    assert!(schemathesis().is_none() || asked >= 10_000, "{asked}");
}

#[test]
fn without_a_key_nothing_is_answered_but_two_routes() {
    let place = Place::new();
    create_key(&place, &["--scope", "admin"]);
    let server = serve(&place);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let Some(counts) = ask(&place, &server, None, checks, &SMALL) else {
        return;
    };
    for operation in operations() {
        let expected = if OPEN.contains(&operation.as_str()) {
            200
        } else {
            401
        };
        let found: Vec<u16> = counts[&operation].keys().copied().collect();
        assert_eq!(found, [expected], "{operation}");
    }
}
