//! Invitations of many: `/invitations`, `/invitations/resend`.

use actix_web::{
    HttpMessage, HttpRequest,
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{
    answer::{self, Answer},
    command::{CommandRequest, Nothing},
    params::Params,
    refusal::command_problem,
};
use crate::{
    actors::invite::{ListedRow, RosterMode, RosterOrder, RosterOutcome, RowAction},
    domain::{
        id::UserId,
        roster::{self, ROSTER_BYTES_MAX, RosterRow},
    },
    http::{
        Problem, ProblemCode, body,
        conditions::Conditions,
        method,
        session::{Admin, KnownCaller, OfPeople},
        state::Service,
    },
};

/// Most wrong rows that a refusal lists.
const WRONG_ROWS_MAX: usize = 100;
const MODES: [(&str, RosterMode); 2] = [("all", RosterMode::All), ("good", RosterMode::Good)];
const FLAGS: [(&str, bool); 2] = [("true", true), ("false", false)];

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/invitations", "POST").route(web::method(Method::POST).to(invite_all)))
        .service(method::resource("/invitations/resend", "POST").route(web::method(Method::POST).to(resend)));
}

/// What becomes of a row of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum ShownAction {
    /// They would be invited.
    Invite,
    /// They are invited.
    Invited,
    /// Somebody with that address was invited before; nothing is done.
    Exists,
    /// The row is wrong; nothing is done.
    Wrong,
    /// Nothing is done, since no more invitations are mailed in this hour: send the list again later.
    Deferred,
}

/// A row of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InvitationRow", deny_unknown_fields)]
pub(in crate::http) struct ShownRow {
    /// The line that it begins in, from 1.
    line: u64,
    /// The address as it stands there.
    email: String,
    /// What becomes of it.
    action: ShownAction,
    /// Who has that address.
    user: Option<UserId>,
    /// What is wrong.
    reason: Option<String>,
}

impl From<ListedRow> for ShownRow {
    fn from(ListedRow { line, email, action }: ListedRow) -> Self {
        let (action, user, reason) = match action {
            RowAction::Invite => (ShownAction::Invite, None, None),
            RowAction::Invited(user) => (ShownAction::Invited, Some(user), None),
            RowAction::Exists(user) => (ShownAction::Exists, user, None),
            RowAction::Wrong(reason) => (ShownAction::Wrong, None, Some(reason)),
            RowAction::Deferred => (ShownAction::Deferred, None, None),
        };
        Self { line, email, action, user, reason }
    }
}

/// How many rows became what.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "InvitationCounts", deny_unknown_fields)]
pub(in crate::http) struct RowCounts {
    /// Rows whose people would be invited.
    invite: u64,
    /// Rows whose people are invited.
    invited: u64,
    /// Rows whose people were invited before.
    exists: u64,
    /// Wrong rows.
    wrong: u64,
    /// Rows that have to wait.
    deferred: u64,
}

/// What became of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InvitedList", deny_unknown_fields)]
pub(in crate::http) struct ShownRoster {
    /// Its rows.
    data: Vec<ShownRow>,
    /// How many became what.
    counts: RowCounts,
    /// Whether nothing was done.
    dry_run: bool,
    /// Seconds until more can be invited, where some have to wait.
    retry_after_s: Option<u64>,
}

impl ShownRoster {
    /// The answer that shows the outcome of a list.
    pub(in crate::http) fn of(outcome: RosterOutcome, dry_run: bool) -> Self {
        let data: Vec<ShownRow> = outcome.rows.into_iter().map(ShownRow::from).collect();
        let mut counts = RowCounts::default();
        for row in &data {
            *match row.action {
                ShownAction::Invite => &mut counts.invite,
                ShownAction::Invited => &mut counts.invited,
                ShownAction::Exists => &mut counts.exists,
                ShownAction::Wrong => &mut counts.wrong,
                ShownAction::Deferred => &mut counts.deferred,
            } += 1;
        }
        Self { data, counts, dry_run, retry_after_s: outcome.wait_s }
    }
}

async fn invite_all(
    admin: Admin<OfPeople>,
    conditions: Conditions,
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Answer {
    let params = Params::read(request.query_string(), &["dry_run", "mode"])?;
    let dry_run = params.one_of("dry_run", &FLAGS)?.unwrap_or(false);
    let mode = params.one_of("mode", &MODES)?.unwrap_or(RosterMode::All);
    let media_type = request.content_type().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type != "text/csv" {
        let detail = "the body must be CSV and say so: content-type: text/csv";
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    }
    let bytes = body::bytes_of(&request, payload.into_inner(), ROSTER_BYTES_MAX).await?;
    let rows = rows_of(&bytes, &admin.caller, &service)?;
    // The query belongs to the request: another mode is another request.
    let asked = [request.query_string().as_bytes(), b"\n", &bytes].concat();
    let envelope = conditions.administering(&service, &admin.caller, &request, &asked)?;
    let order = RosterOrder { rows, mode, dry_run };
    let outcome = service.inviting.invite_all(order, envelope).await.map_err(command_problem)?;
    let is_refused = !outcome.is_done && !dry_run;
    let shown = ShownRoster::of(outcome, dry_run);
    if is_refused {
        let wrong: Vec<&ShownRow> =
            shown.data.iter().filter(|row| row.action == ShownAction::Wrong).take(WRONG_ROWS_MAX).collect();
        let rows = u64::try_from(shown.data.len()).unwrap_or(u64::MAX);
        let detail = format!("{}, or send the list with mode=good", roster::refused(shown.counts.wrong, rows));
        return Err(Problem::new(ProblemCode::InvalidBody, detail).member("rows", json!(wrong)));
    }
    Ok(answer::document(StatusCode::OK, &shown))
}

/// The rows of a list that this caller may invite.
///
/// # Errors
/// 400 when it cannot be read; 403 when a row gives a role that the caller may not give.
pub(in crate::http) fn rows_of(
    list: &[u8],
    caller: &KnownCaller,
    service: &Service,
) -> Result<Vec<RosterRow>, Problem> {
    let rows = roster::read(list, &service.settings.users.default_plan)
        .map_err(|error| Problem::new(ProblemCode::InvalidBody, error.to_string()))?;
    for role in rows.iter().filter_map(|row| Some(row.asked.as_ref().ok()?.role)) {
        caller.may_give(role)?;
    }
    Ok(rows)
}

async fn resend(command: CommandRequest<Nothing, OfPeople>, service: web::Data<Service>) -> Answer {
    let done = service.inviting.resend_unfulfilled(command.envelope).await.map_err(command_problem)?;
    let body = json!({ "resent": done.resent, "deferred": done.deferred, "left": done.left });
    Ok(answer::document(StatusCode::ACCEPTED, &body))
}
