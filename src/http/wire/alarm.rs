//! A connection's one timer.

use std::{pin::Pin, task::Context, time::Instant};

use actix_web::rt::time::{Sleep, sleep_until};

/// Wakes a connection's task at a deadline. The timer is created on first use, and reset for a later deadline only when it fires too
/// early: most waits end before their deadline.
#[derive(Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether the deadline has passed. If not, wakes the task at the deadline.
    pub(super) fn is_over(&mut self, context: &mut Context<'_>, deadline: Instant) -> bool {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if timer.deadline() > deadline.into() {
            timer.as_mut().reset(deadline.into());
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            // The timer was set for an earlier wait that has ended.
            timer.as_mut().reset(deadline.into());
        }
        false
    }
}
