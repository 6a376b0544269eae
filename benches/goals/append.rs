//! P6: many commands that append at the same time share the disk's work, and the chain costs next to nothing.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use permitd::{
    domain::{
        chain::ChainHash,
        event::{Event, Origin},
        id::{CommandId, StreamId, UserId, Who},
        persisted::{self, NewEvent},
        view::Rows,
    },
    store::{Append, ClaimChange, EventLog, PersonalChange, sqlite::Database},
};
use uuid::Uuid;

use crate::{
    Outcome, Plan,
    load::median,
    replay,
    report::{Finding, rate},
};

/// Commands that append at the same time.
const TOGETHER: usize = 64;
/// People whose streams the commands append to, one after the other.
const PEOPLE: u128 = 64_000;

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let runtime = actix_web::rt::Runtime::new()?;
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let database = Arc::new(Database::open(folder.path())?);
    let life = Duration::from_secs(plan.round_s.into());
    let (mut alone, mut together, mut invited, mut raw) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut people: Vec<Person> = (0..PEOPLE).map(Person::new).collect();
    (_, people) = runtime.block_on(append(&database, people, TOGETHER, Until::Once))?;
    for round in 0..plan.rounds {
        raw.push(synced_writes_per_s(folder.path(), life)?);
        let (appended, back) = runtime.block_on(append(&database, people, 1, Until::Over(life)))?;
        alone.push(appended);
        let (appended, back) = runtime.block_on(append(&database, back, TOGETHER, Until::Over(life)))?;
        together.push(appended);
        people = back;
        let first = PEOPLE * (u128::from(round) + 1) * 1_000;
        let strangers: Vec<Person> = (first..first + PEOPLE / 4).map(Person::new).collect();
        invited.push(runtime.block_on(append(&database, strangers, TOGETHER, Until::Once))?.0);
    }
    let [raw, alone, together, invited] = [raw, alone, together, invited].map(median);
    let hash_s = hash_s(&mut people)?;
    let figures = format!(
        "{} against {}; bare write and sync {}; with a new stream and a claim each, as an invitation has: {}",
        rate(together),
        rate(alone),
        rate(raw),
        rate(invited)
    );
    let chain = format!("{:.2} µs of {:.1} µs together, of {:.1} µs alone", hash_s * 1e6, 1e6 / together, 1e6 / alone);
    Ok(vec![
        Finding::at_least("P6", "64 commands append together, against one at a time", figures, together / alone, 10.0),
        Finding::at_most(
            "P6",
            "the hash of a commit, of an append among 64",
            chain,
            hash_s * together * 100.0,
            3.0,
            " %",
        ),
    ])
}

/// What chaining adds to a commit: its hash, seconds. The hash before it is read with the version, the row has 32 bytes more.
fn hash_s(people: &mut [Person]) -> Outcome<f64> {
    let appends: Vec<Append> = people.iter_mut().map(Person::next).collect::<Outcome<_>>()?;
    let started = Instant::now();
    for append in &appends {
        std::hint::black_box(append.hash());
    }
    Ok(started.elapsed().as_secs_f64() / appends.len() as f64)
}

/// What the disk does by itself: a block written and synced, one after the other.
fn synced_writes_per_s(folder: &Path, life: Duration) -> Outcome<f64> {
    use std::io::Write as _;
    let mut file = tempfile::tempfile_in(folder)?;
    let (started, mut writes) = (Instant::now(), 0_u32);
    while started.elapsed() < life {
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        writes += 1;
    }
    Ok(f64::from(writes) / started.elapsed().as_secs_f64())
}

/// Somebody whose stream is appended to.
struct Person {
    id: Uuid,
    version: u64,
    head: ChainHash,
}

impl Person {
    fn new(number: u128) -> Self {
        Self { id: replay::scattered(u64::try_from(number).unwrap_or(u64::MAX), 8), version: 0, head: ChainHash::START }
    }

    /// A new plan for somebody known; the first commit also takes their address, as an invitation does.
    fn next(&mut self) -> Outcome<Append> {
        let id = Uuid::from_u128(self.id.as_u128().wrapping_add(u128::from(self.version)));
        let origin = Origin { who: Who("admin:bench".to_owned()), correlation_id: id.to_string(), causation_id: None };
        let event = NewEvent { id, origin, event: Event::PlanAssigned { plan: "default".to_owned() } };
        let claim = ClaimChange::Take { name: format!("email:{}", self.id), owner: self.id.to_string() };
        let append = Append {
            stream: StreamId::User(UserId(self.id)),
            expected_version: self.version,
            previous: self.head,
            command: CommandId::unique(id),
            request_hash: None,
            recorded_at: Timestamp::now(),
            events: persisted::encode(&[event], None)?,
            secret: None,
            administrators: None,
            claims: if self.version == 0 { vec![claim] } else { Vec::new() },
            personal: PersonalChange::Keep,
            rows: Rows::default(),
            publishes: false,
        };
        self.version += 1;
        self.head = append.hash();
        Ok(append)
    }
}

/// How long to append.
#[derive(Clone, Copy)]
enum Until {
    /// Once for everybody.
    Once,
    /// For so long, to one after the other, again and again.
    Over(Duration),
}

/// Appends by so many writers at the same time, each with people of its own. Gives back how many commits there were a second,
/// and the people.
async fn append(
    database: &Arc<Database>,
    mut people: Vec<Person>,
    writers: usize,
    until: Until,
) -> Outcome<(f64, Vec<Person>)> {
    let started = Instant::now();
    let share = people.len().div_ceil(writers);
    let mut running = Vec::new();
    while !people.is_empty() {
        let mut mine = people.split_off(people.len().saturating_sub(share));
        let database = Arc::clone(database);
        running.push(actix_web::rt::spawn(async move {
            let mut appended = 0_u32;
            'all: loop {
                for person in &mut mine {
                    if matches!(until, Until::Over(life) if started.elapsed() >= life) {
                        break 'all;
                    }
                    database.append(person.next()?).await?;
                    appended += 1;
                }
                if matches!(until, Until::Once) {
                    break;
                }
            }
            Outcome::Ok((appended, mine))
        }));
    }
    let mut appended = 0;
    for writer in running {
        let (by_one, mine) = writer.await??;
        appended += by_one;
        people.extend(mine);
    }
    Ok((f64::from(appended) / started.elapsed().as_secs_f64(), people))
}
