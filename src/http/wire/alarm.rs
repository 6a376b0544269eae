//! A connection's one timer.

use std::{pin::Pin, task::Context, time::Instant};

use actix_web::rt::time::{Sleep, sleep_until};

/// Wakes a connection's task at a moment. It is made when it is needed first, and set anew only when it fires too early: what
/// is waited for comes mostly, and then the next wait is for something else.
#[derive(Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether the deadline is over. If not, the task is woken then.
    pub(super) fn is_over(&mut self, context: &mut Context<'_>, deadline: Instant) -> bool {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if timer.deadline() > deadline.into() {
            timer.as_mut().reset(deadline.into());
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            // It was set for something that has come meanwhile.
            timer.as_mut().reset(deadline.into());
        }
        false
    }
}
