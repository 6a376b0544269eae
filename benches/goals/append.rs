//! P6: many commands that append at the same time share the disk's work.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use permitd::{
    domain::{
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
    report::{Finding, rate},
};

/// Commands that append at the same time.
const TOGETHER: u128 = 64;

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let runtime = actix_web::rt::Runtime::new()?;
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let database = Arc::new(Database::open(folder.path())?);
    let (mut alone, mut together, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        let life = Duration::from_secs(plan.round_s.into());
        raw.push(synced_writes_per_s(folder.path(), life)?);
        alone.push(runtime.block_on(appends_per_s(&database, 2 * round, 1, life))?);
        together.push(runtime.block_on(appends_per_s(&database, 2 * round + 1, TOGETHER, life))?);
    }
    let (raw, alone, together) = (median(raw), median(alone), median(together));
    let figures = format!("{} against {}; bare write and sync {}", rate(together), rate(alone), rate(raw));
    Ok(vec![Finding::at_least(
        "P6",
        "64 commands append together, against one at a time",
        figures,
        together / alone,
        10.0,
    )])
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

async fn appends_per_s(database: &Arc<Database>, round: u32, writers: u128, life: Duration) -> Outcome<f64> {
    let started = Instant::now();
    let writer = |writer: u128| {
        let database = Arc::clone(database);
        actix_web::rt::spawn(async move {
            let mut appended = 0_u32;
            while started.elapsed() < life {
                let id = Uuid::from_u128((u128::from(round) << 80) | (writer << 64) | u128::from(appended));
                database.append(plan_assigned(id)?).await?;
                appended += 1;
            }
            Outcome::Ok(appended)
        })
    };
    let writers: Vec<_> = (0..writers).map(writer).collect();
    let mut appended = 0;
    for writer in writers {
        appended += writer.await??;
    }
    Ok(f64::from(appended) / started.elapsed().as_secs_f64())
}

/// The first commit of a new stream, with a claim, as an invitation has one.
fn plan_assigned(id: Uuid) -> Outcome<Append> {
    let origin = Origin { who: Who("admin:bench".to_owned()), correlation_id: id.to_string(), causation_id: None };
    let event = NewEvent { id, origin, event: Event::PlanAssigned { plan: "default".to_owned() } };
    Ok(Append {
        stream: StreamId::User(UserId(id)),
        expected_version: 0,
        command: CommandId::unique(id),
        request_hash: None,
        recorded_at: Timestamp::now(),
        events: persisted::encode(&[event], None)?,
        claims: vec![ClaimChange::Take { name: format!("email:{id}"), owner: id.to_string() }],
        personal: PersonalChange::Keep,
        rows: Rows::default(),
        publishes: false,
    })
}
