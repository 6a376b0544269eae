//! Queries, by the ways that [`plan`] gives: merged from the shards of an index in the order asked for, or read and sorted.

use std::borrow::Cow;

use super::{
    Served, Shared,
    gather::Gathered,
    plan::{self, IndexWay, Way},
    reading::{self, Reading, Stop},
};
use crate::{
    dataset::{
        Record,
        query::{Position, Query},
    },
    store::records::{DataSet, Explained, Page, RecordStoreError, rules},
};

/// How many records are fetched for one that is expected to match a filter that the index knows nothing of.
const FILTERED_FACTOR: usize = 4;

/// A page of the records that a query asks for.
pub(super) async fn find(shared: &Shared, data_set: &DataSet, query: &Query) -> Result<Page, RecordStoreError> {
    let narrow = || rules::narrowing(&data_set.definition, query.count);
    shared
        .bounded(narrow, async {
            let version = query.version();
            let served = shared.served_for(data_set, version).await?;
            let query = placed(shared, &served, query).await?;
            page(shared, &served, &query, version).await
        })
        .await
}

/// The query with the values of the record that it goes on behind, where its cursor did not take them along. A page that the
/// store broke off may end at a record that its version does not hold: what is not seen is looked at, too.
async fn placed<'q>(shared: &Shared, served: &Served, query: &'q Query) -> Result<Cow<'q, Query>, RecordStoreError> {
    let Some(anchor) = &query.anchor else { return Ok(Cow::Borrowed(query)) };
    let (layout, asked) = (&served.manifest.layout, query.for_anchor(anchor));
    let mut reading = Reading::begin(shared, served, &asked.filter, Some(anchor.version))?;
    let gathered = Gathered::new(layout.definition(), &asked, anchor.version);
    let mut found = None;
    let Some(way) = plan::everything(layout, &asked.filter) else {
        return Err(rules::gone(layout.definition(), anchor.version, served.manifest.data_set.held_from));
    };
    let looked = reading.each_stored(&way, |record| {
        let position = gathered.position(&record);
        if anchor.is_at(&position.values) {
            found = Some(position);
        }
    });
    match looked.await {
        Ok(()) => {}
        Err(Stop::Failed(error)) => return Err(error),
        Err(Stop::OverBudget) if found.is_some() => {}
        Err(Stop::OverBudget) => return Err(reading.too_much("begin again at the first page".to_owned())),
    }
    let gone = || rules::gone(layout.definition(), anchor.version, served.manifest.data_set.held_from);
    Ok(Cow::Owned(Query { after: Some(found.ok_or_else(gone)?), anchor: None, ..query.clone() }))
}

async fn page(shared: &Shared, served: &Served, query: &Query, version: Option<u64>) -> Result<Page, RecordStoreError> {
    let layout = &served.manifest.layout;
    let mut reading = Reading::begin(shared, served, &query.filter, version)?.with_costs(query.explain);
    let narrow = || reading::narrow(layout.definition(), &query.filter, &query.sort);
    let mut plan = Vec::new();
    for way in plan::ways(layout, query) {
        plan.extend(way.explained(layout));
        let taken = match &way {
            Way::Index(index) if index.ordered => merge(&mut reading, query, index).await,
            _ => read_and_sort(&mut reading, query, &way).await,
        };
        match taken {
            Ok(mut page) => {
                if !reading.is_present() {
                    plan.push(format!("leave out what version {} did not hold", reading.version));
                }
                if !query.count {
                    page.count = None;
                } else if page.count.is_none() {
                    page.count = Some(match reading.count().await {
                        Ok(count) => count,
                        Err(Stop::Failed(error)) => return Err(error),
                        Err(Stop::OverBudget) => {
                            return Err(reading.too_much(format!("leave out count=exact, {}", narrow())));
                        }
                    });
                    plan.push("count what matches".to_owned());
                }
                reading.check_held().await?;
                if query.explain {
                    let (read_units, examined) = (reading.units, Some(reading.examined));
                    page.explained = Some(Explained { plan, read_units, examined });
                }
                return Ok(page);
            }
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::OverBudget) => plan.push("that was more than a page may read".to_owned()),
        }
    }
    Err(reading.too_much(narrow()))
}

/// Reads a way that has no order, sorts what matches, and makes the page of it.
async fn read_and_sort(reading: &mut Reading<'_>, query: &Query, way: &Way) -> Result<Page, Stop> {
    let mut gathered = Gathered::new(reading.definition(), query, reading.version);
    let (sorted, count) = sorted(reading, &gathered, way, gathered.room()).await?;
    for record in &sorted {
        gathered.take(record)?;
    }
    Ok(Page { count: Some(count), ..gathered.page(None) })
}

/// The first of the records of a way, in order, and how many match in all.
pub(super) async fn sorted(
    reading: &mut Reading<'_>,
    gathered: &Gathered<'_>,
    way: &Way,
    kept_max: usize,
) -> Result<(Vec<Record>, u64), Stop> {
    let (mut matching, mut count): (Vec<Record>, u64) = (Vec::new(), 0);
    let shorten = |matching: &mut Vec<Record>| {
        matching.sort_unstable_by(|left, right| gathered.compare(left, right));
        matching.truncate(kept_max);
    };
    let take = |record: Record| {
        count += 1;
        if gathered.is_after(&record) {
            matching.push(record);
        }
        if matching.len() >= kept_max.saturating_mul(2) {
            shorten(&mut matching);
        }
        Ok(())
    };
    reading.each(way, take).await?;
    shorten(&mut matching);
    Ok((matching, count))
}

/// Reads the shards of an index, which are in order, as one.
async fn merge(reading: &mut Reading<'_>, query: &Query, way: &IndexWay) -> Result<Page, Stop> {
    let mut gathered = Gathered::new(reading.definition(), query, reading.version);
    let mut walk = reading.walk(way);
    let (mut looked, mut last): (u64, Option<Position>) = (0, None);
    // What is not seen is at a place, too: once that is passed, a page can end there.
    let mut unseen: Option<(String, Record)> = None;
    loop {
        let budget = usize::try_from(reading.records_max.saturating_sub(looked)).unwrap_or(usize::MAX);
        let wanted = wanted(way, gathered.room()).min(budget);
        let Some(item) = walk.next(reading, wanted).await? else { break };
        if let Some((_, record)) = unseen.take().filter(|(place, _)| reading.place(way, &item) != Some(place)) {
            let at = gathered.position(&record);
            return Ok(gathered.stopped(at, None));
        }
        looked += 1;
        // A range whose bound was too long for a key begins a little before the place to go on after.
        if let Some(record) = reading.row(&item)?.filter(|record| gathered.is_after(record)) {
            if query.filter.matches(&record) {
                gathered.take(&record)?;
            }
            if gathered.is_done() {
                return Ok(gathered.page(None));
            }
            last = Some(gathered.position(&record));
        }
        if looked >= reading.records_max {
            if let Some(at) = last {
                return Ok(gathered.stopped(at, None));
            }
            unseen = reading.unseen(way, &item).filter(|(_, record)| gathered.is_after(record));
        }
    }
    let mut page = gathered.page(None);
    // It began at the beginning and came to the end.
    page.count = query.after.is_none().then(|| page.document.count().into());
    Ok(page)
}

/// How many records to expect for so many that match.
pub(super) fn wanted(way: &IndexWay, matching: usize) -> usize {
    matching.saturating_mul(if way.exact { 1 } else { FILTERED_FACTOR })
}
