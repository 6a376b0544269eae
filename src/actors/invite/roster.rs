//! Invites everybody on a list.
//!
//! Guarantees: each row is a command of its own, with an id from the list's command and the row's line, so that another try of the list's
//! command does the rest. In mode `All`, nobody is invited before every row was found right.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{CommandError, Committed, Envelope, InviteWork, KnownPlans, work::too_many};
use crate::domain::{
    email::Email,
    id::UserId,
    roster::{Invitee, RosterRow},
};

/// Rows in progress at the same time: their commits become durable together.
const ROWS_AT_ONCE: usize = 64;
/// Rows between two checks of others' invitations: several servers together may exceed the hour's limit by this many.
const LOOK_ROWS: usize = 1000;

/// Which rows of a list to invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RosterMode {
    /// Everybody who is not invited yet; nobody if a row is wrong, or if the hour has no room for all.
    All,
    /// Those whose rows are right, as many as the hour has room for.
    Good,
}

/// A list, and how to invite it.
#[derive(Debug)]
pub struct RosterOrder {
    /// Its rows.
    pub rows: Vec<RosterRow>,
    /// Which rows to invite.
    pub mode: RosterMode,
    /// Whether it is a dry run.
    pub dry_run: bool,
}

/// The result of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowAction {
    /// The person would be invited.
    Invite,
    /// The person was invited, now or by an earlier try.
    Invited(UserId),
    /// The address was invited before.
    Exists(Option<UserId>),
    /// The row is wrong.
    Wrong(String),
    /// The hour has no room for the person.
    Deferred,
}

/// A row and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRow {
    /// The line where it begins.
    pub line: u64,
    /// The address as written.
    pub email: String,
    /// What becomes of it.
    pub action: RowAction,
}

/// The result of a list.
#[derive(Debug)]
pub struct RosterOutcome {
    /// The rows in their order.
    pub rows: Vec<ListedRow>,
    /// Whether people were to be invited: not in a dry run, nor in mode `All` with a wrong row.
    pub is_done: bool,
    /// Seconds until the hour has room again, when it had no room for all.
    pub wait_s: Option<u64>,
}

impl InviteWork {
    pub(super) async fn invite_all(
        &self,
        order: RosterOrder,
        envelope: Envelope,
    ) -> Result<RosterOutcome, CommandError> {
        let RosterOrder { rows, mode, dry_run } = order;
        if !dry_run {
            self.committer.begin_many(&envelope).await?;
        }
        let plans = self.plans_of(&rows).await?;
        let (mut listed, mut wanted) = self.sorted(rows, &plans, &envelope).await?;
        let is_wrong = listed.iter().any(|row| matches!(row.action, RowAction::Wrong(_)));
        if !dry_run && mode == RosterMode::All && is_wrong {
            return Ok(RosterOutcome { rows: listed, is_done: false, wait_s: None });
        }
        self.look().await?;
        let (room, wait) = self.window.room(self.committer.clock.now());
        let wait =
            wait.filter(|_| wanted.len() > room).or_else(|| (wanted.len() > room).then_some(crate::domain::pace::HOUR));
        let wait_s = wait.map(|wait| too_many(String::new(), wait)).and_then(|error| match error {
            CommandError::TooManyInvitations { wait_s, .. } => Some(wait_s),
            _ => None,
        });
        if let (Some(wait), RosterMode::All, false) = (wait, mode, dry_run) {
            let (bound, left, count) = (self.window.bound(), room, wanted.len());
            let whose = format!("the list invites {count} people, and of {bound} invitations an hour {left} are left");
            return Err(too_many(whose, wait));
        }
        for (place, _) in wanted.split_off(room.min(wanted.len())) {
            set(&mut listed, place, RowAction::Deferred);
        }
        if !dry_run {
            for chunk in wanted.chunks(LOOK_ROWS) {
                self.look().await?;
                for (place, action) in self.invite_rows(chunk, &plans, &envelope, &listed).await? {
                    set(&mut listed, place, action);
                }
            }
        }
        Ok(RosterOutcome { rows: listed, is_done: !dry_run, wait_s })
    }

    /// The plans that the rows name, each with its problem, if it has one.
    async fn plans_of(
        &self,
        rows: &[RosterRow],
    ) -> Result<HashMap<String, (KnownPlans, Option<String>)>, CommandError> {
        let named: HashSet<&str> = rows.iter().filter_map(|row| Some(row.asked.as_ref().ok()?.plan.as_str())).collect();
        let mut found = HashMap::new();
        for name in named {
            let plans = KnownPlans::load(&self.committer, name).await?;
            let wrong = plans.check(name).err().map(|error| error.to_string());
            found.insert(name.to_owned(), (plans, wrong));
        }
        Ok(found)
    }

    /// The results of the rows before anything is done, and the rows to invite with their places.
    #[allow(clippy::type_complexity, reason = "a list, and what of it is left to do")]
    async fn sorted(
        &self,
        rows: Vec<RosterRow>,
        plans: &HashMap<String, (KnownPlans, Option<String>)>,
        envelope: &Envelope,
    ) -> Result<(Vec<ListedRow>, Vec<(usize, Invitee)>), CommandError> {
        let look = async |RosterRow { line, email, asked }: RosterRow| {
            let wrong = |invitee: &Invitee| plans.get(&invitee.plan).and_then(|(_, wrong)| wrong.clone());
            let (action, invitee) = match asked {
                Err(reason) => (RowAction::Wrong(reason), None),
                Ok(invitee) => match (wrong(&invitee), self.known(&invitee.email).await?) {
                    (Some(reason), _) => (RowAction::Wrong(reason), None),
                    (None, Some(user)) if user == of_row(envelope, line).command.derived_user() => {
                        (RowAction::Invited(user), None)
                    }
                    (None, Some(user)) => (RowAction::Exists(Some(user)), None),
                    (None, None) => (RowAction::Invite, Some(invitee)),
                },
            };
            Ok::<_, CommandError>((ListedRow { line, email, action }, invitee))
        };
        let looked: Vec<_> = stream::iter(rows).map(look).buffered(ROWS_AT_ONCE).try_collect().await?;
        let mut wanted = Vec::new();
        let listed = looked.into_iter().enumerate().map(|(place, (row, invitee))| {
            wanted.extend(invitee.map(|invitee| (place, invitee)));
            row
        });
        let listed = listed.collect();
        Ok((listed, wanted))
    }

    /// The user with this address, by the views.
    async fn known(&self, email: &Email) -> Result<Option<UserId>, CommandError> {
        for form in email.forms() {
            if let Some(user) = self.committer.stores.views.user_by_email(&form).await? {
                return Ok(Some(user.id));
            }
        }
        Ok(None)
    }

    /// Invites these, several at a time. An error of one row does not stop the others.
    async fn invite_rows(
        &self,
        rows: &[(usize, Invitee)],
        plans: &HashMap<String, (KnownPlans, Option<String>)>,
        envelope: &Envelope,
        listed: &[ListedRow],
    ) -> Result<Vec<(usize, RowAction)>, CommandError> {
        let none = KnownPlans::none();
        let invite = async |(place, invitee): &(usize, Invitee)| {
            let line = listed.get(*place).map_or(0, |row| row.line);
            let plans = plans.get(&invitee.plan).map_or(&none, |(plans, _)| plans);
            let done = self.invite_on(plans, invitee.clone(), &of_row(envelope, line)).await;
            Ok((*place, action_of(done)?))
        };
        stream::iter(rows).map(invite).buffer_unordered(ROWS_AT_ONCE).try_collect().await
    }
}

/// The command of a row.
fn of_row(envelope: &Envelope, line: u64) -> Envelope {
    let command = envelope.command.part(&line.to_string());
    Envelope { command, request_hash: None, expected_version: None, ..envelope.clone() }
}

fn set(listed: &mut [ListedRow], place: usize, action: RowAction) {
    if let Some(row) = listed.get_mut(place) {
        row.action = action;
    }
}

fn action_of(done: Result<Committed, CommandError>) -> Result<RowAction, CommandError> {
    match done {
        Ok(committed) => match crate::actors::person::user_in(&committed.state) {
            Some(user) => Ok(RowAction::Invited(user.id)),
            None => Err(CommandError::Refused(crate::domain::user::CommandRefusal::NoUser)),
        },
        Err(CommandError::EmailTaken { user }) => Ok(RowAction::Exists(UserId::parse(&user).ok())),
        Err(CommandError::TooManyInvitations { .. }) => Ok(RowAction::Deferred),
        Err(error @ (CommandError::Refused(_) | CommandError::NoPlan { .. })) => {
            Ok(RowAction::Wrong(error.to_string()))
        }
        Err(error) => Err(error),
    }
}
