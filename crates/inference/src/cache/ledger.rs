use std::collections::BTreeMap;

/// What a model takes: weights, which several may share, and what is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// Names the weights.
    pub(crate) weights: String,
    pub(crate) weights_bytes: u64,
    pub(crate) own_bytes: u64,
}

impl Charge {
    pub(crate) fn total_bytes(&self) -> u64 {
        self.weights_bytes.saturating_add(self.own_bytes)
    }
}

/// What there may be in memory at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) models: u32,
    pub(crate) bytes: Option<u64>,
}

/// What is in memory, or has leave to come there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    models: u32,
    own_bytes: u64,
    /// The users and bytes of each weights.
    weights: BTreeMap<String, (u32, u64)>,
}

impl Ledger {
    pub(crate) fn add(&mut self, charge: &Charge) {
        self.models += 1;
        self.own_bytes = self.own_bytes.saturating_add(charge.own_bytes);
        let weights = self.weights.entry(charge.weights.clone());
        weights.or_insert((0, charge.weights_bytes)).0 += 1;
    }

    /// Takes back what was added.
    pub(crate) fn remove(&mut self, charge: &Charge) {
        self.models = self.models.saturating_sub(1);
        self.own_bytes = self.own_bytes.saturating_sub(charge.own_bytes);
        if let Some((users, _)) = self.weights.get_mut(&charge.weights) {
            *users -= 1;
            if *users == 0 {
                self.weights.remove(&charge.weights);
            }
        }
    }

    /// Whether one more is within the limits.
    pub(crate) fn fits(&self, charge: &Charge, limits: Limits) -> bool {
        let mut with = self.clone();
        with.add(charge);
        with.models <= limits.models && limits.bytes.is_none_or(|limit| with.bytes() <= limit)
    }

    pub(crate) fn models(&self) -> u32 {
        self.models
    }

    /// Weights that are shared count once.
    pub(crate) fn bytes(&self) -> u64 {
        let weights = self.weights.values().map(|&(_, bytes)| bytes);
        weights.fold(self.own_bytes, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(weights: &str, weights_bytes: u64, own_bytes: u64) -> Charge {
        Charge {
            weights: weights.to_owned(),
            weights_bytes,
            own_bytes,
        }
    }

    #[test]
    fn weights_that_are_shared_count_once_and_as_long_as_somebody_uses_them() {
        let mut ledger = Ledger::default();
        ledger.add(&charge("base", 100, 10));
        ledger.add(&charge("base", 100, 20));
        assert_eq!((ledger.models(), ledger.bytes()), (2, 130));
        ledger.remove(&charge("base", 100, 10));
        assert_eq!((ledger.models(), ledger.bytes()), (1, 120));
        ledger.remove(&charge("base", 100, 20));
        assert_eq!((ledger.models(), ledger.bytes()), (0, 0));
    }

    #[test]
    fn what_fits_is_bounded_by_count_and_by_bytes() {
        let mut ledger = Ledger::default();
        ledger.add(&charge("base", 100, 10));
        let fits = |weights: &str, models, bytes| {
            ledger.fits(&charge(weights, 100, 10), Limits { models, bytes })
        };
        assert!(fits("other", 2, None));
        assert!(!fits("other", 1, None));
        assert!(fits("other", 2, Some(220)));
        assert!(!fits("other", 2, Some(219)));
        assert!(fits("base", 2, Some(120)));
        assert!(!fits("base", 2, Some(119)));
    }
}
