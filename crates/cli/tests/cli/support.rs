use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use serde_json::{Value, json};

/// A folder of its own with a dataset, a base model and a data directory.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Workplace {
    /// Makes the folder with `rows.jsonl` and `model.json`.
    pub(crate) fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        place.write("rows.jsonl", &rows(12));
        let sizes = json!({"vocab_size": 300, "n_positions": 64, "n_embd": 8, "n_layer": 1, "n_head": 2, "seed": 7});
        place.write("model.json", &sizes.to_string());
        place
    }

    /// Makes the folder with a base model in `base`, too.
    pub(crate) fn with_base() -> Self {
        let place = Self::new();
        let made = place.run("models init --dataset rows.jsonl --config model.json --output base");
        assert_eq!(made.code, Some(0), "{made:?}");
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A command of this place, with a fake trainer.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_llmopt"));
        let mut command = Command::new(program);
        #[expect(
            clippy::disallowed_methods,
            reason = "where coverage is measured, this says where each process writes its part"
        )]
        let profile = std::env::var_os("LLVM_PROFILE_FILE");
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env_clear()
            .envs(profile.map(|file| ("LLVM_PROFILE_FILE", file)))
            .env("LLMOPT_ENVIRONMENT", "testing")
            .env("LLMOPT_THREADS", "1")
            .env("LLMOPT_DATA_DIR", "data")
            .env(
                "LLMOPT_TRAINER",
                program.with_file_name("examples").join("fake_trainer"),
            );
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Said {
        Said::of(self.command(arguments))
    }

    /// Runs a command whose fake trainer ends as `mode` says.
    pub(crate) fn run_mode(&self, mode: &str, arguments: &str) -> Said {
        let mut command = self.command(arguments);
        command.env("FAKE_TRAINER", mode);
        Said::of(command)
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    /// Runs `command` to its end, which must come soon.
    pub(crate) fn of(command: Command) -> Self {
        const PATIENCE: Duration = Duration::from_secs(60);
        assert_cmd::Command::from_std(command)
            .timeout(PATIENCE)
            .output()
            .unwrap()
            .into()
    }

    /// Asserts the exit code and that standard error has every one of `parts`.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in {self:#?}");
        }
        // A user is told what is wrong, not where in our code.
        assert!(!self.err.contains("panicked"), "{self:#?}");
    }

    /// Asserts success and that standard output has every one of `parts`.
    #[track_caller]
    pub(crate) fn succeeds(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(0), "{self:#?}");
        for part in parts {
            assert!(self.out.contains(part), "no {part:?} in {self:#?}");
        }
    }

    /// Parses standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Parses every line of standard output as JSON.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(parse).collect()
    }
}

/// Different rows of prompt and response.
pub(crate) fn rows(count: usize) -> String {
    let row = |number| json!({"prompt": format!("count {number}"), "response": format!("it is {number}")});
    (0..count)
        .map(|number| format!("{}\n", row(number)))
        .collect()
}
