//! How fast a command goes through the log: a bar while it runs, and what it tells afterwards.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    cli::{
        Failure,
        output::{counted, grouped},
        progress,
    },
    replay::{self, Progress},
};

/// Runs a replay under a bar.
pub(super) fn under_bar<T>(
    total: u64,
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<T, replay::ReplayError>,
) -> Result<(T, Duration), Failure> {
    under_bar_of(total, work)
}

/// The same for work that has failures of its own.
pub(super) fn under_bar_of<T, E>(
    total: u64,
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<T, E>,
) -> Result<(T, Duration), Failure>
where
    Failure: From<E>,
{
    let bar = progress::bar(total, "{bar:32} {human_pos}/{human_len} commits  {msg}  {eta} left");
    let began = Instant::now();
    let done = work(&mut |progress: Progress| {
        bar.set_position(progress.commits);
        bar.set_message(format!("{} events/s", grouped(rate(progress.events, began.elapsed()))));
    });
    let took = began.elapsed();
    progress::finish(&bar);
    Ok((done?, took))
}

/// Runs something, and tells how long it took.
pub(super) fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, Duration), E> {
    let began = Instant::now();
    Ok((work()?, began.elapsed()))
}

/// Events per second.
fn rate(events: u64, took: Duration) -> u64 {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    u64::try_from(u128::from(events) * 1_000_000 / u128::from(micros)).unwrap_or(u64::MAX)
}

pub(super) fn told(progress: Progress, took: Duration) -> String {
    format!(
        "{} in {} of {}, {:.2} s, {} events/s",
        counted(progress.events, "event"),
        counted(progress.commits, "commit"),
        counted(progress.streams, "stream"),
        took.as_secs_f64(),
        grouped(rate(progress.events, took))
    )
}

pub(super) fn with_rate(progress: Progress, took: Duration, further: Value) -> Value {
    let mut document = json!(progress);
    if let (Some(fields), Value::Object(further)) = (document.as_object_mut(), further) {
        fields.insert("seconds".to_owned(), json!(took.as_secs_f64()));
        fields.insert("events_per_s".to_owned(), json!(rate(progress.events, took)));
        fields.extend(further);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!(rate(500, Duration::from_millis(250)), 2_000);
        assert_eq!(rate(500, Duration::ZERO), 500_000_000);
    }
}
