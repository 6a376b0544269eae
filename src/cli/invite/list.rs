//! Invites everybody on a list, and mails again what was not delivered.

use std::{fs::File, io::Read, path::Path};

use serde_json::json;

use crate::{
    actors::invite::{RosterOrder, RowAction},
    app::Node,
    cli::{
        CommandAnswer, Exit, Failure,
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
pub(super) async fn invite(node: &Node, order: RosterOrder) -> Result<CommandAnswer, Failure> {
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
    let wait = outcome.wait_s;
    let mut document = shown_roster(outcome, dry_run);
    let counts = document.get("counts").cloned().unwrap_or_default();
    let count = &|name: &str| counts.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let mut text = table.render();
    let invited = count("invited");
    text.push_str(&match (dry_run, is_refused) {
        (true, _) => format!("{}\n", foretold(count)),
        (false, true) => format!("{}, or add --good\n", roster::refused(count("wrong"), rows(count))),
        (false, false) if invited == 1 => "1 person invited\n".to_owned(),
        (false, false) => format!("{} people invited\n", grouped(invited)),
    });
    if let Some(wait_s) = wait {
        text.push_str(&format!("{} deferred: run the same again in {wait_s} s\n", counted(count("deferred"), "row")));
    }
    let notes = if dry_run || is_refused { Vec::new() } else { of_mails(node, invited) };
    text.push_str(&noted(&notes));
    let has_failed = is_refused || (!dry_run && count("wrong") + count("deferred") > 0);
    let exit = if has_failed { Exit::Refused } else { Exit::Done };
    if let Some(fields) = document.as_object_mut() {
        fields.insert("notes".to_owned(), json!(notes));
    }
    Ok(CommandAnswer { exit, ..CommandAnswer::new(document, text) })
}

/// What a dry run counts, in the order in which it is told: one, and several.
const FORETOLD: [(&str, &str, &str); 5] = [
    ("invite", "would be invited", "would be invited"),
    ("invited", "was invited", "were invited"),
    ("exists", "was invited before", "were invited before"),
    ("wrong", "is wrong", "are wrong"),
    ("deferred", "would have to wait", "would have to wait"),
];

fn rows(count: impl Fn(&str) -> u64) -> u64 {
    FORETOLD.iter().map(|(name, ..)| count(name)).sum()
}

/// What would become of how many rows: the parts make up the whole.
fn foretold(count: impl Fn(&str) -> u64) -> String {
    let parts = FORETOLD.iter().filter_map(|(name, one, several)| match count(name) {
        0 => None,
        1 => Some(format!("1 {one}")),
        number => Some(format!("{} {several}", grouped(number))),
    });
    format!("{}: {}", counted(rows(&count), "row"), parts.collect::<Vec<_>>().join(", "))
}

/// What to know of the mails to so many people: also that a server sends them, where one does.
fn of_mails(node: &Node, people: u64) -> Vec<String> {
    let by_server = (node.beside_server && people > 0).then(|| {
        "the mails are still to be sent: the running server does that now. `permitd users list --invitation invited` shows whose mail \
         is not sent yet, `--invitation failed` whose was refused"
            .to_owned()
    });
    by_server.into_iter().chain(notes(node)).collect()
}

/// Mails again what was not delivered.
pub(super) async fn resend(node: &Node) -> Result<CommandAnswer, Failure> {
    let done = node.service.inviting.resend_unfulfilled(node.envelope()?).await?;
    node.settle().await?;
    let mut text = match node.beside_server {
        true => format!("{} to be mailed again\n", counted(done.resent, "invitation")),
        false => format!("{} mailed again\n", counted(done.resent, "invitation")),
    };
    if done.deferred > 0 {
        text.push_str(&format!("{} put off by the bounds of an hour: run this again later\n", grouped(done.deferred)));
    }
    if done.left > 0 {
        text.push_str(&format!("{} left: run this again\n", grouped(done.left)));
    }
    let exit = if done.deferred + done.left > 0 { Exit::Refused } else { Exit::Done };
    let notes = if done.resent > 0 { of_mails(node, done.resent) } else { Vec::new() };
    text.push_str(&noted(&notes));
    let document = json!({ "resent": done.resent, "deferred": done.deferred, "left": done.left, "notes": notes });
    Ok(CommandAnswer { exit, ..CommandAnswer::new(document, text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_dry_run_make_up_its_rows() {
        let told = |counts: &[(&str, u64)]| {
            foretold(|name| counts.iter().find(|(counted, _)| *counted == name).map_or(0, |(_, count)| *count))
        };
        for (counts, words) in [
            (&[("invite", 1)][..], "1 row: 1 would be invited"),
            (&[("exists", 1)], "1 row: 1 was invited before"),
            (&[("wrong", 1)], "1 row: 1 is wrong"),
            (&[("invite", 1), ("wrong", 1)], "2 rows: 1 would be invited, 1 is wrong"),
            (
                &[("exists", 2), ("wrong", 2), ("deferred", 1)],
                "5 rows: 2 were invited before, 2 are wrong, 1 would have to wait",
            ),
        ] {
            assert_eq!(told(counts), words);
        }
    }
}
