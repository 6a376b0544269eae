//! Compares the live items of a stream with what follows from its commits, and repairs them: the rows, the ledger's terms, and the
//! pointers to rows.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    Dynamo, StoreError, commits, fetch,
    item::{self, Item, get_text, text},
    now::Now,
    project::{Over, Write, of_all, write_one},
    rows::{self, from_items},
    schema::{LEDGER, VIEWS},
    terms::{Terms, live_key},
    twice,
    write::{self, TRIES_MAX, back_off},
};
use crate::{
    domain::{
        id::StreamId,
        key::KeyId,
        persisted,
        view::{Rows, State},
    },
    store::{IssuedTwice, Live, Progress, ReplayView, Settled, Stage, replay::unreadable},
};

/// The live rows of streams, in the streams' order.
pub(super) async fn live(dynamo: &Dynamo, streams: &[StreamId]) -> Result<Vec<Live>, StoreError> {
    let kept = read_all(dynamo, streams, &[]).await?;
    kept.iter().map(|kept| kept.live(None)).collect()
}

/// The expected and live rows of a stream while nobody writes to it: no commit came in between, and none waits for its rows. After
/// some tries: the stream as it is, with its pending stages.
pub(super) async fn settled(dynamo: &Dynamo, stream: &StreamId) -> Result<Settled, StoreError> {
    let mut tries = 0;
    loop {
        let now = Now::read(dynamo, stream).await?;
        let expected = now.state.rows();
        let kept = read(dynamo, stream, &expected).await?;
        let live = kept.live(Some(&expected))?;
        tries += 1;
        let is_marked = now.commits.iter().any(|commit| commit.marked);
        let version = now.commits.last().map_or(0, |commit| commit.version);
        let is_settled = !is_marked && commits::load(dynamo, stream, version, 1).await?.is_empty();
        if is_settled || tries == TRIES_MAX || (live.rows == expected && live.wrong.is_empty()) {
            let is_erased = matches!(stream, StreamId::User(_)) && now.key.is_none();
            let stages = now.stages(stream, kept, is_erased)?;
            return Ok(Settled { expected, live, stages, is_erased });
        }
        back_off(tries).await;
    }
}

/// Repairs the live items of streams with these expected rows. Returns the keys that turned out to be issued twice.
pub(super) async fn put_right(
    dynamo: &Dynamo,
    rows: Vec<Rows>,
    view: Option<ReplayView>,
) -> Result<Vec<IssuedTwice>, StoreError> {
    let (streams, rows): (Vec<StreamId>, Vec<Rows>) =
        rows.into_iter().filter_map(|rows| Some((stream_of(&rows)?, rows))).unzip();
    let mut differing = Vec::new();
    let kept = read_all(dynamo, &streams, &rows).await?;
    for ((stream, expected), kept) in streams.iter().zip(&rows).zip(kept) {
        let is_right = match kept.live(Some(expected)) {
            Ok(live) => live.rows == *expected && live.wrong.is_empty(),
            Err(error @ StoreError::Incompatible(_)) => return Err(error),
            // A row that cannot be read has to be replaced.
            Err(_) => false,
        };
        if !is_right {
            differing.push(stream);
        }
    }
    let work = differing.into_iter().map(|stream| put_stream_right(dynamo, stream, view)).collect();
    Ok(fetch::in_parallel(work).await?.concat())
}

fn stream_of(rows: &Rows) -> Option<StreamId> {
    let user = rows.users.first().map(|row| StreamId::User(row.id));
    let plan = || rows.plans.first().map(|row| StreamId::Plan(row.name.clone()));
    let data_set = || rows.imports.first().map(|row| StreamId::DataSet(row.dataset.clone()));
    let tokens = || rows.tokens.first().map(|_| StreamId::AdminTokens);
    user.or_else(plan).or_else(data_set).or_else(tokens)
}

/// Reads the live items before the stream, so that the stream is never older. Replaces each differing item if it is still as read;
/// otherwise another writer was faster, and the item is read again. A row that is newer than its stream is wrong, too. A key that
/// was issued twice stays with its first owner: the other has no row of it.
async fn put_stream_right(
    dynamo: &Dynamo,
    stream: &StreamId,
    view: Option<ReplayView>,
) -> Result<Vec<IssuedTwice>, StoreError> {
    for tries in 1..=TRIES_MAX {
        let mut kept = read(dynamo, stream, &Rows::default()).await?;
        let now = Now::read(dynamo, stream).await?;
        let twice = twice::of_stream(dynamo, stream, &now).await?;
        let mut expected = now.state.rows();
        for IssuedTwice { key, other, .. } in &twice {
            if *stream == StreamId::User(*other) {
                expected.keys.retain(|row| row.id != *key);
            } else if let Some(row) = fetch::get(
                dynamo,
                &dynamo.table(VIEWS),
                rows::row_key(&StreamId::User(*other), rows::RowKind::Key(*key)),
            )
            .await?
            {
                remove_row(dynamo, &row).await?;
            }
        }
        let mut work = Vec::new();
        for write in of_all(&expected)? {
            if !is_of(&write, &expected, view)? {
                continue;
            }
            if let Some(over) = kept.take(&write)? {
                work.push(RepairChange::Write(Box::new(write), over));
            }
        }
        for row in kept.rows {
            let Some(kind) = rows::RowKind::of(get_text(&row, "r")?) else { return Err(rows::unknown(&row)) };
            if view.is_some_and(|view| view_of(kind) != view) {
                continue;
            }
            work.push(RepairChange::Remove(row));
        }
        let work = work.into_iter().map(|change| change.make(dynamo)).collect();
        if fetch::in_parallel(work).await?.into_iter().all(|held| held) {
            return Ok(twice);
        }
        back_off(tries).await;
    }
    Err(StoreError::Unavailable(format!("{stream} is being written to all the time: try again")))
}

/// Puts a stream's rows right, or those of one view. Returns what was read.
pub(super) async fn mend(dynamo: &Dynamo, stream: &StreamId, view: Option<ReplayView>) -> Result<Progress, StoreError> {
    put_stream_right(dynamo, stream, view).await?;
    let commits = commits::load(dynamo, stream, 0, usize::MAX).await?;
    let events = commits.iter().map(|commit| persisted::count(&commit.events)).sum();
    Ok(Progress { commits: u64::try_from(commits.len()).unwrap_or(u64::MAX), events, streams: 1 })
}

/// The view of a row.
fn view_of(kind: rows::RowKind) -> ReplayView {
    match kind {
        rows::RowKind::User => ReplayView::Users,
        rows::RowKind::Key(_) => ReplayView::Keys,
        rows::RowKind::Session(_) => ReplayView::Sessions,
        rows::RowKind::Plan => ReplayView::Plans,
        rows::RowKind::Import(_) => ReplayView::Imports,
        rows::RowKind::Token(_) => ReplayView::Tokens,
    }
}

/// Whether a write is of a view: the terms of the ledger go with their key or session.
fn is_of(write: &Write, expected: &Rows, view: Option<ReplayView>) -> Result<bool, StoreError> {
    let Some(view) = view else { return Ok(true) };
    let of = match write {
        Write::Row(item) => rows::RowKind::of(get_text(item, "r")?).map(view_of),
        Write::Pointer(item) => rows::pointed_at(item)?.map(view_of),
        Write::Terms(terms) if expected.sessions.iter().any(|row| row.id == terms.key) => Some(ReplayView::Sessions),
        Write::Terms(_) => Some(ReplayView::Keys),
    };
    Ok(of == Some(view))
}

enum RepairChange {
    Write(Box<Write>, Over),
    Remove(Item),
}

impl RepairChange {
    async fn make(self, dynamo: &Dynamo) -> Result<bool, StoreError> {
        match self {
            Self::Write(write, over) => write_one(dynamo, *write, over).await,
            Self::Remove(row) => remove_row(dynamo, &row).await,
        }
    }
}

/// Removes a row of the views, if it is still the one that was seen. Returns whether it was.
pub(super) async fn remove_row(dynamo: &Dynamo, row: &Item) -> Result<bool, StoreError> {
    let table = dynamo.table(VIEWS);
    let key = item::item([("k", text(get_text(row, "k")?)), ("r", text(get_text(row, "r")?))]);
    let (condition, value) = Over::Seen(row.get("pv").cloned()).condition(0);
    let delete = || {
        let mut request = dynamo.client().delete_item().table_name(&table).set_key(Some(key.clone()));
        if let Some(value) = &value {
            request = request.expression_attribute_values(":version", value.clone());
        }
        request.condition_expression(condition).send()
    };
    write::conditional(&table, delete).await
}

impl Now {
    /// The stages of the stream from before its first marked commit on, with the kept items.
    fn stages(&self, stream: &StreamId, mut kept: KeptItems, is_erased: bool) -> Result<Vec<Stage>, StoreError> {
        let Some(first) = self.commits.iter().position(|commit| commit.marked) else { return Ok(Vec::new()) };
        if is_erased {
            // The networks of an erased person cannot be read any more.
            let terms = Arc::make_mut(&mut kept.terms).values_mut();
            terms.for_each(|item| drop(item.remove("ip")));
        }
        let mut state = State::empty(stream);
        let (mut stages, (before, since)) = (Vec::new(), self.commits.split_at(first));
        for commit in before {
            persisted::fold(commit.encoded(), self.key.as_ref(), &mut state).map_err(unreadable)?;
        }
        let rows = |state: &State| if is_erased { state.rows().without_personal() } else { state.rows() };
        let last_before = before.last().map_or(0, |commit| commit.version);
        stages.push(kept.as_of(rows(&state), last_before, false));
        for commit in since {
            persisted::fold(commit.encoded(), self.key.as_ref(), &mut state).map_err(unreadable)?;
            stages.push(kept.as_of(rows(&state), commit.version, commit.marked));
        }
        Ok(stages)
    }
}

/// The items that are kept of a stream.
#[derive(Default)]
struct KeptItems {
    rows: Vec<Item>,
    /// The ledger's rows of the keys and sessions of all streams that were read together, by key id.
    terms: Arc<HashMap<String, Item>>,
    /// The pointers to the imports and sessions, by key.
    pointers: Arc<HashMap<String, Item>>,
}

impl KeptItems {
    /// The rows, and the kept items that differ from them. Terms and pointers are compared with the expected rows, if there are any.
    fn live(&self, expected: Option<&Rows>) -> Result<Live, StoreError> {
        let (rows, mut wrong) = from_items(&self.rows)?;
        wrong.extend(self.wrong(expected.unwrap_or(&rows)));
        Ok(Live { rows, wrong })
    }

    /// The kept terms and pointers that differ from these rows.
    fn wrong(&self, rows: &Rows) -> Vec<String> {
        let mut wrong = Vec::new();
        for terms in Terms::of(rows) {
            let kept = self.terms.get(terms.key.as_str());
            if !kept.is_some_and(|item| terms.are_in(item)) {
                wrong.push(Live::wrong_terms(terms.key));
            }
        }
        for (stream, kind) in rows::pointed(rows) {
            let pointer = self.pointers.get(&kind.to_string());
            if !pointer.is_some_and(|item| rows::read_pointer(item).is_ok_and(|place| place == stream)) {
                wrong.push(place_of(kind));
            }
        }
        wrong
    }

    /// The stage after a commit that led to these rows: what it wrote, or may still write, beside what is kept.
    fn as_of(&self, rows: Rows, version: u64, is_unpublished: bool) -> Stage {
        let (wrong, written) = (self.wrong(&rows), rows.clone().of_version(version));
        let terms = Terms::of_commit(&rows, version).into_iter().map(|terms| Live::wrong_terms(terms.key));
        let written_beside = terms.chain(rows::pointed(&written).map(|(_, kind)| place_of(kind))).collect();
        Stage { rows, wrong, written, written_beside, is_unpublished }
    }

    /// Takes out the item that a write replaces. Returns the version to write over, unless the item is right already.
    fn take(&mut self, write: &Write) -> Result<Option<Over>, StoreError> {
        let version_of = |item: &Item| Over::Seen(item.get("pv").cloned());
        Ok(match write {
            Write::Row(item) => {
                let name = get_text(item, "r")?;
                let place = self.rows.iter().position(|kept| get_text(kept, "r").is_ok_and(|kept| kept == name));
                match place.map(|place| self.rows.swap_remove(place)) {
                    Some(kept) if kept == *item => None,
                    Some(kept) => Some(version_of(&kept)),
                    None => Some(Over::Seen(None)),
                }
            }
            Write::Pointer(item) => {
                let is_there = self.pointers.get(get_text(item, "k")?) == Some(item);
                (!is_there).then_some(Over::Older)
            }
            Write::Terms(terms) => match self.terms.get(terms.key.as_str()) {
                Some(kept) if terms.are_in(kept) => None,
                Some(kept) => Some(version_of(kept)),
                None => Some(Over::Seen(None)),
            },
        })
    }
}

/// The name of the pointer to a session or an import, such as `place of import 0192…`.
pub(super) fn place_of(kind: rows::RowKind) -> String {
    format!("place of {}", kind.to_string().replacen('#', " ", 1))
}

async fn read(dynamo: &Dynamo, stream: &StreamId, expected: &Rows) -> Result<KeptItems, StoreError> {
    let read = read_all(dynamo, std::slice::from_ref(stream), std::slice::from_ref(expected)).await?;
    Ok(read.into_iter().next().unwrap_or_default())
}

/// The kept items of streams, in their order: the rows of each, then the terms and pointers of these rows and of the expected ones.
async fn read_all(dynamo: &Dynamo, streams: &[StreamId], expected: &[Rows]) -> Result<Vec<KeptItems>, StoreError> {
    let views = dynamo.table(VIEWS);
    let work = streams.iter().map(|stream| {
        let request = dynamo
            .client()
            .query()
            .table_name(&views)
            .key_condition_expression("k = :k")
            .expression_attribute_values(":k", text(stream.to_string()))
            .consistent_read(true);
        fetch::query(&views, request, usize::MAX)
    });
    let rows = fetch::in_parallel(work.collect()).await?;
    // Rows that cannot be read lead to no terms or pointers; the caller reports them.
    let readable: Vec<Rows> = rows.iter().map(|items| from_items(items).unwrap_or_default().0).collect();
    let both = || readable.iter().chain(expected);
    let pointed: BTreeSet<rows::RowKind> = both().flat_map(rows::pointed).map(|(_, kind)| kind).collect();
    let sessions = both().flat_map(|rows| &rows.sessions).map(|session| session.id);
    let keys: BTreeSet<KeyId> = both().flat_map(|rows| &rows.keys).map(|key| key.id).chain(sessions).collect();
    let keys = keys.into_iter().map(live_key).collect();
    let terms = by_partition(fetch::get_all(dynamo, &dynamo.table(LEDGER), keys).await?)?;
    let places = pointed.into_iter().map(rows::pointer_key).collect();
    let pointers = by_partition(fetch::get_all(dynamo, &views, places).await?)?;
    let (terms, pointers) = (Arc::new(terms), Arc::new(pointers));
    let kept = |rows| KeptItems { rows, terms: Arc::clone(&terms), pointers: Arc::clone(&pointers) };
    Ok(rows.into_iter().map(kept).collect())
}

fn by_partition(items: Vec<Item>) -> Result<HashMap<String, Item>, StoreError> {
    items.into_iter().map(|item| Ok((get_text(&item, "k")?.to_owned(), item))).collect()
}
