use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};
use llmopt_preparation::{FilesError, Progress};
use tokio::{
    signal::unix::{SignalKind, signal},
    task,
};

use crate::{failure::Failure, output::count_text};

/// Shows how far work on a dataset is, and tells it to stop when the user wants that.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    bar: ProgressBar,
    begin: Instant,
}

/// Does work on a dataset beside this thread, which waits for Ctrl-C or SIGTERM: either has the work stop where it
/// leaves nothing behind. A bar on standard error, where that is a terminal, says `doing` and how far it is.
///
/// # Errors
/// If it cannot be listened for signals, or the work breaks off.
pub(crate) async fn watched<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce(&mut Watch) -> T + Send + 'static,
) -> Result<T, Failure> {
    let broken = |error| Failure::failed(format!("failed to listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let mut watch = Watch::new(doing);
    let stop = watch.stop.clone();
    let mut work = task::spawn_blocking(move || work(&mut watch));
    loop {
        tokio::select! {
            done = &mut work => {
                return done.map_err(|error| Failure::failed(format!("the work broke off: {error}")));
            }
            Some(()) = interrupt.recv() => stop.store(true, Ordering::Relaxed),
            Some(()) = terminate.recv() => stop.store(true, Ordering::Relaxed),
        }
    }
}

impl Watch {
    fn new(doing: &'static str) -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} {bar:30} {percent}% {msg}, {eta} left")
        {
            bar.set_style(style);
        }
        bar.set_prefix(doing);
        Self {
            stop: Arc::new(AtomicBool::new(false)),
            bar,
            begin: Instant::now(),
        }
    }

    /// Takes note of how far the work is, and says whether it goes on.
    pub(crate) fn tell(&mut self, progress: Progress) -> ControlFlow<()> {
        self.bar.set_length(progress.total_bytes);
        self.bar.set_position(progress.bytes);
        let seconds = self.begin.elapsed().as_secs_f64().max(0.001);
        let pace = (progress.rows as f64 / seconds) as u64;
        let (rows, pace) = (count_text(progress.rows), count_text(pace));
        self.bar.set_message(format!("{rows} rows, {pace} rows/s"));
        match self.stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Makes an error what the user reads: most are of the dataset or of what was asked for.
pub(crate) fn failure(error: FilesError) -> Failure {
    match &error {
        FilesError::Stopped => Failure::interrupted(error.to_string()),
        FilesError::Write { .. } | FilesError::DatasetChanged { .. } => {
            Failure::failed_from(&error)
        }
        _ => Failure::input_from(&error),
    }
}
