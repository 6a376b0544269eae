//! `permitd move`.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::json;

use super::{
    CommandAnswer, Common, Exit, Failure,
    events::checkpoint,
    open::{must_exist, quiet_log},
    output::{confirmed, counted, facts, grouped},
    progress,
};
use crate::{
    app::{
        MoveEstimate, MoveOrder, MoveReport, MovedDeployment, PreparedMove, abandon_move, estimate_move, other_side,
    },
    clock::SystemClock,
    config::{Backend, Settings},
    secrets::SystemEntropy,
    store::MoveStep,
    transfer::{TransferPhase, Transferred},
};

/// What a million write request units of DynamoDB cost on demand, US dollars: the price of us-east-1 since November 2024.
const PRICE_USD: &str = "0.625";
/// Exponent of the shown price: cents.
const CENTS: f64 = 100.0;

/// Move the deployment from a data directory into AWS, or from AWS into a data directory
///
/// All of it is moved: the log, the keys of people's data, the server secret, what people have consumed, the records with their past, and
/// the mails that were not sent yet. Keys work afterwards, quotas go on where they were, and so do cursors, tags and `changes?since=`. The
/// settings name both sides: their backend is the old one, and --to the new one, which must have nothing.
///
/// The old side is closed first: its servers and commands refuse everything from then on, and say where it went. Nothing is removed
/// from it. A move that was interrupted goes on when it is repeated; until the new side is open, --abandon opens the old one again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd move --to aws --dry-run                what it would be: counts, size, time, cost
  permitd move --to aws --yes                    without asking, for scripts
  permitd move --to sqlite --backend aws --data /var/lib/permitd
  permitd move --to sqlite --backend aws --servers-stopped
  permitd move --abandon

Exit codes:
  4  the new side has something, a server runs on the old one, or it was moved before: nothing was changed
  7  both sides differ: the new one was not opened")]
pub(super) struct MoveArgs {
    /// The new side
    #[arg(long, value_enum, required_unless_present = "abandon")]
    to: Option<MoveTo>,
    /// Only say how much there is, and about how long it takes and what it costs; changes nothing
    #[arg(long, conflicts_with_all = ["abandon", "yes"])]
    dry_run: bool,
    /// Give up a move that is not complete: the old side opens again
    #[arg(long, conflicts_with_all = ["to", "yes"])]
    abandon: bool,
    /// The address that clients of the old side are told
    #[arg(long, value_name = "URL", value_parser = address)]
    address: Option<String>,
    /// No server runs any more on the old side in AWS: do not wait for any
    #[arg(long)]
    servers_stopped: bool,
    /// What a million write request units of DynamoDB cost, US dollars, for the estimate [default: us-east-1, on demand, since November 2024]
    #[arg(long, value_name = "USD", default_value = PRICE_USD, hide_default_value = true, value_parser = price)]
    price: f64,
    /// Close the old side without asking
    #[arg(long)]
    yes: bool,
}

/// A backend to move to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MoveTo {
    /// DynamoDB, SQS and SES
    Aws,
    /// A data directory
    Sqlite,
}

impl MoveTo {
    fn backend(self) -> Backend {
        match self {
            Self::Aws => Backend::Aws,
            Self::Sqlite => Backend::Sqlite,
        }
    }
}

/// Longest address, characters.
const ADDRESS_CHARS_MAX: usize = 500;

fn address(text: &str) -> Result<String, String> {
    let is_address = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
    match is_address && text.len() <= ADDRESS_CHARS_MAX && text.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("an address such as https://permits.example.org is expected".to_owned()),
    }
}

fn price(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|price: &f64| price.is_finite() && *price >= 0.0)
        .ok_or("a price in US dollars is expected".to_owned())
}

impl MoveArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[])?;
        quiet_log(&settings)?;
        let clock = SystemClock::shared();
        must_exist(&settings)?;
        let Some(to) = self.to.map(MoveTo::backend) else {
            let to = abandon_move(&settings, &clock)?;
            checkpoint::relabel(&settings, settings.backend)?;
            let text = format!(
                "the move was given up: this deployment takes commands again, once its servers are started again. What was written into {to} \
                 is still there, and opens for nobody: remove it before you move there again\n"
            );
            return Ok(CommandAnswer::new(json!({ "abandoned": true, "left_in": to }), text));
        };
        if self.dry_run {
            let bar = MoveBar::new();
            let estimate =
                estimate_move(&settings, &other_side(&settings, to)?, self.price, &clock, &mut |at| bar.show(at));
            progress::finish(&bar.bar);
            return Ok(told(&estimate?));
        }
        let order =
            MoveOrder { settings: &settings, to, address: self.address.clone(), servers_stopped: self.servers_stopped };
        let prepared = PreparedMove::open(order, &clock, &SystemEntropy)?;
        let (from, into) = prepared.sides();
        if !self.yes && !prepared.has_begun() {
            let question = format!("{from} is closed for good and goes on in {into}. Move it?");
            if !confirmed(&question, "a move closes the old side")? {
                return Err(Failure::new(Exit::Refused, "nothing was changed"));
            }
        }
        let (bar, began) = (MoveBar::new(), Instant::now());
        let mut relabel = || checkpoint::relabel(&settings, to).map_err(|failure| failure.message);
        let done = prepared.run(&mut relabel, &mut |at| bar.show(at));
        progress::finish(&bar.bar);
        Ok(moved(&settings, &done?, began.elapsed(), to))
    }
}

fn moved(settings: &Settings, moved: &MovedDeployment, took: Duration, to: Backend) -> CommandAnswer {
    let records: u64 = moved.data_sets.iter().map(|data_set| data_set.records).sum();
    let next = match to {
        Backend::Aws => format!(
            "start its servers with backend = \"aws\" and a data directory of their own: {} is the old side's",
            settings.data.display()
        ),
        Backend::Sqlite => "start its server with backend = \"sqlite\"".to_owned(),
    };
    let text = format!(
        "moved to {} in {:.2} s: {} of {}, {} of people, {} with {}; both sides were compared\n{} will be looked at again for mails that were \
         not sent\nthe old side is closed and says where it went; {next}\n",
        moved.to,
        took.as_secs_f64(),
        counted(moved.commits, "commit"),
        counted(moved.streams, "stream"),
        counted(moved.people, "account"),
        counted(u64::try_from(moved.data_sets.len()).unwrap_or(0), "data set"),
        counted(records, "record"),
        counted(moved.published_again, "commit"),
    );
    let mut document = json!(moved);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("seconds".to_owned(), json!(took.as_secs_f64()));
    }
    CommandAnswer::new(document, text)
}

fn told(estimate: &MoveEstimate) -> CommandAnswer {
    let number = |value: u64| grouped(value);
    let mut rows = vec![
        ("from", estimate.from.clone()),
        ("to", estimate.to.clone()),
        ("commits", number(estimate.commits)),
        ("people", number(estimate.people)),
        ("keys", number(estimate.keys)),
        ("data sets", number(u64::try_from(estimate.data_sets.len()).unwrap_or(0))),
        ("records", number(estimate.records)),
        ("changes", number(estimate.changes)),
        ("versions", number(estimate.versions)),
        ("messages", format!("{} waiting, {} dead", number(estimate.messages), number(estimate.dead_letters))),
        (
            "size",
            format!("{} bytes of log, {} bytes of records", number(estimate.log_bytes), number(estimate.record_bytes)),
        ),
        ("time", format!("about {}, while both sides are closed", duration(estimate.seconds))),
    ];
    let cost;
    if let Some(usd) = estimate.cost_usd {
        cost = format!(
            "about ${:.2}: {} write request units at ${} a million",
            (usd * CENTS).ceil() / CENTS,
            number(estimate.write_units),
            estimate.price_usd
        );
        rows.push(("cost", cost));
    }
    let text =
        format!("{}nothing was changed; time and cost are estimates (docs/OPERATIONS.md, Moving)\n", facts(&rows));
    CommandAnswer::new(json!(estimate), text)
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// How far a move is, on a terminal.
struct MoveBar {
    bar: ProgressBar,
    step: Cell<&'static str>,
    since: Cell<Instant>,
    phase: Cell<Option<TransferPhase>>,
    total: Cell<u64>,
}

impl MoveBar {
    fn new() -> Self {
        let bar = progress::spinner("{spinner} {msg}");
        Self {
            bar,
            step: Cell::new("reading"),
            since: Cell::new(Instant::now()),
            phase: Cell::new(None),
            total: Cell::new(0),
        }
    }

    fn show(&self, at: MoveReport) {
        let text = match at {
            MoveReport::Step(step) => {
                self.step.set(named(step));
                self.since.set(Instant::now());
                self.phase.set(None);
                named(step).to_owned()
            }
            MoveReport::Waiting(left) => {
                format!("waiting {} s more for servers to see that it is closed", left.as_secs())
            }
            MoveReport::Total(commits) => {
                self.total.set(commits);
                return;
            }
            MoveReport::Log(Transferred { phase, commits }) => {
                if self.phase.replace(Some(phase)) != Some(phase) {
                    self.since.set(Instant::now());
                }
                self.rate(commits, "commits")
            }
            MoveReport::People(people) => self.rate(people, "people"),
            MoveReport::Records(step) => format!("{}: {step:?}", self.step.get()),
        };
        self.bar.set_message(text);
    }

    /// How many are done of how many, how many a second, and how long the rest of this takes.
    fn rate(&self, done: u64, what: &str) -> String {
        let micros = self.since.get().elapsed().as_micros().max(1);
        let rate = u64::try_from(u128::from(done) * 1_000_000 / micros).unwrap_or(u64::MAX).max(1);
        let left = match self.total.get().checked_sub(done) {
            Some(left) if what == "commits" && left > 0 => format!(", {} left", duration(left / rate)),
            _ => String::new(),
        };
        format!("{}: {} {what}, {}/s{left}", self.step.get(), grouped(done), grouped(rate))
    }
}

fn named(step: MoveStep) -> &'static str {
    match step {
        MoveStep::Quiet => "closing the old side",
        MoveStep::Log => "the log",
        MoveStep::Secret => "the server secret",
        MoveStep::Ledger => "what people have consumed",
        MoveStep::Views => "the views",
        MoveStep::Records => "the records",
        MoveStep::Compare => "comparing both sides",
        MoveStep::Finish => "opening the new side",
    }
}
