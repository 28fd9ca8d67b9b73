//! The guides do what they say: their examples run in order, in each language, on a server of its own.

use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

use crate::{
    access::create_key,
    guide::{Example, Guide},
    server::{Place, Server},
};

/// Names a Python that has `requests`.
const PYTHON: &str = "LLMOPT_TEST_API_PYTHON";
/// The oldest Node.js with everything that the examples use.
const NODE: u32 = 20;
/// Seconds that no guide takes unless something hangs.
const PATIENCE: &str = "300";
/// Stands before what each example prints.
const MARK: &str = "=== the example in line ";
const API: &str = "API.md";
const KEYS: &str = "AUTHENTICATION.md";

/// How examples in one language are run.
struct Language {
    /// As blocks are marked.
    name: &'static str,
    /// The program and what it is told besides the script.
    program: Vec<PathBuf>,
    extension: &'static str,
    /// Writes [`MARK`] and the number in place of `LINE`.
    announce: &'static str,
}

fn shell() -> Option<Language> {
    for program in ["bash", "curl", "jq"] {
        if version(program).is_none() {
            println!("skipped: {program} is not on the PATH");
            return None;
        }
    }
    let program = ["bash", "-euo", "pipefail"];
    Some(Language {
        name: "sh",
        program: program.map(PathBuf::from).to_vec(),
        extension: "sh",
        announce: "printf '\\n%s\\n' 'MARKLINE'",
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests find what is not part of the repository through variables"
)]
fn python() -> Option<Language> {
    let Some(program) = env::var_os(PYTHON) else {
        println!("skipped: {PYTHON} names no Python; scripts/test installs one");
        return None;
    };
    Some(Language {
        name: "python",
        program: vec![program.into()],
        extension: "py",
        announce: "print('\\nMARKLINE', flush=True)",
    })
}

fn javascript() -> Option<Language> {
    let version = version("node").unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next();
    if major.and_then(|it| it.parse().ok()).unwrap_or(0) < NODE {
        println!("skipped: Node.js {NODE} or newer is not on the PATH");
        return None;
    }
    Some(Language {
        name: "js",
        program: vec!["node".into()],
        extension: "mjs",
        announce: "console.log('\\nMARKLINE');",
    })
}

fn version(program: &str) -> Option<String> {
    let told = Command::new(program).arg("--version").output().ok()?;
    told.status
        .success()
        .then(|| String::from_utf8_lossy(&told.stdout).into_owned())
}

/// Runs the examples of a guide in one language as one script, and compares what each prints.
fn run(name: &str, language: &Language, place: &Place, server: &Server, key: Option<&str>) {
    let guide = Guide::read(name);
    let examples: Vec<&Example> = guide
        .examples
        .iter()
        .filter(|example| example.language == language.name)
        .collect();
    assert!(!examples.is_empty());
    let folder = place.path("examples");
    fs::create_dir(&folder).unwrap();
    for (file, text) in &guide.files {
        fs::write(folder.join(file), text).unwrap();
    }
    let script = folder.join("examples").with_extension(language.extension);
    fs::write(&script, whole(language, &examples)).unwrap();

    let mut command = place.command("timeout");
    command.arg(PATIENCE).args(&language.program).arg(script);
    command.current_dir(&folder);
    command.env("LLMOPT_URL", server.at(""));
    command.env("NO_PROXY", "127.0.0.1");
    if let Some(key) = key {
        command.env("LLMOPT_KEY", key);
    }
    let ran = command.output().unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout);
    let errors = String::from_utf8_lossy(&ran.stderr);
    let mut parts = printed.split(MARK).skip(1);
    for example in examples {
        let place = format!("docs/{name}:{}", example.line);
        let part = parts.next().unwrap_or_else(|| {
            panic!("{place}: an example before it ended the script: {errors}\n{printed}")
        });
        let (line, output) = part.split_once('\n').unwrap();
        assert_eq!(line, example.line.to_string());
        assert!(
            example.prints(output),
            "{place}: expected\n{}\nfound\n{output}\n{errors}",
            example.output
        );
    }
    assert!(ran.status.success(), "{}: {errors}", ran.status);
}

fn whole(language: &Language, examples: &[&Example]) -> String {
    let parts = examples.iter().map(|example| {
        let line = example.line.to_string();
        let announce = language.announce.replace("MARK", MARK);
        format!("{}\n{}\n", announce.replace("LINE", &line), example.code)
    });
    parts.collect()
}

/// Runs a guide whose reader has a key for everything.
fn with_key(name: &str, language: Option<Language>) {
    let Some(language) = language else { return };
    let place = place();
    let key = create_key(&place, &["--scope", "admin"]);
    let server = place.serve();
    run(name, &language, &place, &server, Some(&key));
}

/// Makes a place as the guides have it. There is no network, so the tiny model goes by the name of theirs.
fn place() -> Place {
    Place::with_base("distilgpt2")
}

#[test]
fn the_examples_for_curl_do_what_the_guide_says() {
    with_key(API, shell());
}

#[test]
fn the_examples_in_python_do_what_the_guide_says() {
    with_key(API, python());
}

#[test]
fn the_examples_in_javascript_do_what_the_guide_says() {
    with_key(API, javascript());
}

#[test]
fn the_page_on_keys_begins_without_one_and_does_what_it_says() {
    let Some(language) = shell() else { return };
    let place = place();
    let server = place.serve();
    run(KEYS, &language, &place, &server, None);
}

#[test]
fn keys_are_shown_in_python_as_the_page_on_them_says() {
    with_key(KEYS, python());
}

#[test]
fn keys_are_shown_in_javascript_as_the_page_on_them_says() {
    with_key(KEYS, javascript());
}

#[test]
fn each_step_of_the_guide_is_shown_in_every_language() {
    let guide = Guide::read(API);
    let headings: BTreeSet<&str> = guide.examples.iter().map(|it| &*it.heading).collect();
    assert!(headings.len() >= 10, "{headings:?}");
    for heading in headings {
        let languages: BTreeSet<&str> = guide
            .examples
            .iter()
            .filter(|example| example.heading == heading)
            .map(|example| &*example.language)
            .collect();
        let all = BTreeSet::from(["js", "python", "sh"]);
        assert_eq!(languages, all, "{heading}");
    }
}

#[test]
fn what_is_not_run_is_left_out_on_purpose() {
    // What is no program, wants a network, an account or another server, or does not end.
    assert_eq!(
        Guide::read(API).not_run,
        [
            "llmopt serve                                                     # in a shell of its own",
            r#"ask "$LLMOPT_URL/generate" -H "$json" \"#,
            "{",
            "llmopt keys create --name me --scope admin                       # of the server in this data directory",
            r#"ratelimit: "key";r=12;t=24"#,
            r#"{"base_model": "base:distilgpt2", "dataset_id": "3f2a91c07be4", "evaluation_dataset_id": "77ab12cd34ef","#,
            r#"{"model_id": "orders", "prompt": "Two flat whites, please", "max_tokens": 64, "temperature": 0.7, "top_p": 1.0,"#,
        ]
    );
    assert_eq!(
        Guide::read(KEYS).not_run,
        [
            "export LLMOPT_KEY=$(LLMOPT_STORE=aws llmopt keys create --name me --scope admin)",
            "llmopt_[A-Za-z0-9_-]{12}_[A-Za-z0-9_-]{43}",
            "llmopt serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem",
        ]
    );
}
