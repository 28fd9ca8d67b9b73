use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// What a function is: its program and what Lambda is told about it.
#[derive(Clone, Debug)]
pub struct FunctionSpec {
    /// What it is invoked by.
    pub name: String,
    /// Its bootstrap.
    pub program: PathBuf,
    /// Its variables. It sees none of this process's own.
    pub environment: BTreeMap<String, String>,
    /// What it is told that it may take; nothing enforces it.
    pub memory_mb: u32,
    /// How long an invocation may take before its process is killed.
    pub timeout: Duration,
    /// Processes at once, each with one invocation, at most.
    pub concurrency: usize,
    /// How its processes are started.
    pub launch: Launch,
    /// Whether its processes are told that a snapshot is taken of them before their first event.
    pub snap_start: bool,
}

/// How a process is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// By way of `setpriv`, so that it ends with the harness however that ends.
    Guarded,
    /// At once, which takes a millisecond less. A process that hangs is left where the harness is killed.
    Direct,
}

impl FunctionSpec {
    /// Returns a function with 256 MB, 29 s for an invocation, and 10 processes.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            environment: BTreeMap::new(),
            memory_mb: 256,
            timeout: Duration::from_secs(29),
            concurrency: 10,
            launch: Launch::Guarded,
            snap_start: false,
        }
    }

    /// Adds a variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Sets how long an invocation may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many processes there may be at once.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Sets how its processes are started.
    #[must_use]
    pub fn launch(mut self, launch: Launch) -> Self {
        self.launch = launch;
        self
    }

    /// Has its processes live through a snapshot: each is told that it is restored at once.
    #[must_use]
    pub fn snap_start(mut self) -> Self {
        self.snap_start = true;
        self
    }

    /// Sets the memory it is told that it has.
    #[must_use]
    pub fn memory_mb(mut self, memory_mb: u32) -> Self {
        self.memory_mb = memory_mb;
        self
    }

    pub(crate) fn arn(&self) -> String {
        format!(
            "arn:aws:lambda:us-east-1:000000000000:function:{}",
            self.name
        )
    }
}
