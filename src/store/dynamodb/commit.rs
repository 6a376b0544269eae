//! A commit as an item of the `events` table, and its place in the whole log.
//!
//! | attribute | holds |
//! |---|---|
//! | `s`, `v` | stream, version |
//! | `c`, `h` | command, hash of the request |
//! | `e` | the encoded events |
//! | `t` | the microsecond of its position, since the Unix epoch: the writer's time, unless the commit was moved here |
//! | `at` | the writer's time, where it differs from `t` |
//! | `n` | what tells it from its writer's other commits of the same microsecond |
//! | `f` | slice of the feed |
//! | `ob` | shard of the outbox, only while the commit is marked |
//! | `p` | 1 if messages follow from it |
//! | `x` | the hash of the stream up to and with it |
//!
//! A position is the microseconds since 2020 followed by 13 bits of `n`. If two writers choose the same `n` in the same
//! microsecond, readers give the later commit, by stream and version, the next free position. All commits of a microsecond are read
//! together, so that all readers agree.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::{
    Dynamo, SORT_KEY_BYTES_MAX,
    item::{
        self, Item, binary, find_binary, find_moment, find_number, find_text, get_moment, get_number, get_text, number,
        text,
    },
};
use crate::{
    domain::{
        chain::ChainHash,
        id::{CommandId, StreamId},
        persisted::StoredCommit,
    },
    store::{Append, StoreError},
};

/// Slices of the feed: each takes a thousand commits per second.
pub(super) const SLICES: u32 = 8;
/// Shards of the outbox.
pub(super) const SHARDS: u32 = 4;
/// The longest name of a stream, bytes: keys contain it, and so do names derived from it.
pub(super) const STREAM_BYTES_MAX: usize = SORT_KEY_BYTES_MAX;
/// Values of `n` that writers use. Readers give out the others.
const TIES: u16 = 1 << (TIE_BITS - 1);

/// Bits of a position below its microsecond.
const TIE_BITS: u32 = 13;
/// 2020-01-01, microseconds since the Unix epoch: where positions begin.
const EPOCH_US: i64 = 1_577_836_800_000_000;
/// Microseconds that positions can express: 71 years.
const SPAN_US: i64 = 1 << (63 - TIE_BITS + 1);

impl Dynamo {
    /// The tie-breaker of the next commit.
    pub(super) fn next_tie(&self) -> u16 {
        self.ties.fetch_add(1, Ordering::Relaxed) % TIES
    }
}

/// The slice of the feed for a stream's commits.
fn slice(stream: &str) -> String {
    (crc32fast::hash(stream.as_bytes()) % SLICES).to_string()
}

/// The shard of the outbox for a stream's marked commits.
fn shard(stream: &str) -> String {
    (crc32fast::hash(stream.as_bytes()) / SLICES % SHARDS).to_string()
}

/// The first position of a microsecond. Moments outside the range get its nearest end, such as 2020.
pub(super) fn position_of(us: i64) -> u64 {
    let since = us.saturating_sub(EPOCH_US).clamp(0, SPAN_US - 1);
    u64::try_from(since).unwrap_or(0) << TIE_BITS
}

/// The microsecond of a position, since the Unix epoch.
pub(super) fn microsecond_of(position: u64) -> i64 {
    i64::try_from(position >> TIE_BITS).unwrap_or(SPAN_US).saturating_add(EPOCH_US)
}

/// The item of a commit, with its mark.
///
/// # Errors
/// When DynamoDB cannot store it: it is too large, or its moment has no position.
pub(super) fn to_item(append: &Append, version: u64, tie: u16) -> Result<Item, StoreError> {
    let stream = append.stream.to_string();
    let us = append.recorded_at.as_microsecond();
    if !(EPOCH_US..EPOCH_US + SPAN_US).contains(&us) {
        let at = append.recorded_at;
        return Err(StoreError::Limit(format!(
            "a commit of {at} has no place in the log, which holds 2020 to 2091: set this machine's clock"
        )));
    }
    check_name(&stream)?;
    let mut commit = item::item([
        ("v", number(version)),
        ("c", text(append.command.as_str())),
        ("e", text(append.events.as_str())),
        ("t", number(us)),
        ("n", number(tie)),
        ("f", text(slice(&stream))),
        ("ob", text(shard(&stream))),
        ("x", binary(append.hash().as_bytes())),
    ]);
    item::put_some(&mut commit, "h", append.request_hash.as_deref().map(text));
    item::put_some(&mut commit, "p", append.publishes.then(|| number(1)));
    let what = format!("the commit of version {version} of {stream}");
    commit.insert("s".to_owned(), text(stream));
    item::check_size(&what, &commit)?;
    Ok(commit)
}

/// The item of a commit that is moved here, with the position that it had.
///
/// # Errors
/// When DynamoDB cannot store it: it is too large.
pub(super) fn moved_item(moved: &StoredCommit) -> Result<Item, StoreError> {
    let stream = moved.stream.to_string();
    check_name(&stream)?;
    let (us, recorded_us) = (microsecond_of(moved.position), moved.recorded_at.as_microsecond());
    let mut commit = item::item([
        ("v", number(moved.version)),
        ("c", text(moved.command.as_str())),
        ("e", text(moved.events.as_str())),
        ("t", number(us)),
        ("n", number(moved.position % (1 << TIE_BITS))),
        ("f", text(slice(&stream))),
    ]);
    item::put_some(&mut commit, "at", (us != recorded_us).then(|| number(recorded_us)));
    item::put_some(&mut commit, "h", moved.request_hash.as_deref().map(text));
    item::put_some(&mut commit, "ob", moved.marked.then(|| text(shard(&stream))));
    item::put_some(&mut commit, "x", moved.hash.map(|hash| binary(hash.as_bytes())));
    let what = format!("the commit of version {} of {stream}", moved.version);
    commit.insert("s".to_owned(), text(stream));
    item::check_size(&what, &commit)?;
    Ok(commit)
}

fn check_name(stream: &str) -> Result<(), StoreError> {
    let bytes = stream.len();
    if bytes <= STREAM_BYTES_MAX {
        return Ok(());
    }
    Err(StoreError::Limit(format!(
        "a stream's name of {bytes} bytes; at most {STREAM_BYTES_MAX}: choose a shorter name"
    )))
}

/// Reads an item. The position is that of the commit alone; [`in_order`] corrects it for commits that are read together.
pub(super) fn from_item(item: &Item) -> Result<StoredCommit, StoreError> {
    let us: i64 = get_number(item, "t")?;
    let recorded_at = match find_moment(item, "at")? {
        Some(recorded_at) => recorded_at,
        None => get_moment(item, "t")?,
    };
    let tie: u16 = find_number(item, "n")?.unwrap_or(0);
    Ok(StoredCommit {
        stream: StreamId::parse(get_text(item, "s")?).map_err(|error| item::damaged("s", error))?,
        version: get_number(item, "v")?,
        position: position_of(us) + u64::from(tie),
        command: CommandId::stored(get_text(item, "c")?),
        request_hash: find_text(item, "h")?.map(ToOwned::to_owned),
        recorded_at,
        // Events that are no text become one that no decoder takes, so that they concern their own stream only.
        events: find_text(item, "e").ok().flatten().unwrap_or("no text").to_owned(),
        marked: item.contains_key("ob"),
        hash: find_binary(item, "x")?.map(hash).transpose()?,
    })
}

fn hash(bytes: &[u8]) -> Result<ChainHash, StoreError> {
    let bytes = bytes.try_into().map_err(|_| item::damaged("x", "it is not 32 bytes long"))?;
    Ok(ChainHash::from_bytes(bytes))
}

/// Sorts all commits of one microsecond, and gives each a position of its own.
///
/// # Errors
/// When there are more commits than a microsecond has positions.
pub(super) fn in_order(commits: &mut [StoredCommit]) -> Result<(), StoreError> {
    commits.sort_by(|a, b| (a.position, &a.stream, a.version).cmp(&(b.position, &b.stream, b.version)));
    let mut free = 0;
    for commit in commits {
        let us = microsecond_of(commit.position);
        commit.position = commit.position.max(free);
        free = commit.position.saturating_add(1);
        if microsecond_of(commit.position) != us {
            let (at, most) = (Timestamp::from_microsecond(us).unwrap_or(commit.recorded_at), 1u32 << TIE_BITS);
            return Err(StoreError::Limit(format!("more than {most} commits of the microsecond {at}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::store::PersonalChange;

    fn append(us: i64) -> Append {
        Append {
            stream: StreamId::Plan("p".to_owned()),
            expected_version: 0,
            previous: ChainHash::START,
            command: CommandId::stored("idem:1"),
            request_hash: Some("hash".to_owned()),
            recorded_at: Timestamp::from_microsecond(us).unwrap(),
            events: "[]".to_owned(),
            secret: None,
            administrators: None,
            claims: Vec::new(),
            personal: PersonalChange::Keep,
            rows: Default::default(),
            publishes: true,
        }
    }

    fn commit(us: i64, tie: u16, version: u64) -> StoredCommit {
        from_item(&to_item(&append(us), version, tie).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn a_later_microsecond_has_later_positions(a in EPOCH_US..EPOCH_US + SPAN_US, b in EPOCH_US..EPOCH_US + SPAN_US, n in 0..TIES, m in 0..TIES) {
            let (a, b) = (commit(a, n, 1), commit(b, m, 1));
            prop_assert_eq!(microsecond_of(a.position), a.recorded_at.as_microsecond());
            let (left, right) = ((a.recorded_at, n), (b.recorded_at, m));
            prop_assert_eq!(a.position.cmp(&b.position), left.cmp(&right));
        }

        #[test]
        fn commits_of_one_microsecond_get_positions_of_their_own(ties in proptest::collection::vec(0..40u16, 1..60)) {
            let at = EPOCH_US + 7;
            let mut commits: Vec<_> = ties.iter().zip(1..).map(|(tie, version)| commit(at, *tie, version)).collect();
            let mut again = commits.clone();
            again.reverse();
            in_order(&mut commits).unwrap();
            in_order(&mut again).unwrap();
            prop_assert!(commits.is_sorted_by(|a, b| a.position < b.position));
            prop_assert!(commits.iter().all(|commit| microsecond_of(commit.position) == at));
            prop_assert_eq!(commits, again, "whoever reads them gives them the same");
        }
    }

    #[test]
    fn an_item_reads_back() {
        let read = commit(EPOCH_US, 3, 9);
        let appended = append(EPOCH_US);
        assert_eq!((read.stream, read.version, read.position), (appended.stream, 9, 3));
        assert_eq!((read.command, read.request_hash), (appended.command, appended.request_hash));
        assert_eq!((read.recorded_at, read.events, read.marked), (appended.recorded_at, appended.events, true));
    }

    proptest! {
        #[test]
        fn a_moved_commit_keeps_its_position_and_its_time(position: u64, us in -1_000_000_000_000_000i64..4_000_000_000_000_000, marked: bool) {
            let mut moved = commit(EPOCH_US, 3, 9);
            (moved.position, moved.recorded_at, moved.marked) = (position, Timestamp::from_microsecond(us).unwrap(), marked);
            prop_assert_eq!(from_item(&moved_item(&moved).unwrap()).unwrap(), moved);
        }
    }

    #[test]
    fn more_commits_than_a_microsecond_has_positions_are_refused() {
        let mut commits: Vec<_> = (1..=8193).map(|version| commit(EPOCH_US, 0, version)).collect();
        in_order(&mut commits[1..]).unwrap();
        assert!(in_order(&mut commits).unwrap_err().to_string().contains("8192"));
    }

    #[test]
    fn what_dynamodb_would_refuse_is_refused_before() {
        let refused = |append: Append| to_item(&append, 1, 0).unwrap_err().to_string();
        assert!(refused(append(EPOCH_US - 1)).contains("clock"));
        assert!(refused(append(EPOCH_US + SPAN_US)).contains("2020 to 2091"));
        let large = refused(Append { events: "x".repeat(401 * 1024), ..append(EPOCH_US) });
        assert!(large.contains("version 1 of plan#p") && large.contains("409600"), "{large}");
        assert!(refused(Append { stream: StreamId::Plan("x".repeat(1020)), ..append(EPOCH_US) }).contains("1024"));
    }

    #[test]
    fn streams_spread_over_slices_and_shards() {
        let streams: Vec<String> = (0..1000u32).map(|number| format!("user#{number}")).collect();
        for which in 0..SLICES {
            assert!(streams.iter().filter(|stream| slice(stream) == which.to_string()).count() > 60);
        }
        for which in 0..SHARDS {
            let both = |stream: &&String| slice(stream) == "0" && shard(stream) == which.to_string();
            assert!(streams.iter().filter(both).count() > 10, "each shard has streams of each slice");
        }
    }
}
