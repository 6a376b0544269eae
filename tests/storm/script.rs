//! What is to happen: chosen by chance, or read from the trace of a storm that was.
//!
//! Whom and what an act is about are places in lists of what the storm has learnt so far, so that a trace can be followed over
//! another deployment, whose ids are others.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{chances::Chances, deployment::INVITATION_FAILPOINTS, memory::Memory};

/// Few of each, so that they meet.
pub(crate) const ADDRESSES: usize = 6;
pub(crate) const PLANS: [&str; 3] = ["default", "small", "large"];
/// Requests of a day that plans allow.
pub(crate) const QUOTAS: [u64; 3] = [25, 60, 120];
/// Rows of the files that are imported.
pub(crate) const FILES_ROWS: [u64; 3] = [10, 45, 130];
/// Those who give commands, those who read, and one who runs the program beside the server.
pub(crate) const WRITERS: usize = 4;
pub(crate) const READERS: usize = 2;
pub(crate) const CLIENTS: usize = WRITERS + READERS + 1;
/// Idempotency keys that are in use at a time, and for how many lives of the server.
const KEYS: u64 = 4;
const KEYS_LIVES: u64 = 3;

/// Where a server may die, beside the steps of an invitation.
const FAILPOINTS_SQLITE: [&str; 1] = ["sqlite-before-commit"];
const FAILPOINTS_AWS: [&str; 2] = ["append-before-rows", "append-before-mark"];
const FAILPOINTS_OF_IMPORTS: [&str; 3] = ["import-started", "import-before-commit", "import-written"];

/// How one life of a server ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fate {
    /// Killed from outside, milliseconds after it was ready.
    Killed { after_ms: u64 },
    /// Killed from outside, milliseconds after it was started: before it is ready, as a rule.
    KilledEarly { after_ms: u64 },
    /// Dies by itself at the passage of a failpoint with this number, from 1; killed if it does not come to that.
    Dies { failpoint: String, passage: u64 },
    /// Asked to stop, milliseconds after it was ready.
    Stopped { after_ms: u64 },
}

impl Fate {
    pub(crate) fn choose(chances: &mut Chances, is_aws: bool) -> Self {
        let own = if is_aws { FAILPOINTS_AWS.as_slice() } else { FAILPOINTS_SQLITE.as_slice() };
        match chances.below(16) {
            0 => Self::KilledEarly { after_ms: chances.below(200) },
            1 => Self::Stopped { after_ms: chances.below(300) },
            2..=8 => Self::Killed { after_ms: 2 + chances.below(600) },
            _ => {
                let failpoint = chances.among(&[INVITATION_FAILPOINTS.as_slice(), own].concat()).to_owned();
                Self::Dies { failpoint, passage: 1 + chances.below(12) }
            }
        }
    }

    /// What the server's environment says.
    pub(crate) fn failpoints(&self) -> String {
        match self {
            Self::Dies { failpoint, passage: 1 } => format!("{failpoint}=return"),
            Self::Dies { failpoint, passage } => format!("{failpoint}={}*off->return", passage - 1),
            Self::Killed { .. } | Self::KilledEarly { .. } | Self::Stopped { .. } => String::new(),
        }
    }
}

/// One thing that somebody does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Act {
    Invite {
        address: usize,
        plan: Option<String>,
    },
    Resend {
        person: usize,
    },
    Change {
        person: usize,
        status: Option<String>,
        role: Option<String>,
        plan: Option<String>,
    },
    Delete {
        person: usize,
    },
    Issue {
        person: usize,
        label: Option<String>,
    },
    Rotate {
        key: usize,
        grace_s: u32,
    },
    Revoke {
        key: usize,
    },
    Define {
        plan: String,
        quota_per_day: u64,
    },
    Retire {
        plan: String,
    },
    /// An earlier request word for word.
    Repeat {
        request: usize,
    },
    Read {
        key: usize,
    },
    Page {
        key: usize,
    },
    Export {
        key: usize,
    },
    Look {
        person: usize,
    },
    /// By the program beside the server; killed after so many milliseconds, or at a failpoint.
    Import {
        rows: u64,
        killed_after_ms: Option<u64>,
        failpoint: Option<String>,
    },
    Rebuild {
        dies: bool,
    },
    Pause {
        ms: u64,
    },
}

/// An act as it stands in a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) life: u64,
    pub(crate) client: usize,
    pub(crate) act: Act,
    /// The `Idempotency-Key` that a command is sent with.
    pub(crate) key: Option<String>,
}

/// A line of a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Line {
    Life {
        life: u64,
        fate: Fate,
    },
    Step(Step),
    /// What came of a request; for whoever reads the trace.
    Answer {
        request: usize,
        sent: String,
        answer: String,
    },
}

/// Where fates and acts come from, and where they are written down.
pub(crate) struct Script {
    seed: u64,
    is_aws: bool,
    /// What is followed instead of chance.
    earlier: Option<Earlier>,
    trace: std::fs::File,
}

#[derive(Default)]
struct Earlier {
    fates: BTreeMap<u64, Fate>,
    steps: BTreeMap<(u64, usize), VecDeque<Step>>,
}

impl Script {
    pub(crate) fn by_chance(seed: u64, is_aws: bool, trace: &Path) -> Self {
        Self { seed, is_aws, earlier: None, trace: std::fs::File::create(trace).unwrap() }
    }

    /// Follows the trace of an earlier storm.
    pub(crate) fn of_trace(earlier: &Path, is_aws: bool, trace: &Path) -> Self {
        let text = std::fs::read_to_string(earlier).unwrap_or_else(|error| panic!("{}: {error}", earlier.display()));
        let mut read = Earlier::default();
        for line in text.lines() {
            match serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", earlier.display())) {
                Line::Life { life, fate } => drop(read.fates.insert(life, fate)),
                Line::Step(step) => read.steps.entry((step.life, step.client)).or_default().push_back(step),
                Line::Answer { .. } => {}
            }
        }
        Self { seed: 0, is_aws, earlier: Some(read), trace: std::fs::File::create(trace).unwrap() }
    }

    fn write(&mut self, line: &Line) {
        writeln!(self.trace, "{}", serde_json::to_string(line).unwrap()).unwrap();
    }

    /// How this life ends; none after the last one of a trace.
    pub(crate) fn fate(&mut self, life: u64) -> Option<Fate> {
        let fate = match &self.earlier {
            Some(earlier) => earlier.fates.get(&life)?.clone(),
            None => Fate::choose(&mut Chances::new(self.seed, [life, u64::MAX]), self.is_aws),
        };
        self.write(&Line::Life { life, fate: fate.clone() });
        Some(fate)
    }

    /// The choices of a client in one life.
    pub(crate) fn chances(&self, life: u64, client: usize) -> Chances {
        Chances::new(self.seed, [life, u64::try_from(client).unwrap()])
    }

    /// What a client does next; none when a trace knows of nothing more.
    pub(crate) fn step(&mut self, life: u64, client: usize, chances: &mut Chances, memory: &Memory) -> Option<Step> {
        let step = match &mut self.earlier {
            Some(earlier) => earlier.steps.get_mut(&(life, client))?.pop_front()?,
            None => choose(life, client, chances, memory),
        };
        self.write(&Line::Step(step.clone()));
        Some(step)
    }

    pub(crate) fn answered(&mut self, request: usize, sent: String, answer: String) {
        self.write(&Line::Answer { request, sent, answer });
    }
}

fn choose(life: u64, client: usize, chances: &mut Chances, memory: &Memory) -> Step {
    let act = match client {
        client if client < WRITERS => command(chances, memory),
        client if client < WRITERS + READERS => question(chances, memory),
        _ => beside(chances),
    };
    let key = is_command(&act).then(|| idempotency_key(life, chances)).flatten();
    Step { life, client, act, key }
}

fn is_command(act: &Act) -> bool {
    match act {
        Act::Invite { .. }
        | Act::Resend { .. }
        | Act::Change { .. }
        | Act::Delete { .. }
        | Act::Issue { .. }
        | Act::Rotate { .. }
        | Act::Revoke { .. }
        | Act::Define { .. }
        | Act::Retire { .. } => true,
        // A repeat has that of the request.
        Act::Repeat { .. }
        | Act::Read { .. }
        | Act::Page { .. }
        | Act::Export { .. }
        | Act::Look { .. }
        | Act::Import { .. }
        | Act::Rebuild { .. }
        | Act::Pause { .. } => false,
    }
}

/// None; one of its own; or one of a few that all share, now and then one of long ago.
fn idempotency_key(life: u64, chances: &mut Chances) -> Option<String> {
    match chances.below(4) {
        0 => None,
        1 | 2 => Some(format!("own-{:016x}", chances.next())),
        _ => {
            let now = life / KEYS_LIVES;
            let turn = if chances.one_in(6) { chances.below(now + 1) } else { now };
            Some(format!("shared-{turn}-{}", chances.below(KEYS)))
        }
    }
}

fn command(chances: &mut Chances, memory: &Memory) -> Act {
    let plan = |chances: &mut Chances| chances.among(&PLANS).to_owned();
    let (person, key) = (chances.place(memory.people.len()), chances.place(memory.keys.len()));
    match chances.below(24) {
        0..=4 => {
            let plan = chances.one_in(3).then(|| plan(chances));
            Act::Invite { address: chances.place(ADDRESSES), plan }
        }
        5 => Act::Resend { person },
        6..=8 => {
            let status = chances.one_in(2).then(|| chances.among(&["active", "disabled"]).to_owned());
            let role = chances.one_in(3).then(|| if chances.one_in(2) { "reader" } else { "manager" }.to_owned());
            let plan = (status.is_none() && role.is_none() || chances.one_in(3)).then(|| plan(chances));
            Act::Change { person, status, role, plan }
        }
        9 => Act::Delete { person },
        10..=12 => Act::Issue { person, label: chances.one_in(2).then(|| "laptop".to_owned()) },
        13..=14 => Act::Rotate { key, grace_s: chances.among(&[0, 0, 1, 3600]) },
        15 => Act::Revoke { key },
        16 => Act::Define { plan: plan(chances), quota_per_day: chances.among(&QUOTAS) },
        17 if chances.one_in(4) => Act::Retire { plan: "small".to_owned() },
        17 | 18 => Act::Pause { ms: chances.below(20) },
        _ => {
            // Of late, or any.
            let count = memory.requests.len();
            let recent = if chances.one_in(4) { count } else { count.min(20) };
            Act::Repeat { request: count - recent + chances.place(recent) }
        }
    }
}

fn question(chances: &mut Chances, memory: &Memory) -> Act {
    let key = chances.place(memory.keys.len());
    match chances.below(10) {
        0..=5 => Act::Read { key },
        6 => Act::Page { key },
        7 if chances.one_in(5) => Act::Export { key },
        7 | 8 => Act::Look { person: chances.place(memory.people.len()) },
        _ => Act::Pause { ms: chances.below(20) },
    }
}

fn beside(chances: &mut Chances) -> Act {
    match chances.below(8) {
        0..=3 => Act::Pause { ms: chances.below(500) },
        4 => Act::Rebuild { dies: chances.one_in(2) },
        _ => {
            let rows = chances.among(&FILES_ROWS);
            let (killed_after_ms, failpoint) = match chances.below(4) {
                0 => (Some(chances.below(500)), None),
                1 => (None, Some(chances.among(&FAILPOINTS_OF_IMPORTS).to_owned())),
                _ => (None, None),
            };
            Act::Import { rows, killed_after_ms, failpoint }
        }
    }
}
