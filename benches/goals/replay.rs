//! P7: the views are rebuilt from the log at a quarter of the speed at which the log can be read at all.

use std::{path::Path, time::Instant};

use jiff::{SignedDuration, Timestamp};
use permitd::{
    domain::{
        bounds::KeyBounds,
        chain::{ChainHash, CommitContent},
        event::{Event, Origin, RevocationReason, Role},
        id::{CommandId, StreamId, UserId, Who},
        key::{ApiKey, KeyId, SECRET_BYTES},
        persisted::{self, NewEvent},
        personal::{Personal, PersonalKey},
    },
    replay,
    store::{Replayable, sqlite::Database},
};
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::{
    Outcome, Plan,
    load::median,
    report::{Finding, rate},
};

/// Events of each person.
pub(crate) const EVENTS_PER_USER: u64 = 20;
/// The goal where the table can be read fast enough.
const EVENTS_PER_S: f64 = 500_000.0;

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let database = Database::open(folder.path())?;
    fill(&database, plan.many)?;
    let (mut scans, mut replays) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let started = Instant::now();
        let commits = scan(database.path())?;
        scans.push(commits as f64 / started.elapsed().as_secs_f64());
        let started = Instant::now();
        let progress = replay::rebuild(&mut *database.replay_space()?, &mut |_| {})?;
        replays.push(progress.events as f64 / started.elapsed().as_secs_f64());
    }
    let (scan, replay) = (median(scans), median(replays));
    let wanted = EVENTS_PER_S.min(scan / 4.0);
    let figures = format!("{} events against {} scanned", rate(replay), rate(scan));
    let what = format!("replay of {} events, against the lesser of 500,000/s and a quarter of a bare scan", plan.many);
    Ok(vec![Finding::at_least("P7", what, figures, replay / wanted, 1.0)])
}

/// Reads every column of every commit, and does nothing with it.
fn scan(path: &Path) -> Outcome<u64> {
    let connection = Connection::open(path)?;
    let mut statement = connection.prepare(
        "SELECT stream, version, position, command, request_hash, recorded_at, events FROM commits ORDER BY position",
    )?;
    let mut rows = statement.query([])?;
    let (mut commits, mut bytes) = (0_u64, 0);
    while let Some(row) = rows.next()? {
        bytes += row.get_ref(6)?.as_str()?.len() + row.get_ref(0)?.as_str()?.len();
        commits += 1;
    }
    std::hint::black_box(bytes);
    Ok(commits)
}

/// Writes the log of `events / 20` people, each event by a command of its own, in the order of time: what belongs to one
/// person lies scattered over the log, as it would.
pub(crate) fn fill(database: &Database, events: u64) -> Outcome<()> {
    let mut connection = database.connect()?;
    connection.pragma_update(None, "cache_size", -262_144)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    let transaction = connection.transaction()?;
    let first: u64 = transaction.query_row("SELECT coalesce(max(position), 0) FROM commits", [], |row| row.get(0))?;
    let people = events / EVENTS_PER_USER;
    let mut insert = transaction.prepare(
        "INSERT INTO commits (stream, version, position, command, request_hash, recorded_at, events, unpublished, hash)
         VALUES (?1, ?2, ?3, ?4, NULL, ?5, ?6, NULL, ?7)",
    )?;
    let mut insert_key = transaction.prepare("INSERT INTO personal_keys (user, key) VALUES (?1, ?2)")?;
    let mut heads = vec![ChainHash::START; usize::try_from(people)?];
    let mut position = first;
    for step in 0..EVENTS_PER_USER {
        for (person, head) in (0..people).zip(&mut heads) {
            position += 1;
            let someone = Someone::new(person);
            if step == 0 {
                insert_key.execute(params![someone.user.to_string(), someone.key.as_bytes().as_slice()])?;
            }
            let id = scattered(position, 2);
            let recorded_at =
                Timestamp::UNIX_EPOCH + SignedDuration::from_millis(1_700_000_000_000 + i64::try_from(position)?);
            let events = persisted::encode(&[someone.event(id, step, recorded_at)], Some(&someone.key))?;
            let command = CommandId::unique(scattered(position, 3));
            let (stream, version) = (StreamId::User(someone.user), step + 1);
            *head = head.then(&CommitContent {
                stream: &stream,
                version,
                recorded_at,
                command: &command,
                request_hash: None,
                events: &events,
            });
            insert.execute(params![
                stream.to_string(),
                version,
                position,
                command.as_str(),
                recorded_at.as_microsecond(),
                events,
                head.as_bytes(),
            ])?;
        }
    }
    drop((insert, insert_key));
    transaction.commit()?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// An id that looks random and is the same in every run.
pub(crate) fn scattered(number: u64, purpose: u64) -> Uuid {
    let mix = |salt: u64| {
        (number ^ (salt << 56)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    };
    uuid::Builder::from_random_bytes(((u128::from(mix(purpose)) << 64) | u128::from(mix(purpose + 16))).to_be_bytes())
        .into_uuid()
}

struct Someone {
    number: u64,
    user: UserId,
    key: PersonalKey,
}

impl Someone {
    fn new(number: u64) -> Self {
        let mut key = [7; 32];
        key.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
        Self { number, user: UserId(scattered(number, 1)), key: PersonalKey::from_bytes(key) }
    }

    fn key_id(&self, which: u64) -> KeyId {
        let mut random = [0; 12];
        random
            .iter_mut()
            .zip(scattered(self.number * EVENTS_PER_USER + which, 4).as_bytes())
            .for_each(|(to, from)| *to = *from);
        KeyId::from_random(random)
    }

    /// Their life: invited, a key, the mail; then keys that are rotated and revoked, other plans, other roles.
    fn event(&self, id: Uuid, step: u64, at: Timestamp) -> NewEvent {
        let invitation = scattered(self.number, 5);
        let (key, before) = (step / 4, (step / 4).saturating_sub(1));
        let event = match step {
            0 => Event::UserInvited {
                email: Personal::Known(format!("person.{}@example.org", self.number)),
                name: Some(Personal::Known(format!("Person Number {}", self.number))),
                role: Role::Reader,
                plan: "default".to_owned(),
                invitation,
            },
            1 => self.issued(0, Some(invitation)),
            2 => Event::ApiKeyMailed {
                key_id: self.key_id(0),
                invitation,
                message_id: format!("<{invitation}@permitd.example.org>"),
            },
            3 | 7 => Event::PlanAssigned { plan: format!("plan-{step}") },
            11 => Event::UserDisabled,
            15 => Event::UserEnabled,
            _ => match step % 4 {
                0 => self.issued(key, None),
                1 => {
                    Event::ApiKeyRotated { key_id: self.key_id(before), replaced_by: self.key_id(key), valid_until: at }
                }
                2 => Event::ApiKeyRevoked { key_id: self.key_id(before), reason: RevocationReason::Requested },
                _ => Event::RoleChanged { role: Role::Admin },
            },
        };
        let origin = Origin {
            who: Who("admin:0192f3a0-0000-7000-8000-000000000001".to_owned()),
            correlation_id: scattered(step, 6).to_string(),
            causation_id: (step % 4 == 2).then(|| scattered(step, 7).to_string()),
        };
        NewEvent { id, origin, event }
    }

    fn issued(&self, which: u64, invitation: Option<Uuid>) -> Event {
        let key = ApiKey::new(self.key_id(which), &[9; SECRET_BYTES]);
        Event::ApiKeyIssued {
            key_id: key.id(),
            hash: key.hash(),
            last_four: key.last_four(),
            secret_version: 1,
            invitation,
            label: Some(Personal::Known("laptop".to_owned())),
            bounds: KeyBounds::default(),
        }
    }
}
