//! Writes the rows of one stream anew, in one transaction.

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    domain::{id::StreamId, persisted},
    store::{
        IssuedTwice, Progress, ReplayView, StoreError, last_readable,
        replay::unreadable,
        sqlite::{batches::whole_stream, quarantine, twice, views::Statements},
    },
};

/// Replaces the live rows of a stream by those that follow from its commits; with a view, only those of that view.
pub(super) fn stream(
    connection: &mut Connection,
    stream: &StreamId,
    view: Option<ReplayView>,
) -> Result<Progress, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let commits = whole_stream(&transaction, stream)?;
    let (state, readable, problem) = last_readable(stream, commits.iter());
    if let Some(error) = problem
        && !quarantine::holds(&transaction, stream)?
    {
        return Err(unreadable(error));
    }
    let mut rows = state.rows();
    for IssuedTwice { key, other, .. } in twice::of_stream(&transaction, stream)? {
        // The second owner of a key that was issued twice has no row of it.
        if *stream == StreamId::User(other) {
            rows.keys.retain(|row| row.id != key);
        }
    }
    let (name, place) = match stream {
        StreamId::User(user) => (user.to_string(), "user"),
        StreamId::Plan(name) => (name.clone(), "name"),
        StreamId::DataSet(name) => (name.clone(), "dataset"),
        StreamId::AdminTokens => (String::new(), ""),
    };
    for table in ReplayView::ALL {
        if !table.follows_from(stream) || view.is_some_and(|view| view != table) {
            continue;
        }
        let which = match table {
            ReplayView::Users => "WHERE id = ?1".to_owned(),
            // All of them follow from the one stream.
            ReplayView::Tokens => "WHERE ?1 = ''".to_owned(),
            ReplayView::Keys | ReplayView::Sessions | ReplayView::Plans | ReplayView::Imports => {
                format!("WHERE {place} = ?1")
            }
        };
        transaction.execute(&format!("DELETE FROM {} {which}", table.name()), [&name])?;
    }
    Statements::new("", true).put_of(view, &transaction, &[rows])?;
    // No commit tells processes that keep people in memory to read them again: a changed schema does.
    transaction.execute_batch("CREATE TABLE mended (one INTEGER) STRICT; DROP TABLE mended")?;
    transaction.commit()?;
    let events = commits.iter().take(readable).map(|(commit, _)| persisted::count(commit.events));
    Ok(Progress { commits: u64::try_from(commits.len()).unwrap_or(u64::MAX), events: events.sum(), streams: 1 })
}
