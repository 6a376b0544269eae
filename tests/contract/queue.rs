//! The queue.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use permitd::{
    clock::ManualClock,
    queue::{
        BATCH_MAX, Depth, EventMessage, Message, Policy, Queue, QueueError,
        letters::{LetterAct, LetterFilter, grouped},
    },
};
use uuid::Uuid;

use crate::backend::{Backend, clock};

fn message(number: u128) -> Message {
    Message::V1(EventMessage {
        event: Uuid::from_u128(number),
        type_name: "UserInvited".to_owned(),
        stream: "user#0".to_owned(),
        version: 1,
        correlation_id: "ñ".to_owned(),
    })
}

/// The default visibility timeout.
const VISIBILITY: Duration = Duration::from_secs(30);

fn start<B: Backend>(backend: &B) -> (Arc<dyn Queue>, Arc<ManualClock>) {
    let clock = clock();
    (backend.queue(clock.clone(), Policy::default()), clock)
}

/// The same for a case that moves time; nothing when this backend's time cannot be moved.
fn start_with_time<B: Backend>() -> Option<(B, Arc<dyn Queue>, Arc<ManualClock>)> {
    if !B::queue_time_moves() {
        println!("skipped: the time of this queue cannot be moved");
        return None;
    }
    let backend = B::new();
    let (queue, clock) = start(&backend);
    Some((backend, queue, clock))
}

/// The shortest time that a case can rely on: what comes due that much later is not due yet.
fn moment<B: Backend>() -> Duration {
    B::queue_slack().max(Duration::from_secs(1))
}

async fn send(queue: &Arc<dyn Queue>, numbers: impl IntoIterator<Item = u128>) {
    let messages: Vec<Message> = numbers.into_iter().map(message).collect();
    for batch in messages.chunks(BATCH_MAX) {
        let sent = queue.send(batch).await.unwrap();
        assert_eq!(sent.len(), batch.len());
        assert!(sent.iter().all(Result::is_ok));
    }
}

pub(crate) async fn a_message_is_delivered_until_it_is_acknowledged<B: Backend>() {
    let Some((backend, queue, clock)) = start_with_time::<B>() else { return };
    assert!(queue.receive(10, Duration::ZERO).await.unwrap().is_empty());
    send(&queue, [1]).await;
    for receives in 1..=3 {
        let delivery = queue.receive(10, Duration::ZERO).await.unwrap().pop().expect("the message");
        assert_eq!((delivery.message().unwrap(), delivery.receives), (message(1), receives));
        assert!(queue.receive(10, Duration::ZERO).await.unwrap().is_empty(), "invisible while somebody works on it");
        assert_eq!(queue.depth().await.unwrap(), Depth { visible: 0, in_flight: 1, dead: 0 });
        backend.advance(&clock, VISIBILITY - moment::<B>());
        assert!(queue.receive(10, Duration::ZERO).await.unwrap().is_empty());
        backend.advance(&clock, moment::<B>());
        assert_eq!(queue.depth().await.unwrap(), Depth { visible: 1, in_flight: 0, dead: 0 });
    }
    let delivery = queue.receive(10, Duration::ZERO).await.unwrap().pop().expect("the message");
    assert!(queue.acknowledge(&delivery).await.unwrap());
    backend.advance(&clock, Duration::from_secs(3600));
    assert!(queue.receive(10, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

pub(crate) async fn a_heartbeat_keeps_a_message_from_others<B: Backend>() {
    let Some((backend, queue, clock)) = start_with_time::<B>() else { return };
    send(&queue, [1]).await;
    let delivery = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message");
    for _ in 0..10 {
        backend.advance(&clock, Duration::from_secs(20));
        assert!(queue.extend(&delivery).await.unwrap());
        assert!(queue.receive(1, Duration::ZERO).await.unwrap().is_empty());
    }
    backend.advance(&clock, VISIBILITY);
    assert_eq!(queue.receive(1, Duration::ZERO).await.unwrap().len(), 1, "the last heartbeat is too long ago");
}

pub(crate) async fn a_stale_receipt_changes_nothing<B: Backend>() {
    let Some((backend, queue, clock)) = start_with_time::<B>() else { return };
    send(&queue, [1]).await;
    let stale = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message");
    backend.advance(&clock, VISIBILITY);
    let fresh = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message again");
    assert_eq!((&stale.id, stale.receipt == fresh.receipt), (&fresh.id, false));
    assert!(!queue.extend(&stale).await.unwrap());
    assert!(!queue.acknowledge(&stale).await.unwrap());
    queue.fail(&stale, "too late", 0).await.unwrap();
    assert!(queue.receive(1, Duration::ZERO).await.unwrap().is_empty(), "it is still the other one's");
    assert!(queue.acknowledge(&fresh).await.unwrap());
    assert!(!queue.acknowledge(&fresh).await.unwrap(), "acknowledged once");
    assert!(!queue.extend(&fresh).await.unwrap());
}

pub(crate) async fn a_message_that_fails_five_times_dies_with_its_reason<B: Backend>() {
    let Some((backend, queue, clock)) = start_with_time::<B>() else { return };
    send(&queue, [1]).await;
    for receives in 1..=5u32 {
        let delivery = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message");
        assert_eq!(delivery.receives, receives);
        queue.fail(&delivery, &format!("failure {receives} {}", "x".repeat(5000)), 10).await.unwrap();
        backend.advance(&clock, Duration::from_secs(10) - moment::<B>());
        assert!(queue.receive(1, Duration::ZERO).await.unwrap().is_empty(), "not before its delay");
        backend.advance(&clock, moment::<B>());
    }
    assert!(queue.receive(1, Duration::ZERO).await.unwrap().is_empty());
    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!((letters.len(), letters[0].receives), (1, 5));
    assert!(letters[0].reason.starts_with("failure 5") && letters[0].reason.chars().count() <= 1000);
    assert!(letters[0].died_at > letters[0].sent_at);
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 0, in_flight: 0, dead: 1 });
}

pub(crate) async fn a_message_whose_consumers_crash_dies_too<B: Backend>() {
    let Some((backend, queue, clock)) = start_with_time::<B>() else { return };
    send(&queue, [1, 2]).await;
    for _ in 0..5 {
        let deliveries = queue.receive(2, Duration::ZERO).await.unwrap();
        assert_eq!(deliveries.len(), 2);
        queue.fail(&deliveries[1], "a reason", 30).await.unwrap();
        backend.advance(&clock, VISIBILITY);
    }
    assert!(queue.receive(2, Duration::ZERO).await.unwrap().is_empty());
    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().any(|letter| letter.reason.contains("never answered")), "{letters:?}");
}

pub(crate) async fn a_message_that_is_put_off_comes_again_as_new<B: Backend>() {
    let Some((backend, queue, clock)) = start_with_time::<B>() else { return };
    send(&queue, [1]).await;
    // More often than it may be received, and for longer than SQS delays a message.
    for (times, delay_s) in (0..7).zip([60, 120, 300, 1800, 60, 60, 60]) {
        let delivery = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message");
        assert_eq!((delivery.receives, delivery.put_off(), delivery.message().unwrap()), (1, times, message(1)));
        assert!(queue.postpone(&delivery, delay_s).await.unwrap());
        assert!(!queue.postpone(&delivery, delay_s).await.unwrap(), "it is not ours any more");
        let mut left = Duration::from_secs(delay_s.into()) - 2 * moment::<B>();
        while !left.is_zero() {
            let step = left.min(Duration::from_secs(600));
            backend.advance(&clock, step);
            left -= step;
            assert!(queue.receive(1, Duration::ZERO).await.unwrap().is_empty(), "not before its delay");
        }
        // What waits for longer than SQS delays a message is a hop late at most.
        backend.advance(&clock, 2 * moment::<B>());
        if queue.depth().await.unwrap().visible == 0 {
            backend.advance(&clock, Duration::from_secs(900));
        }
    }
    let delivery = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message");
    queue.bury(&delivery, "given up").await.unwrap();
    let letter = queue.dead_letters(10).await.unwrap().pop().expect("a dead letter");
    assert_eq!((letter.receives, letter.reason.as_str()), (1, "given up"));
    queue.redrive(&letter.id).await.unwrap();
    let delivery = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message");
    assert_eq!((delivery.receives, delivery.put_off(), delivery.message().unwrap()), (1, 0, message(1)));
    assert!(queue.acknowledge(&delivery).await.unwrap());
    queue.bury(&delivery, "too late").await.unwrap();
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

pub(crate) async fn a_dead_letter_is_redriven_as_new<B: Backend>() {
    let Some((backend, queue, clock)) = start_with_time::<B>() else { return };
    send(&queue, [1]).await;
    for _ in 0..5 {
        let delivery = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message");
        queue.fail(&delivery, "no", 0).await.unwrap();
    }
    let letter = queue.dead_letters(10).await.unwrap().pop().expect("a dead letter");
    queue.redrive(&letter.id).await.unwrap();
    let again = queue.redrive(&letter.id).await;
    assert!(matches!(again, Err(QueueError::NoDeadLetter(_))), "{again:?}");
    assert!(queue.dead_letters(10).await.unwrap().is_empty());
    let delivery = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message");
    assert_eq!((delivery.receives, delivery.message().unwrap()), (1, message(1)));
    backend.advance(&clock, VISIBILITY);
    assert_eq!(queue.receive(1, Duration::ZERO).await.unwrap()[0].receives, 2);
}

pub(crate) async fn dead_letters_are_settled_in_bulk<B: Backend>() {
    let Some((_backend, queue, _)) = start_with_time::<B>() else { return };
    send(&queue, 1..=6).await;
    let mut left = 6;
    while left > 0 {
        for delivery in queue.receive(10, Duration::ZERO).await.unwrap() {
            let Message::V1(event) = delivery.message().unwrap();
            let reason = if event.event.as_u128() <= 4 { "550 refused" } else { "the disk is full" };
            queue.bury(&delivery, reason).await.unwrap();
            left -= 1;
        }
    }
    let of = |reason: &str| LetterFilter { reason: Some(reason.to_owned()), ..LetterFilter::default() };
    let found = queue.find_dead(&of("refused"), 3).await.unwrap();
    assert_eq!((found.letters.len(), found.matching, found.is_whole), (3, 4, true));
    let all = queue.find_dead(&LetterFilter::default(), 100).await.unwrap();
    let groups: Vec<(String, u64)> =
        grouped(&all.letters).into_iter().map(|group| (group.reason, group.count)).collect();
    assert_eq!(groups, [("550 refused".to_owned(), 4), ("the disk is full".to_owned(), 2)]);
    let typed = |name: &str| LetterFilter { type_name: Some(name.to_owned()), ..LetterFilter::default() };
    assert_eq!(queue.find_dead(&typed("UserInvited"), 100).await.unwrap().matching, 6);
    assert_eq!(queue.find_dead(&typed("UserDeleted"), 100).await.unwrap().matching, 0);
    let early = LetterFilter { died_until: Some(jiff::Timestamp::UNIX_EPOCH), ..LetterFilter::default() };
    assert_eq!(queue.find_dead(&early, 100).await.unwrap().matching, 0);

    let mut ids: Vec<String> = found.letters.iter().map(|letter| letter.id.clone()).collect();
    ids.push("00000000-0000-7000-8000-000000000000".to_owned());
    let mut sent = queue.settle_dead(LetterAct::Redrive, &ids).await.unwrap();
    assert_eq!((sent.sort(), ids.pop(), ids.sort()), ((), Some("00000000-0000-7000-8000-000000000000".to_owned()), ()));
    assert_eq!(sent, ids, "those that were there");
    let full = queue.find_dead(&of("full"), 100).await.unwrap();
    queue.discard(&full.letters[0].id).await.unwrap();
    let again = queue.discard(&full.letters[0].id).await;
    assert!(matches!(again, Err(QueueError::NoDeadLetter(_))), "{again:?}");
    let one = [full.letters[1].id.clone()];
    assert_eq!(queue.settle_dead(LetterAct::Discard, &one).await.unwrap(), one);
    assert_eq!(queue.find_dead(&LetterFilter::default(), 100).await.unwrap().matching, 1);
    let mut received = 0;
    while received < 3 {
        received += queue.receive(10, Duration::ZERO).await.unwrap().len();
    }
    assert_eq!(received, 3, "what was discarded is not received again");
}

pub(crate) async fn what_is_too_old_expires<B: Backend>() {
    let Some((backend, queue, clock)) = start_with_time::<B>() else { return };
    send(&queue, [1]).await;
    for _ in 0..5 {
        let delivery = queue.receive(1, Duration::ZERO).await.unwrap().pop().expect("the message");
        queue.fail(&delivery, "no", 0).await.unwrap();
    }
    send(&queue, [2]).await;
    backend.advance(&clock, Duration::from_secs(14 * 86_400) - B::queue_slack());
    send(&queue, [3]).await;
    assert_eq!(queue.expire().await.unwrap(), 0, "fourteen days are not over fourteen days");
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 2, in_flight: 0, dead: 1 });
    backend.advance(&clock, B::queue_slack() + Duration::from_secs(1));
    let removed = if B::queue_expires_by_itself() { 0 } else { 2 };
    assert_eq!(queue.expire().await.unwrap(), removed);
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 1, in_flight: 0, dead: 0 });
    assert_eq!(queue.receive(10, Duration::ZERO).await.unwrap()[0].message().unwrap(), message(3));
}

pub(crate) async fn many_consumers_share_the_messages<B: Backend>() {
    let backend = B::new();
    let (queue, _) = start(&backend);
    send(&queue, 0..200).await;
    let consumers = (0..8).map(|_| {
        let queue = Arc::clone(&queue);
        async move {
            let mut seen = Vec::new();
            loop {
                let deliveries = queue.receive(7, Duration::ZERO).await.unwrap();
                assert!(deliveries.len() <= 7);
                if deliveries.is_empty() {
                    return seen;
                }
                for delivery in deliveries {
                    assert!(queue.acknowledge(&delivery).await.unwrap());
                    let Message::V1(message) = delivery.message().unwrap();
                    seen.push(message.event);
                }
            }
        }
    });
    let seen: Vec<Uuid> = join_all(consumers).await.concat();
    let distinct: BTreeSet<Uuid> = seen.iter().copied().collect();
    assert_eq!((seen.len(), distinct.len()), (200, 200), "each once, while nobody is slow");
}
