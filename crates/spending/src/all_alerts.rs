use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{AlertError, AlertSink, BudgetAlert};

/// An [`AlertSink`] that tells several. An alert that one of them was not told is told again, and then only to those who do not know it.
pub struct AllAlerts {
    sinks: Vec<Arc<dyn AlertSink>>,
    /// Who knows an alert that not all know: its id, and the place in `sinks`.
    partly: Mutex<BTreeSet<(String, usize)>>,
}

impl AllAlerts {
    /// Tells all of `sinks`, in their order.
    pub fn new(sinks: Vec<Arc<dyn AlertSink>>) -> Self {
        let partly = Mutex::default();
        Self { sinks, partly }
    }
}

#[async_trait]
impl AlertSink for AllAlerts {
    async fn tell(&self, alert: &BudgetAlert) -> Result<(), AlertError> {
        let id = alert.id();
        let mut failed = None;
        for (place, sink) in self.sinks.iter().enumerate() {
            let known = (id.clone(), place);
            if self.partly.lock().contains(&known) {
                continue;
            }
            match sink.tell(alert).await {
                Ok(()) => drop(self.partly.lock().insert(known)),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => {
                let mut partly = self.partly.lock();
                partly.retain(|(other, _)| *other != id);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Fails as often as it is told to first.
    struct Counted {
        failures: AtomicU32,
        told: AtomicU32,
    }

    impl Counted {
        fn failing(times: u32) -> Arc<Self> {
            let (failures, told) = (AtomicU32::new(times), AtomicU32::new(0));
            Arc::new(Self { failures, told })
        }
    }

    #[async_trait]
    impl AlertSink for Counted {
        async fn tell(&self, _: &BudgetAlert) -> Result<(), AlertError> {
            let left = self.failures.load(Ordering::Relaxed);
            if left > 0 {
                self.failures.store(left - 1, Ordering::Relaxed);
                return Err("not now".into());
            }
            self.told.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[tokio::test]
    async fn whoever_was_told_is_not_told_again_because_of_another() {
        let (first, second) = (Counted::failing(0), Counted::failing(2));
        let all = AllAlerts::new(vec![first.clone(), second.clone()]);
        let alert = BudgetAlert::Limited {
            provider: "openai".to_owned(),
            refused: 20,
            seconds: 300,
            at_ms: 1,
        };
        assert!(all.tell(&alert).await.is_err());
        assert!(all.tell(&alert).await.is_err());
        all.tell(&alert).await.unwrap();
        let told = |sink: &Counted| sink.told.load(Ordering::Relaxed);
        assert_eq!((told(&first), told(&second)), (1, 1));
        // Once all know it, it is a new one.
        all.tell(&alert).await.unwrap();
        assert_eq!((told(&first), told(&second)), (2, 2));
    }
}
