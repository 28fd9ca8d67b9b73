use std::{collections::BTreeSet, num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use super::root;
use crate::{Delivery, MessageQueue, QueueDepth, Receipt, StorageError};

/// Opens the queue that lives below a folder, with how often a message is handed out at most; opening
/// it twice is another process, or a restart.
pub type OpenQueue = fn(&Path, NonZeroU32) -> Arc<dyn MessageQueue>;

/// A queue under test and what it can do.
#[derive(Clone, Copy)]
pub struct QueueSubject {
    /// Opens the queue.
    pub open: OpenQueue,
    /// The shortest time for which it can hide a message.
    pub shortest: Duration,
}

/// Generates the suite of [`MessageQueue`] as tests of the calling module; `$subject` is a
/// [`QueueSubject`](crate::conformance::QueueSubject).
#[macro_export]
macro_rules! message_queue_conformance {
    ($subject:expr) => {
        $crate::conformance_cases!($subject;
            a_received_message_is_hidden_and_comes_back
            an_acknowledged_message_never_comes_back
            a_receipt_of_an_earlier_delivery_changes_nothing
            a_message_is_hidden_for_as_long_as_it_is_extended
            a_message_that_is_given_back_is_received_at_once
            each_of_a_hundred_messages_has_one_receiver
            exactly_one_of_a_hundred_concurrent_receives_gets_the_message
            a_message_that_is_never_acknowledged_becomes_a_dead_letter
            a_message_that_is_buried_is_a_dead_letter_at_once
            burying_with_a_receipt_of_an_earlier_delivery_does_nothing
            dead_letters_are_told_from_the_oldest_on
            a_restart_keeps_every_message
            a_queue_counts_what_waits_what_is_taken_and_what_is_dead
        );
    };
}

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(600);
const FIVE: NonZeroU32 = NonZeroU32::new(5).expect("5 is not 0");

async fn receive(queue: &Arc<dyn MessageQueue>, hidden: Duration) -> Option<Delivery> {
    let received = queue.receive(hidden).await;
    received.expect("a queue can be received from")
}

async fn acknowledge(queue: &Arc<dyn MessageQueue>, receipt: &Receipt) {
    let done = queue.acknowledge(receipt).await;
    done.expect("acknowledging succeeds always");
}

/// What nobody acknowledges is received again, and counted.
pub async fn a_received_message_is_hidden_and_comes_back(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    assert_eq!(receive(&queue, LONG).await, None);
    queue.send("it's {a} message 🦀").await.expect("sent");
    for receives in 1..=3 {
        let delivery = receive(&queue, subject.shortest).await.expect("visible");
        assert_eq!(delivery.body, "it's {a} message 🦀");
        assert_eq!(delivery.receives, receives);
        assert_eq!(receive(&queue, LONG).await, None, "it is hidden");
        sleep(subject.shortest * 2).await;
    }
}

/// Done is done.
pub async fn an_acknowledged_message_never_comes_back(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    queue.send("a").await.expect("sent");
    let delivery = receive(&queue, subject.shortest).await.expect("visible");
    acknowledge(&queue, &delivery.receipt).await;
    acknowledge(&queue, &delivery.receipt).await;
    let extended = queue.extend(&delivery.receipt, LONG).await;
    assert!(
        matches!(extended, Err(StorageError::Conflict { .. })),
        "{extended:?}"
    );
    sleep(subject.shortest * 2).await;
    assert_eq!(receive(&queue, LONG).await, None);
    assert_eq!(queue.dead_letters(9).await.expect("read"), [""; 0]);
}

/// Who was too slow has lost the message to the next.
pub async fn a_receipt_of_an_earlier_delivery_changes_nothing(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    queue.send("a").await.expect("sent");
    let slow = receive(&queue, subject.shortest).await.expect("visible");
    sleep(subject.shortest * 2).await;
    let next = receive(&queue, subject.shortest * 4)
        .await
        .expect("visible again");
    let extended = queue.extend(&slow.receipt, LONG).await;
    assert!(
        matches!(extended, Err(StorageError::Conflict { .. })),
        "{extended:?}"
    );
    acknowledge(&queue, &slow.receipt).await;
    acknowledge(&queue, &Receipt("no receipt".to_owned())).await;
    sleep(subject.shortest * 5).await;
    let last = receive(&queue, LONG)
        .await
        .expect("the slow one did not take it out");
    assert_eq!(last.receives, next.receives + 1);
}

/// A heartbeat keeps a message.
pub async fn a_message_is_hidden_for_as_long_as_it_is_extended(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    queue.send("a").await.expect("sent");
    let delivery = receive(&queue, subject.shortest).await.expect("visible");
    let extended = queue.extend(&delivery.receipt, LONG).await;
    extended.expect("it is still ours");
    sleep(subject.shortest * 2).await;
    assert_eq!(receive(&queue, LONG).await, None);
}

/// Zero ends the hiding.
pub async fn a_message_that_is_given_back_is_received_at_once(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    queue.send("a").await.expect("sent");
    let first = receive(&queue, LONG).await.expect("visible");
    let given = queue.extend(&first.receipt, Duration::ZERO).await;
    given.expect("it is still ours");
    let second = receive(&queue, LONG).await.expect("visible at once");
    assert_eq!((second.body.as_str(), second.receives), ("a", 2));
}

/// Receivers share the work.
pub async fn each_of_a_hundred_messages_has_one_receiver(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    for number in 0..100 {
        queue.send(&format!("{number:02}")).await.expect("sent");
    }
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let queue = (subject.open)(root.path(), FIVE);
        tasks.spawn(async move {
            let mut mine = Vec::new();
            while let Some(delivery) = receive(&queue, LONG).await {
                acknowledge(&queue, &delivery.receipt).await;
                mine.push(delivery.body);
            }
            mine
        });
    }
    let received: Vec<String> = tasks.join_all().await.concat();
    assert_eq!(received.len(), 100);
    assert_eq!(BTreeSet::from_iter(received).len(), 100);
}

/// A message has one receiver at a time.
pub async fn exactly_one_of_a_hundred_concurrent_receives_gets_the_message(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    queue.send("a").await.expect("sent");
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let queue = (subject.open)(root.path(), FIVE);
        tasks.spawn(async move { receive(&queue, LONG).await });
    }
    let received = tasks.join_all().await.into_iter().flatten().count();
    assert_eq!(received, 1);
}

/// A poisoned message ends apart from the others.
pub async fn a_message_that_is_never_acknowledged_becomes_a_dead_letter(subject: QueueSubject) {
    let root = root();
    let two = NonZeroU32::new(2).expect("2 is not 0");
    let queue = (subject.open)(root.path(), two);
    queue.send("poison").await.expect("sent");
    for receives in 1..=2 {
        let delivery = receive(&queue, LONG).await.expect("visible");
        assert_eq!(delivery.receives, receives);
        assert_eq!(queue.dead_letters(9).await.expect("read"), [""; 0]);
        let given = queue.extend(&delivery.receipt, Duration::ZERO).await;
        given.expect("it is still ours");
    }
    queue.send("sound").await.expect("sent");
    let delivery = receive(&queue, LONG).await.expect("visible");
    assert_eq!(delivery.body, "sound");
    assert_eq!(receive(&queue, LONG).await, None);
    assert_eq!(queue.dead_letters(9).await.expect("read"), ["poison"]);
    assert_eq!(queue.dead_letters(0).await.expect("read"), [""; 0]);
}

/// What nobody can do is out of the way.
pub async fn a_message_that_is_buried_is_a_dead_letter_at_once(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    queue.send("poison").await.expect("sent");
    let delivery = receive(&queue, subject.shortest).await.expect("visible");
    queue.bury(&delivery).await.expect("it is still ours");
    sleep(subject.shortest * 2).await;
    assert_eq!(receive(&queue, LONG).await, None);
    assert_eq!(queue.dead_letters(9).await.expect("read"), ["poison"]);
}

/// Who was too slow does not decide what becomes of the message.
pub async fn burying_with_a_receipt_of_an_earlier_delivery_does_nothing(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    queue.send("a").await.expect("sent");
    let slow = receive(&queue, subject.shortest).await.expect("visible");
    sleep(subject.shortest * 2).await;
    let next = receive(&queue, LONG).await.expect("visible again");
    queue.bury(&slow).await.expect("there is nothing to do");
    assert_eq!(queue.dead_letters(9).await.expect("read"), [""; 0]);
    let extended = queue.extend(&next.receipt, LONG).await;
    extended.expect("it is still the next one's");
    acknowledge(&queue, &next.receipt).await;
    queue.bury(&next).await.expect("there is nothing to do");
    assert_eq!(queue.dead_letters(9).await.expect("read"), [""; 0]);
}

/// Dead letters have an order, and looking at them changes nothing.
pub async fn dead_letters_are_told_from_the_oldest_on(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    let letters = ["first", "second", "third"];
    for letter in letters {
        queue.send(letter).await.expect("sent");
        let delivery = receive(&queue, LONG).await.expect("visible");
        queue.bury(&delivery).await.expect("it is still ours");
        // Technologies tell apart what is some milliseconds apart.
        sleep(Duration::from_millis(20)).await;
    }
    for limit in [3, 1, 2, 9] {
        let expected = &letters[..letters.len().min(limit as usize)];
        assert_eq!(queue.dead_letters(limit).await.expect("read"), expected);
    }
}

/// What was acknowledged to the sender is there after a restart, and what is hidden stays so.
pub async fn a_restart_keeps_every_message(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    queue.send("hidden").await.expect("sent");
    let hidden = receive(&queue, LONG).await.expect("visible");
    queue.send("visible").await.expect("sent");
    drop(queue);
    let queue = (subject.open)(root.path(), FIVE);
    let visible = receive(&queue, LONG).await.expect("visible");
    assert_eq!(visible.body, "visible");
    assert_eq!(receive(&queue, LONG).await, None);
    acknowledge(&queue, &hidden.receipt).await;
    let extended = queue.extend(&hidden.receipt, LONG).await;
    assert!(extended.is_err(), "a receipt outlives a restart");
}

/// Every message is counted as what it is.
pub async fn a_queue_counts_what_waits_what_is_taken_and_what_is_dead(subject: QueueSubject) {
    let root = root();
    let queue = (subject.open)(root.path(), FIVE);
    let depth = async |queue: &Arc<dyn MessageQueue>| queue.depth().await.expect("counted");
    assert_eq!(depth(&queue).await, QueueDepth::default());
    for body in ["a", "b", "c", "d"] {
        queue.send(body).await.expect("sent");
    }
    let first = receive(&queue, LONG).await.expect("visible");
    let second = receive(&queue, LONG).await.expect("visible");
    queue.bury(&first).await.expect("buried");
    let counted = QueueDepth {
        waiting: 2,
        taken: 1,
        dead: 1,
    };
    assert_eq!(depth(&queue).await, counted);
    acknowledge(&queue, &second.receipt).await;
    assert_eq!(
        depth(&queue).await,
        QueueDepth {
            taken: 0,
            ..counted
        }
    );
}
