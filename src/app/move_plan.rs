//! What a move would be: how much there is, how long it takes, and what it costs. Reads, and changes nothing.

use super::{
    MoveError, MoveReport, MoveReports, backend, block_on,
    move_sides::name_of,
    moved_records::{DataSetSize, measure_records},
};
use crate::{
    aws::Bridge,
    clock::SharedClock,
    config::{Backend, Settings},
    domain::persisted::StoredCommit,
    queue::Depth,
    store::{LogOrder, StoreError, Stores, UserFilter},
    transfer::{TransferPhase, Transferred},
};

/// Bytes of a write request unit.
const UNIT_BYTES: u64 = 1024;
/// Bytes of a commit's item beside its events: names, keys, times, hash.
const ITEM_BYTES: u64 = 250;
/// Units of a commit beside its item: its entry in the index of all commits, and the place of a client's answer, for about every second one.
const UNITS_OF_COMMIT: u64 = 2;
/// Units of a person: the rows of the views with their copies in two indexes, the account of a few days, the personal key, two claims.
const UNITS_OF_PERSON: u64 = 12;
/// Units of a key: its row, its terms, its owner.
const UNITS_OF_KEY: u64 = 3;
/// The rates of an estimate, a second: assumed for one client and a table that takes what it is sent. Each commit is read three times, verified,
/// folded and written.
const COMMITS_OF_FILES: u64 = 30_000;
const COMMITS_OF_AWS: u64 = 2_000;
const PEOPLE_PER_SECOND: u64 = 200;
const RECORDS_PER_SECOND: u64 = 3_000;
/// People of a page.
const PEOPLE_PAGE: usize = 500;

/// An estimate of a move.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MoveEstimate {
    /// The old side, for people.
    pub from: String,
    /// The new side.
    pub to: String,
    /// Commits.
    pub commits: u64,
    /// People, deleted ones included.
    pub people: u64,
    /// Their keys.
    pub keys: u64,
    /// The data sets.
    pub data_sets: Vec<DataSetSize>,
    /// Records of all of them.
    pub records: u64,
    /// Changes of records that are held.
    pub changes: u64,
    /// Versions that are held.
    pub versions: u64,
    /// Messages that wait.
    pub messages: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Bytes of the log's events and what stands with them.
    pub log_bytes: u64,
    /// Bytes of the records.
    pub record_bytes: u64,
    /// How long it takes, about, seconds.
    pub seconds: u64,
    /// Write request units of DynamoDB, about; 0 where nothing is written there.
    pub write_units: u64,
    /// What a million of them costs, US dollars.
    pub price_usd: f64,
    /// What all of them cost, US dollars, where something is written into DynamoDB.
    pub cost_usd: Option<f64>,
}

/// Estimates a move from one deployment to another.
///
/// # Errors
/// When the old side cannot be read.
pub fn estimate_move(
    source: &Settings,
    target: &Settings,
    price_usd: f64,
    clock: &SharedClock,
    report: MoveReports<'_>,
) -> Result<MoveEstimate, MoveError> {
    let bridge = Bridge::start("move")?;
    let (of_work, of_clock) = (source.clone(), SharedClock::clone(clock));
    let (stores, depth) = bridge.run(async move {
        let stores = super::open_stores(&of_work, None).await?;
        let queue = backend::open_queue(&of_work, of_clock).await?;
        Ok::<_, MoveError>((stores, queue.depth().await?))
    })??;
    let Depth { visible, in_flight, dead } = depth;
    let mut log = stores.transfer.log_source(LogOrder::Streams)?;
    report(MoveReport::Total(log.commits_total()?));
    let (mut commits, mut log_bytes, mut units) = (0_u64, 0_u64, 0_u64);
    loop {
        let chunk = log.next()?.commits;
        if chunk.is_empty() {
            break;
        }
        for commit in &chunk {
            let bytes = size(commit);
            commits = commits.saturating_add(1);
            log_bytes = log_bytes.saturating_add(bytes);
            units = units.saturating_add(bytes.div_ceil(UNIT_BYTES)).saturating_add(UNITS_OF_COMMIT);
        }
        report(MoveReport::Log(Transferred { phase: TransferPhase::Log, commits }));
    }
    let (people, keys) = count_people(&bridge, &stores)?;
    let data_sets = block_on(measure_records(source, clock))?;
    let sum = |of: fn(&DataSetSize) -> u64| data_sets.iter().map(of).fold(0, u64::saturating_add);
    let [records, changes, versions, record_bytes] =
        [sum(|one| one.records), sum(|one| one.changes), sum(|one| one.versions), sum(|one| one.bytes)];
    let states = records.saturating_add(changes);
    units = units
        .saturating_add(people.saturating_mul(UNITS_OF_PERSON))
        .saturating_add(keys.saturating_mul(UNITS_OF_KEY))
        .saturating_add(states.max(record_bytes / UNIT_BYTES));
    let is_written = target.backend == Backend::Aws;
    let write_units = if is_written { units } else { 0 };
    // The work on the log goes at the pace of the slower side.
    let seconds = commits.div_ceil(COMMITS_OF_AWS)
        + commits.div_ceil(COMMITS_OF_FILES)
        + people.div_ceil(PEOPLE_PER_SECOND)
        + states.div_ceil(RECORDS_PER_SECOND);
    let waits = if source.backend == Backend::Aws { crate::store::dynamodb::CLOSING_WAIT.as_secs() } else { 0 };
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let cost_usd = is_written.then(|| write_units as f64 / 1e6 * price_usd);
    Ok(MoveEstimate {
        from: name_of(source),
        to: name_of(target),
        commits,
        people,
        keys,
        data_sets,
        records,
        changes,
        versions,
        messages: visible.saturating_add(in_flight),
        dead_letters: dead,
        log_bytes,
        record_bytes,
        seconds: seconds.saturating_add(waits),
        write_units,
        price_usd,
        cost_usd,
    })
}

/// The bytes of a commit as it is stored.
fn size(commit: &StoredCommit) -> u64 {
    u64::try_from(commit.events.len()).unwrap_or(u64::MAX).saturating_add(ITEM_BYTES)
}

fn count_people(bridge: &Bridge, stores: &Stores) -> Result<(u64, u64), MoveError> {
    let stores = stores.clone();
    let counted = bridge.run(async move {
        let (mut after, mut people, mut keys) = (None, 0_u64, 0_u64);
        loop {
            let filter = UserFilter { after, limit: PEOPLE_PAGE, ..UserFilter::default() };
            let page = stores.views.users(filter).await?;
            let Some(last) = page.last() else { return Ok::<_, StoreError>((people, keys)) };
            after = Some(last.id);
            for person in &page {
                people += 1;
                keys += u64::try_from(stores.views.keys(person.id).await?.len()).unwrap_or(0);
            }
        }
    })??;
    Ok(counted)
}
