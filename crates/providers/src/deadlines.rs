use std::{future::Future, time::Duration};

use tokio::time::{Instant, timeout};

use crate::{Phase, ProviderError, Timeouts};

/// When an exchange has to be where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    started: Instant,
    timeouts: Timeouts,
}

impl Deadlines {
    /// Starts the clock.
    pub(crate) fn start(timeouts: Timeouts) -> Self {
        let started = Instant::now();
        Self { started, timeouts }
    }

    /// Starts the clock for something that has one limit only.
    pub(crate) fn of_total(total: Duration) -> Self {
        Self::start(Timeouts {
            first_byte: total,
            idle: total,
            total,
        })
    }

    /// Returns how long it has been.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for something, for as long as the phase and the whole have left.
    pub(crate) async fn wait<T>(
        &self,
        phase: Phase,
        something: impl Future<Output = T>,
    ) -> Result<T, ProviderError> {
        let Timeouts {
            first_byte,
            idle,
            total,
        } = self.timeouts;
        let elapsed = self.elapsed();
        let (of_phase, limit) = match phase {
            Phase::FirstByte => (first_byte.saturating_sub(elapsed), first_byte),
            Phase::Idle => (idle, idle),
            Phase::Connect | Phase::Total => (total, total),
        };
        let left = total.saturating_sub(elapsed);
        let (phase, limit) = match left < of_phase {
            true => (Phase::Total, total),
            false => (phase, limit),
        };
        let waited = timeout(left.min(of_phase), something).await;
        waited.map_err(|_| ProviderError::Timeout { phase, limit })
    }
}
