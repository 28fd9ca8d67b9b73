//! Renders `docs/CONFIGURATION.md` and `.env.example` from the table of variables.

use std::fmt::Write as _;

use expect_test::expect_file;

use crate::variables::{self, Default, Variable};
use crate::{Environment, Settings};

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from crates/config/src/variables.rs; `UPDATE_EXPECT=1 cargo test -p llmopt-config` writes it anew. -->

llmopt reads these variables from the environment and from a file `.env` in the current folder; the environment wins.
An empty value counts as unset. A variable that begins with `LLMOPT_` and is not listed here is an error, so that a
misspelt one cannot go unnoticed. `.env.example` lists them all: copy it to `.env` and uncomment what you change.

";

fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("| variable | development | testing | production |\n|---|---|---|---|\n");
    for variable in variables::ALL {
        row(&mut text, variable);
    }
    for variable in variables::ALL {
        section(&mut text, variable);
    }
    text
}

fn row(text: &mut String, variable: &Variable) {
    write!(
        text,
        "| [`{0}`](#{1})",
        variable.name,
        variable.name.to_lowercase()
    )
    .expect("writes");
    for environment in Environment::ALL {
        match variable.default.value(environment) {
            Some(value) => write!(text, " | `{value}`"),
            None => write!(text, " | unset"),
        }
        .expect("writes");
    }
    text.push_str(" |\n");
}

fn section(text: &mut String, variable: &Variable) {
    write!(
        text,
        "\n## `{}`\n\n{}\n\n- Takes: {}.\n- Default: {}.\n- Read by: {}.\n",
        variable.name,
        variable.description,
        variable.kind,
        default(variable.default),
        variable.read_by,
    )
    .expect("writes");
}

fn default(default: Default) -> String {
    match default {
        Default::Everywhere(value) => format!("`{value}`"),
        Default::By {
            development,
            testing,
            production,
        } => format!(
            "`{development}` in development, `{testing}` in testing, `{production}` in production"
        ),
        Default::Unset(meaning) => format!("unset; then: {meaning}"),
    }
}

fn env_example() -> String {
    let mut text =
        "# Copy to .env and uncomment what you change; docs/CONFIGURATION.md says more.\n\
                    # Generated from crates/config/src/variables.rs.\n"
            .to_owned();
    for variable in variables::ALL {
        let value = variable.default.value(Environment::Development);
        write!(
            text,
            "\n# {}\n# Takes: {}.\n# Default: {}.\n# {}={}\n",
            variable.description,
            variable.kind.replace('`', ""),
            default(variable.default).replace('`', ""),
            variable.name,
            value.unwrap_or(variable.example),
        )
        .expect("writes");
    }
    text
}

#[test]
fn the_reference_page_and_the_example_are_those_of_the_table() {
    expect_file!["../../../docs/CONFIGURATION.md"].assert_eq(&markdown());
    expect_file!["../../../.env.example"].assert_eq(&env_example());
}

#[test]
fn every_line_of_the_example_is_accepted_once_uncommented() {
    let assignments: String = env_example()
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| PREFIXES.iter().any(|it| line.starts_with(it)))
        .map(|line| format!("{line}\n"))
        .collect();

    assert_eq!(assignments.lines().count(), variables::ALL.len());
    for places in KEYS {
        let left_out = |line: &&str| {
            let others = KEYS.iter().filter(|it| **it != places);
            !others
                .flatten()
                .any(|name| line.starts_with(&format!("{name}=")))
        };
        let lines: Vec<&str> = assignments.lines().filter(left_out).collect();
        Settings::from_pairs(Vec::<(String, String)>::new(), &lines.join("\n"))
            .expect("all are accepted");
    }
}

/// What the names of variables begin with.
const PREFIXES: [&str; 6] = ["LLMOPT_", "HF_", "AWS_", "OTEL_", "OPENAI_", "ANTHROPIC_"];

/// The places of keys, each of which excludes the others.
const KEYS: [[&str; 2]; 3] = [
    ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"],
    ["OPENAI_API_KEY_FILE", "ANTHROPIC_API_KEY_FILE"],
    ["LLMOPT_OPENAI_KEY_SECRET", "LLMOPT_ANTHROPIC_KEY_SECRET"],
];
