//! Inviting everybody on a list, and mailing again what was not delivered.

use std::{fs::File, io::Read, path::Path};

use serde_json::json;

use crate::{
    actors::invite::{RosterOrder, RowAction},
    app::Node,
    cli::{
        Answer, Exit, Failure,
        output::{Table, counted, grouped},
        people::{noted, notes},
    },
    domain::roster::{self, ROSTER_BYTES_MAX, RosterRow},
    http::shown_roster,
};

/// Reads a list.
pub(super) fn read(path: &Path, default_plan: &str) -> Result<Vec<RosterRow>, Failure> {
    let failed = |error: std::io::Error| Failure::not_found(format!("{} cannot be read: {error}", path.display()));
    let mut list = Vec::new();
    let most = u64::try_from(ROSTER_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path).and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut list)).map_err(failed)?;
    if list.len() > ROSTER_BYTES_MAX {
        let message = format!("{} is larger than {} bytes; send it in parts", path.display(), grouped(most));
        return Err(Failure::usage(message));
    }
    roster::read(&list, default_plan).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Invites those on a list, and sees to the mails.
pub(super) async fn invite(node: &Node, order: RosterOrder) -> Result<Answer, Failure> {
    let dry_run = order.dry_run;
    let outcome = node.service.inviting.invite_all(order, node.envelope()?).await?;
    node.settle().await?;
    let is_refused = !outcome.is_done && !dry_run;
    let mut table = Table::new(&["LINE", "ACTION", "EMAIL", "REASON"]);
    for row in outcome.rows.iter().filter(|row| dry_run || !matches!(row.action, RowAction::Invited(_))) {
        let (action, reason) = match &row.action {
            RowAction::Invite => ("invite", ""),
            RowAction::Invited(_) => ("invited", ""),
            RowAction::Exists(_) => ("exists", "was invited before"),
            RowAction::Wrong(reason) => ("wrong", reason.as_str()),
            RowAction::Deferred => ("deferred", "no more invitations are mailed in this hour"),
        };
        table.row([row.line.to_string(), action.to_owned(), row.email.clone(), reason.to_owned()]);
    }
    let rows = outcome.rows.len();
    let wait = outcome.wait_s;
    let document = shown_roster(outcome, dry_run);
    let count = |name: &str| document.get("counts").and_then(|counts| counts.get(name)?.as_u64()).unwrap_or(0);
    let mut text = table.render();
    text.push_str(&match (dry_run, is_refused) {
        (true, _) => format!("of {rows} rows {} would be invited, {} are wrong\n", count("invite"), count("wrong")),
        (false, true) => {
            format!("{} of {rows} rows are wrong: nobody was invited; mend them, or add --good\n", count("wrong"))
        }
        (false, false) => format!("{} invited\n", counted(count("invited"), "person")),
    });
    if let Some(wait_s) = wait {
        text.push_str(&format!("{} deferred: run the same again in {wait_s} s\n", counted(count("deferred"), "row")));
    }
    if !dry_run && !is_refused {
        text.push_str(&noted(&notes(node)));
    }
    let has_failed = is_refused || (!dry_run && count("wrong") + count("deferred") > 0);
    let exit = if has_failed { Exit::Refused } else { Exit::Done };
    Ok(Answer { exit, ..Answer::new(document, text) })
}

/// Mails again what was not delivered.
pub(super) async fn resend(node: &Node) -> Result<Answer, Failure> {
    let done = node.service.inviting.resend_unfulfilled(node.envelope()?).await?;
    node.settle().await?;
    let mut text = format!("{} mailed again\n", counted(done.resent, "invitation"));
    if done.deferred > 0 {
        text.push_str(&format!("{} put off by the bounds of an hour: run this again later\n", grouped(done.deferred)));
    }
    if done.left > 0 {
        text.push_str(&format!("{} left: run this again\n", grouped(done.left)));
    }
    let exit = if done.deferred + done.left > 0 { Exit::Refused } else { Exit::Done };
    let document = json!({ "resent": done.resent, "deferred": done.deferred, "left": done.left });
    Ok(Answer { exit, ..Answer::new(document, text) })
}
