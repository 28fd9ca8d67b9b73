use std::num::NonZeroU32;

use parking_lot::{Condvar, Mutex};

/// Lets so many batches be decoded at once, whichever models they are for, in the order of asking.
///
/// llama.cpp's threads wait for each other by spinning: more of them than there are processors would
/// not share the processors but wait for each other's time slices. An answer gives its turn back after
/// every token, so that a long one delays the others by a token at a time.
pub(crate) struct Turns {
    at_once: u64,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Turns asked for so far.
    asked: u64,
    /// Turns that have ended.
    ended: u64,
}

/// Leave to decode a batch, until it is dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
}

impl Turns {
    pub(crate) fn new(at_once: NonZeroU32) -> Self {
        Self {
            at_once: at_once.get().into(),
            state: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Waits for a turn.
    pub(crate) fn take(&self) -> Turn<'_> {
        let mut state = self.state.lock();
        let number = state.asked;
        state.asked += 1;
        // Whoever asked before has a turn or had one: so many have not ended at most.
        self.ended
            .wait_while(&mut state, |state| number >= state.ended + self.at_once);
        Turn { turns: self }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.state.lock().ended += 1;
        self.turns.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn never_more_have_a_turn_than_may_and_all_get_one() {
        const AT_ONCE: u32 = 3;
        let turns = Turns::new(NonZeroU32::new(AT_ONCE).unwrap());
        let (now, most, taken) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let turn = turns.take();
                        let having = now.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(having, Ordering::SeqCst);
                        taken.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                        drop(turn);
                    }
                });
            }
        });
        assert_eq!(taken.load(Ordering::SeqCst), 16 * 200);
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    }

    #[test]
    fn turns_are_given_in_the_order_of_asking() {
        let turns = Turns::new(NonZeroU32::MIN);
        let order = Mutex::new(Vec::new());
        let first = turns.take();
        thread::scope(|scope| {
            for number in 1..5 {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let _turn = turns.take();
                    order.lock().push(number);
                });
                while turns.state.lock().asked <= number {
                    thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(*order.lock(), [1, 2, 3, 4]);
    }
}
