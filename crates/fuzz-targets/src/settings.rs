use std::ffi::OsString;

use llmopt_config::{ConfigError, Settings};

use crate::text::{check_error, lossy};

/// The secrets among the variables.
const SECRETS: [&str; 3] = ["HF_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"];
/// The shortest value that a message does not hold by chance.
const TELLING: usize = 12;

/// The text of a file.
pub(crate) fn dotenv(bytes: &[u8]) {
    let text = lossy(bytes);
    let read = read(&text);
    match &read {
        Ok(settings) => check_written(&text, settings),
        Err(error) => {
            let said = check_error(error);
            if let ConfigError::Syntax { line, .. } = error {
                assert!((1..=text.lines().count()).contains(line), "line {line}");
            }
            for secret in secrets(&text) {
                assert!(!said.contains(secret), "a message tells a secret: {said}");
            }
        }
    }
}

fn read(text: &str) -> Result<Settings, ConfigError> {
    Settings::from_pairs(Vec::<(OsString, OsString)>::new(), text)
}

/// Line ends, comments and blank lines change nothing, and nothing that is shown of settings is a secret.
fn check_written(text: &str, settings: &Settings) {
    let lines: Vec<&str> = text.lines().collect();
    let other = format!("# first\r\n\r\n{}\r\n# last", lines.join("\r\n"));
    if !text.starts_with('\u{feff}') {
        assert_eq!(read(&other).unwrap(), *settings);
    }
    let shown = format!("{settings:?}");
    for secret in secrets(text) {
        assert!(!shown.contains(secret), "settings show a secret: {shown}");
    }
}

/// Returns the plain values that are given to secrets, and stand nowhere else.
fn secrets(text: &str) -> impl Iterator<Item = &str> {
    let plain = |value: &&str| {
        value.len() >= TELLING && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let value = |line| {
        let (name, value) = str::split_once(line, '=')?;
        let name = name.trim().trim_start_matches("export ").trim();
        SECRETS.contains(&name).then(|| value.trim())
    };
    // Whoever writes a secret into another variable too is shown it there.
    let once = |value: &&str| text.matches(*value).count() == 1;
    text.lines().filter_map(value).filter(plain).filter(once)
}
