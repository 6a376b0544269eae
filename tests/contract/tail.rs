//! Reading on as the log grows.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use futures_util::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};
use permitd::{
    domain::{
        event::Event,
        plan::{KeyRules, Limits},
        reached::{PASSES_PER_WHOLE, Reached},
    },
    store::{ReadingPace, sqlite::Database},
};

use crate::backend::{Backend, Stream, beginning};

const WRITERS: i64 = 20;
const COMMITS_PER_WRITER: u64 = 15;
/// Time that goes by with each commit: all of them take longer than the window.
const STEP: SignedDuration = SignedDuration::from_secs(10);
/// The largest difference of a writer's clock, seconds.
const SKEW_S: i64 = 300;
const WINDOW: SignedDuration = SignedDuration::from_secs(1_800);

fn defined(number: u64) -> Event {
    Event::PlanDefined { limits: Limits { quota_per_day: number + 1, ..Limits::default() }, rules: KeyRules::default() }
}

/// The time after so many steps.
fn time(steps: i64) -> Timestamp {
    beginning() + STEP * i32::try_from(steps).unwrap()
}

pub(crate) async fn who_reads_on_beside_twenty_writers_with_skewed_clocks_misses_nothing<B: Backend>() {
    let backend = B::new();
    let (steps, is_over, looks) = (AtomicI64::new(0), AtomicBool::new(false), AtomicUsize::new(0));
    let writers = (0..WRITERS).map(|writer| {
        let (stores, steps) = (backend.stores_of_another_process(), &steps);
        async move {
            let mut stream = Stream::plan(&format!("w{writer}"));
            let skew = SignedDuration::from_secs(SKEW_S * (2 * writer - WRITERS + 1) / WRITERS);
            for number in 0..COMMITS_PER_WRITER {
                let at = time(steps.fetch_add(1, Ordering::Relaxed)) + skew;
                stream.write(&stores, vec![defined(number)], at).await;
            }
        }
    });
    let stores = backend.stores();
    let reader = async {
        let (mut reached, mut told, mut quiet) = (Reached::after(0), Vec::new(), 0);
        while quiet < 2 * PASSES_PER_WHOLE {
            let ended = is_over.load(Ordering::Relaxed);
            let pace = ReadingPace { now: time(steps.load(Ordering::Relaxed)), window: WINDOW, max: 20 };
            let (commits, is_all) = stores.log.read_on(&mut reached, pace).await.unwrap();
            told.extend(commits.iter().map(|commit| (commit.stream.to_string(), commit.version)));
            // Passes in which nothing new came.
            quiet = if !ended || !commits.is_empty() { 0 } else { quiet + u32::from(is_all) };
            // Now and then it starts again from what it has kept, seldom in the middle of a pass.
            let look = looks.fetch_add(1, Ordering::Relaxed);
            if (is_all && look % 3 == 0 && !ended) || look % 41 == 20 {
                let kept = serde_json::to_string(&reached).unwrap();
                reached = serde_json::from_str(&kept).unwrap();
            }
        }
        told
    };
    let writing = async {
        join_all(writers).await;
        is_over.store(true, Ordering::Relaxed);
    };
    let ((), mut told) = join(writing, reader).await;
    told.sort();
    let all = (0..WRITERS)
        .flat_map(|writer| (1..=COMMITS_PER_WRITER).map(move |version| (format!("plan#w{writer}"), version)));
    let mut all: Vec<_> = all.collect();
    all.sort();
    assert_eq!(told, all, "each commit once");
}

pub(crate) async fn who_reads_on_begins_where_they_say_and_is_told_late_commits_once<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut stream = Stream::plan("a");
    for number in 0..6 {
        stream.write(&stores, vec![defined(number)], time(number.try_into().unwrap())).await;
    }
    let all = stores.log.read(0, 10).await.unwrap();
    let pace = ReadingPace { now: time(6), window: WINDOW, max: 2 };
    let mut reached = Reached::after(all[2].position);
    let versions = async |reached: &mut Reached| {
        let mut versions = Vec::new();
        loop {
            let (commits, is_all) = stores.log.read_on(reached, pace).await.unwrap();
            versions
                .extend(commits.into_iter().map(|commit| (commit.stream.to_string(), commit.version, commit.position)));
            if is_all {
                return versions;
            }
        }
    };
    let rest: Vec<_> = all[3..].iter().map(|commit| ("plan#a".to_owned(), commit.version, commit.position)).collect();
    assert_eq!(versions(&mut reached).await, rest, "with the positions that everybody is told");
    assert_eq!(versions(&mut reached).await, []);
    // One whose clock is behind the end of what was read.
    Stream::plan("late").write(&stores, vec![defined(1)], time(4)).await;
    let mut told = Vec::new();
    for _ in 0..PASSES_PER_WHOLE {
        told.extend(versions(&mut reached).await.into_iter().map(|(stream, ..)| stream));
    }
    assert_eq!(told, ["plan#late"]);
    assert!(stores.log.moment_of(all[2].position).await.unwrap() == Some(all[2].recorded_at));
}

pub(crate) async fn who_reads_on_in_a_log_that_was_moved_is_told_its_commits_once_and_at_their_times<B: Backend>() {
    let there = B::new();
    let embedded = tempfile::tempdir().unwrap();
    let here = Database::open(embedded.path()).unwrap().stores();
    // Small positions, as those of a file are, at times of long ago and of now: the one is not taken for the other.
    let mut stream = Stream::plan("a");
    for number in 0..40_u64 {
        let at = time(i64::try_from(number).unwrap()) - SignedDuration::from_hours(24 * i64::from(number < 20));
        stream.write(&here, vec![defined(number)], at).await;
    }
    let commits = here.log.read(0, 100).await.unwrap();
    let (target, moved) = (there.stores(), commits.clone());
    actix_web::rt::task::spawn_blocking(move || {
        let mut target = target.transfer.log_target().unwrap();
        target.begin(uuid::Uuid::from_u128(1)).unwrap();
        target.put(&moved).unwrap();
        target.settle().unwrap();
        target.finish().unwrap();
    })
    .await
    .unwrap();
    let stores = there.stores();
    for commit in &commits {
        assert_eq!(stores.log.moment_of(commit.position).await.unwrap(), Some(commit.recorded_at));
    }
    let pace = ReadingPace { now: time(40), window: WINDOW, max: 7 };
    let (mut reached, mut told) = (Reached::after(commits[4].position), Vec::new());
    let mut stream = Stream { version: 40, head: commits[39].hash.unwrap(), ..stream };
    for look in 0..3 * PASSES_PER_WHOLE {
        let (commits, _) = stores.log.read_on(&mut reached, pace).await.unwrap();
        told.extend(commits.into_iter().map(|commit| (commit.version, commit.recorded_at)));
        if look == PASSES_PER_WHOLE {
            stream.write(&stores, vec![defined(41)], time(40)).await;
        }
    }
    let mut all: Vec<_> = commits[5..].iter().map(|commit| (commit.version, commit.recorded_at)).collect();
    all.push((41, time(40)));
    assert_eq!(told, all, "each once, in order");
}
