use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// What a run's random numbers are for. Each use has streams of its own under the run's one seed, so
/// that any of them can be opened again at any step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    /// The initial adapters.
    Adapters,
    /// The order of the rows in an epoch.
    Epoch(u64),
    /// Dropout in the step after so many.
    Step(u64),
}

impl Stream {
    pub(crate) fn open(self, seed: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(match self {
            Self::Adapters => 0,
            Self::Epoch(epoch) => 2 * epoch + 1,
            Self::Step(step) => 2 * step + 2,
        });
        random
    }
}

/// The order of the rows: a pure function of the seed and the step, so that a resumed run goes on
/// with exactly the rows that would have come next.
#[derive(Debug)]
pub(crate) struct Order {
    rows: usize,
    batch_size: usize,
    seed: u64,
    /// The epoch that `permutation` belongs to: computing it is linear in the rows.
    epoch: u64,
    permutation: Vec<usize>,
}

impl Order {
    pub(crate) fn new(rows: usize, batch_size: usize, seed: u64) -> Self {
        Self {
            rows,
            batch_size,
            seed,
            epoch: 0,
            permutation: permutation(rows, seed, 0),
        }
    }

    /// Returns the optimizer steps in one pass; the last of them may hold fewer rows.
    pub(crate) fn steps_per_epoch(&self) -> u64 {
        self.rows.div_ceil(self.batch_size) as u64
    }

    /// Returns the rows of the step after `taken` steps.
    pub(crate) fn batch(&mut self, taken: u64) -> &[usize] {
        let (epoch, step) = (
            taken / self.steps_per_epoch(),
            taken % self.steps_per_epoch(),
        );
        if epoch != self.epoch {
            self.permutation = permutation(self.rows, self.seed, epoch);
            self.epoch = epoch;
        }
        let start = step as usize * self.batch_size;
        &self.permutation[start..self.rows.min(start + self.batch_size)]
    }
}

/// Shuffles `0..rows` (Fisher and Yates), a stream of its own for each epoch.
fn permutation(rows: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut random = Stream::Epoch(epoch).open(seed);
    let mut order: Vec<usize> = (0..rows).collect();
    for last in (1..rows).rev() {
        // The remainder's bias is below rows / 2^64.
        order.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_visits_every_row_once_in_another_order() {
        let mut order = Order::new(10, 4, 7);
        let mut epoch = |first: u64| -> Vec<usize> {
            (first..first + 3)
                .flat_map(|step| order.batch(step).to_vec())
                .collect()
        };
        let (one, two) = (epoch(0), epoch(3));
        assert_ne!(one, two);
        assert_eq!(one, epoch(0), "going back gives the same rows");
        for mut rows in [one, two] {
            rows.sort_unstable();
            assert_eq!(rows, (0..10).collect::<Vec<_>>());
        }
    }
}
