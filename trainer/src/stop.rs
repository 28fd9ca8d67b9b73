use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Whether someone asked the process to stop (Ctrl-C, or the SIGTERM of a spot notice).
#[derive(Clone, Debug, Default)]
pub struct StopSignal {
    asked: Arc<AtomicBool>,
    /// Asked for everything that this is a part of.
    whole: Option<Arc<AtomicBool>>,
}

impl StopSignal {
    /// Begins to listen for SIGINT and SIGTERM. A second signal ends the process at once.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        let signal = Self::default();
        for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let asked = Arc::clone(&signal.asked);
            signal_hook::flag::register_conditional_shutdown(number, 130, asked)?;
            signal_hook::flag::register(number, Arc::clone(&signal.asked))?;
        }
        Ok(signal)
    }

    /// Returns a signal for a part of the work: it stops with the whole, and can stop alone.
    #[must_use]
    pub fn part(&self) -> Self {
        Self {
            asked: Arc::default(),
            whole: Some(Arc::clone(&self.asked)),
        }
    }

    /// Asks for a stop.
    pub fn request(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Returns whether a stop was asked for.
    pub fn requested(&self) -> bool {
        let whole = self.whole.as_deref();
        self.asked.load(Ordering::Relaxed) || whole.is_some_and(|it| it.load(Ordering::Relaxed))
    }
}
