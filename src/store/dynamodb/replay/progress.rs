//! How far a rebuild is, so that it can be told and gone on with: one item of the table `state`, of the kind `replay`. It is written after
//! the rows that it tells of.

use jiff::Timestamp;

use crate::{
    domain::id::StreamId,
    store::{
        Progress, ReplayPlan, ReplayStatus, ReplayView, ReplayedTo, StoreError,
        dynamodb::{
            Dynamo, fetch,
            item::{self, Item, damaged, find_text, get_moment, get_number, get_text, moment, number, text},
            schema::STATE,
            unavailable,
        },
        replay_plan::{Interrupted, program},
    },
};

const KIND: &str = "replay";
const ONE: &str = "rebuild";

/// What is recorded of a rebuild.
#[derive(Debug, Clone)]
pub(super) struct RecordedRebuild {
    pub(super) interrupted: Interrupted,
    /// The last stream whose rows are right.
    pub(super) reached: Option<StreamId>,
    pub(super) progress: Progress,
    total: u64,
}

impl RecordedRebuild {
    /// One that begins.
    pub(super) fn new(plan: &ReplayPlan, quarantined: String, total: u64) -> Self {
        let (view, heard_of_at) = (plan.view, Timestamp::now());
        let interrupted = Interrupted { view, program: program(), quarantined, heard_of_at };
        Self { interrupted, reached: None, progress: Progress::default(), total }
    }

    /// The place that is reached.
    pub(super) fn reach(&mut self, ReplayedTo { stream, progress }: &ReplayedTo) {
        (self.reached, self.progress) = (Some(stream.clone()), *progress);
        self.interrupted.heard_of_at = Timestamp::now();
    }

    /// The same for whoever only looks.
    pub(super) fn status(&self) -> ReplayStatus {
        let Self { interrupted, progress, total, .. } = self;
        let (view, heard_of_at) = (interrupted.view, interrupted.heard_of_at);
        ReplayStatus { view, progress: *progress, commits_total: *total, heard_of_at }
    }
}

fn key() -> Item {
    item::item([("k", text(KIND)), ("r", text(ONE))])
}

/// Records a rebuild.
pub(super) async fn write(dynamo: &Dynamo, record: &RecordedRebuild) -> Result<(), StoreError> {
    let table = dynamo.table(STATE);
    let RecordedRebuild { interrupted, reached, progress, total } = record;
    let mut item = key();
    item::put_some(&mut item, "view", interrupted.view.map(|view| text(view.name())));
    item::put_some(&mut item, "stream", reached.as_ref().map(|stream| text(stream.to_string())));
    for (name, value) in [
        ("program", text(interrupted.program.as_str())),
        ("quarantined", text(interrupted.quarantined.as_str())),
        ("at", moment(interrupted.heard_of_at)),
        ("commits", number(progress.commits)),
        ("events", number(progress.events)),
        ("streams", number(progress.streams)),
        ("total", number(total)),
    ] {
        item.insert(name.to_owned(), value);
    }
    let put = dynamo.client().put_item().table_name(&table).set_item(Some(item));
    put.send().await.map_err(|error| unavailable(&table, &error))?;
    Ok(())
}

/// What is recorded.
pub(super) async fn read(dynamo: &Dynamo) -> Result<Option<RecordedRebuild>, StoreError> {
    let Some(item) = fetch::get(dynamo, &dynamo.table(STATE), key()).await? else { return Ok(None) };
    let interrupted = Interrupted {
        view: find_text(&item, "view")?.and_then(ReplayView::named),
        program: get_text(&item, "program")?.to_owned(),
        quarantined: get_text(&item, "quarantined")?.to_owned(),
        heard_of_at: get_moment(&item, "at")?,
    };
    let reached = find_text(&item, "stream")?.map(StreamId::parse).transpose();
    Ok(Some(RecordedRebuild {
        interrupted,
        reached: reached.map_err(|error| damaged("stream", error))?,
        progress: Progress {
            commits: get_number(&item, "commits")?,
            events: get_number(&item, "events")?,
            streams: get_number(&item, "streams")?,
        },
        total: get_number(&item, "total")?,
    }))
}

/// Forgets the rebuild: it is done.
pub(super) async fn end(dynamo: &Dynamo) -> Result<(), StoreError> {
    let table = dynamo.table(STATE);
    let delete = dynamo.client().delete_item().table_name(&table).set_key(Some(key()));
    delete.send().await.map_err(|error| unavailable(&table, &error))?;
    Ok(())
}
