//! Facets and figures of the records that a filter means.

use super::{
    Served, Shared, plan,
    reading::{self, Reading, Stop},
    row,
};
use crate::{
    dataset::{
        Value,
        query::{Facets, Filter, Stats},
        summary::{Facet, FacetTally, Figures, FiguresTally},
    },
    store::records::{DataSet, RecordStoreError, Summary, rules},
};

/// The values of columns, and how often each occurs.
pub(super) async fn facets(
    shared: &Shared,
    data_set: &DataSet,
    facets: &Facets,
) -> Result<Summary<Facet>, RecordStoreError> {
    let columns: Vec<_> = facets.columns.iter().map(|column| (*column, FacetTally::new(*column))).collect();
    let summary = summarise(shared, data_set, &facets.filter, columns, FacetTally::add).await?;
    Ok(finished(summary, |tally| tally.finish(facets.limit)))
}

/// The figures of columns.
pub(super) async fn stats(
    shared: &Shared,
    data_set: &DataSet,
    stats: &Stats,
) -> Result<Summary<Figures>, RecordStoreError> {
    let columns: Vec<_> = stats.columns.iter().map(|column| (*column, FiguresTally::new(*column))).collect();
    let summary = summarise(shared, data_set, &stats.filter, columns, FiguresTally::add).await?;
    Ok(finished(summary, FiguresTally::finish))
}

fn finished<T, F>(summary: Summary<T>, finish: impl Fn(T) -> F) -> Summary<F> {
    let Summary { version, records, columns } = summary;
    Summary { version, records, columns: columns.into_iter().map(finish).collect() }
}

/// Adds up the values of columns, each in a tally of its own, over all records that a filter means.
async fn summarise<T>(
    shared: &Shared,
    data_set: &DataSet,
    filter: &Filter,
    columns: Vec<(usize, T)>,
    add: impl Fn(&mut T, &Value),
) -> Result<Summary<T>, RecordStoreError> {
    let narrow = || rules::narrowing(&data_set.definition, false);
    shared
        .bounded(narrow, async {
            let served = shared.served_for(data_set, None).await?;
            summary_of(shared, &served, filter, columns, add).await
        })
        .await
}

async fn summary_of<T>(
    shared: &Shared,
    served: &Served,
    filter: &Filter,
    mut columns: Vec<(usize, T)>,
    add: impl Fn(&mut T, &Value),
) -> Result<Summary<T>, RecordStoreError> {
    let mut reading = Reading::begin(shared, served, filter, None)?;
    let mut records = 0;
    if let Some(way) = plan::everything(&served.manifest.layout, filter) {
        let read = reading.each(&way, |record| {
            records += 1;
            for (column, tally) in &mut columns {
                add(tally, row::value(&record, *column));
            }
            Ok(())
        });
        match read.await {
            Ok(()) => {}
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::OverBudget) => return Err(reading.too_much(reading::narrow(reading.definition(), filter, &[]))),
        }
    }
    reading.check_held().await?;
    let columns = columns.into_iter().map(|(_, tally)| tally).collect();
    Ok(Summary { version: reading.version, records, columns })
}
