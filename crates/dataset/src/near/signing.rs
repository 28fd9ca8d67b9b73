use std::{ops::Range, thread};

use llmopt_domain::Conversation;

use super::{Signature, words::Shingles};

/// Shingles that wait to be signed, about. So many take some ten milliseconds, beside which the start of a
/// thread is nothing, and half a megabyte.
const BATCH: usize = 1 << 17;

/// Fewer shingles are signed sooner than a thread starts.
const ALONE: usize = 1 << 12;

/// Signs rows, some hundreds at once, on all processors.
#[derive(Debug, Default)]
pub(super) struct Signing {
    words: Shingles,
    waiting: Waiting,
    done: Vec<Signature>,
}

/// Rows that are not signed yet.
#[derive(Debug, Default)]
struct Waiting {
    shingles: Vec<u32>,
    /// Where each row's are.
    rows: Vec<Range<usize>>,
}

impl Signing {
    pub(super) fn add(&mut self, conversation: &Conversation) {
        let shingles = &mut self.waiting.shingles;
        let first = shingles.len();
        self.words.append(conversation, shingles);
        self.waiting.rows.push(first..shingles.len());
        if shingles.len() >= BATCH {
            self.sign_waiting();
        }
    }

    /// Returns the signatures in the order of the rows.
    pub(super) fn finish(mut self) -> Vec<Signature> {
        self.sign_waiting();
        self.done
    }

    fn sign_waiting(&mut self) {
        let threads = match self.waiting.shingles.len() {
            ..ALONE => 1,
            _ => thread::available_parallelism().map_or(1, Into::into),
        };
        let first = self.done.len();
        let count = first + self.waiting.rows.len();
        self.done.resize(count, Signature::default());
        self.waiting.sign(&mut self.done[first..], threads);
        self.waiting.shingles.clear();
        self.waiting.rows.clear();
    }
}

impl Waiting {
    fn sign(&self, signatures: &mut [Signature], threads: usize) {
        if threads == 1 {
            return self.sign_rows(&self.rows, signatures);
        }
        let share = self.rows.len().div_ceil(threads).max(1);
        let shares = self.rows.chunks(share).zip(signatures.chunks_mut(share));
        thread::scope(|scope| {
            for (rows, signatures) in shares {
                scope.spawn(|| self.sign_rows(rows, signatures));
            }
        });
    }

    fn sign_rows(&self, rows: &[Range<usize>], signatures: &mut [Signature]) {
        for (row, signature) in rows.iter().zip(signatures) {
            *signature = Signature::of(&self.shingles[row.clone()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_threads_gives_the_same_signatures() {
        let mut waiting = Waiting::default();
        for row in 0..50_u32 {
            let first = waiting.shingles.len();
            waiting
                .shingles
                .extend((0..row % 7 + 1).map(|i| row * 100 + i));
            waiting.rows.push(first..waiting.shingles.len());
        }
        let signed = |threads| {
            let mut signatures = vec![Signature::default(); 50];
            waiting.sign(&mut signatures, threads);
            signatures
        };
        let alone = signed(1);
        assert!(!alone.contains(&Signature::default()));
        for threads in [2, 3, 49, 50, 64] {
            assert_eq!(signed(threads), alone);
        }
    }

    #[test]
    fn batches_leave_no_trace() {
        let row = |i: u32| Conversation::from_pair(format!("{i} ").repeat(9_000), "x");
        let mut signing = Signing::default();
        for i in 0..33 {
            signing.add(&row(i));
            assert!(signing.waiting.shingles.len() < BATCH);
        }
        let signatures = signing.finish();
        assert_eq!(signatures.len(), 33);
        for i in [0, 14, 15, 29, 32] {
            let mut alone = Signing::default();
            alone.add(&row(i));
            assert_eq!(alone.finish()[0], signatures[i as usize], "row {i}");
        }
    }
}
