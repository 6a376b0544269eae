//! The acts on a person from their page. Each is decided on the person's present state, whatever the page showed: an act that was done
//! already counts as done, and one that is no longer possible is refused with the reason.

use actix_web::web;
use serde_json::{Value, json};

use super::{
    super::{
        flash::Flash,
        form::Form,
        visit::{Shown, Staff, Visit, at},
    },
    person,
    told::{not_done, path_of, say},
};
use crate::{
    domain::{
        event::Role,
        id::UserId,
        user::MailStop,
        view::{UserRow, UserStatus},
    },
    http::{
        Problem, ProblemCode, method,
        pages::route::post,
        routes::{
            command::Nothing,
            me::second_factor,
            passwords, sessions,
            users::{self, ChangeUserBody},
        },
        session::OfPeople,
        store_problem::store_problem,
    },
};

/// An act on a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Resend,
    Disable,
    Enable,
    Plan,
    Role,
    EndSessions,
    Password,
    RemoveFactor,
    AllowMail,
    Delete,
}

impl Act {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "resend" => Self::Resend,
            "disable" => Self::Disable,
            "enable" => Self::Enable,
            "plan" => Self::Plan,
            "role" => Self::Role,
            "end-sessions" => Self::EndSessions,
            "password" => Self::Password,
            "remove-factor" => Self::RemoveFactor,
            "allow-mail" => Self::AllowMail,
            "delete" => Self::Delete,
            _ => return None,
        })
    }
}

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/people/{id}/{act}", "POST").route(post(act)));
}

/// `POST /admin/people/{id}/{act}`.
pub(super) async fn act(visit: Visit<Staff<OfPeople>>, form: Form) -> Shown {
    let act = Act::named(visit.part("act"));
    let act = act.ok_or_else(|| Problem::new(ProblemCode::UnknownPath, "there is nothing of this name to do"))?;
    let id = users::user_id(visit.part("id"))?;
    let before = users::existing(&visit.service, id).await?;
    // A person deleted meanwhile has no stored name: the one from the page is used.
    let name = person::called(&before).or(form.text("called")).unwrap_or_default().to_owned();
    let flash = match is_so_already(act, &before, &form) {
        Some(message) => Flash::done(message),
        None if before.status == UserStatus::Deleted => Flash::not_done("person-was-deleted"),
        None => match perform(&visit, act, id, &form).await {
            Ok(flash) => flash,
            Err(problem) => refused(&visit, act, &before, problem).await?,
        },
    };
    visit.led(&path_of(id), Some(&flash.with("name", name)))
}

/// The message for an act that was done already.
fn is_so_already(act: Act, before: &UserRow, form: &Form) -> Option<&'static str> {
    let status = before.status;
    match act {
        Act::Delete if status == UserStatus::Deleted => Some("person-deleted-already"),
        Act::Disable if status == UserStatus::Disabled => Some("person-disabled-already"),
        Act::Enable if !matches!(status, UserStatus::Disabled | UserStatus::Deleted) => Some("person-enabled-already"),
        Act::Plan if status != UserStatus::Deleted && form.text("plan") == Some(before.plan.as_str()) => {
            Some("person-plan-already")
        }
        Act::Role if status != UserStatus::Deleted && form.text("role") == Some(before.role.as_str()) => {
            Some("person-role-already")
        }
        Act::AllowMail if status != UserStatus::Deleted && before.mail_stop.is_none() => Some("person-mail-already"),
        _ => None,
    }
}

async fn perform(visit: &Visit<Staff<OfPeople>>, act: Act, id: UserId, form: &Form) -> Result<Flash, Problem> {
    let path = web::Path::from(id.to_string());
    let service = visit.service.clone();
    let change = async |body: Value| {
        visit.asked(users::change(visit.settling::<ChangeUserBody>(&body)?, path.clone().into(), service.clone())).await
    };
    Ok(match act {
        Act::Resend => {
            let command = visit.command::<Nothing>(form, &json!({}))?;
            visit.asked(users::resend_invitation(command, path, service)).await?;
            Flash::done("person-resent")
        }
        Act::Disable => {
            change(json!({ "status": "disabled" })).await?;
            Flash::done("person-disabled")
        }
        Act::Enable => {
            change(json!({ "status": "active" })).await?;
            Flash::done("person-enabled")
        }
        Act::Plan => {
            let plan = form.text("plan").unwrap_or_default();
            change(json!({ "plan": plan })).await?;
            Flash::done("person-plan-changed").with("plan", plan)
        }
        Act::Role => {
            let role = form.text("role").unwrap_or_default();
            change(json!({ "role": role })).await?;
            let role = Role::named(role).map_or("reader", Role::as_str);
            Flash::done("person-role-changed").with("role", say(visit.language, &format!("admin-role-{role}"), &[])?)
        }
        Act::EndSessions => {
            let command = visit.settling::<Nothing>(&json!({}))?;
            let ended = visit.asked(sessions::end_all(command, path, service)).await?;
            Flash::done("person-sessions-ended").with("count", at(&ended, "/ended").clone())
        }
        Act::Password => {
            let command = visit.command::<Nothing>(form, &json!({}))?;
            visit.asked(passwords::mail(command, path, service)).await?;
            Flash::done("person-password-mailed")
        }
        Act::RemoveFactor => {
            let command = visit.settling::<Nothing>(&json!({}))?;
            visit.asked(second_factor::remove_of(command, path, service)).await?;
            Flash::done("person-factor-removed")
        }
        Act::AllowMail => {
            let command = visit.settling::<Nothing>(&json!({}))?;
            visit.asked(users::allow_mail(command, path, service)).await?;
            Flash::done("person-mail-allowed")
        }
        Act::Delete => {
            let command = visit.settling::<Nothing>(&json!({}))?;
            visit.asked(users::delete(command, path, service)).await?;
            Flash::done("person-deleted")
        }
    })
}

/// The message for a refusal: by the person's present state where that explains it.
async fn refused(
    visit: &Visit<Staff<OfPeople>>,
    act: Act,
    before: &UserRow,
    problem: Problem,
) -> Result<Flash, super::PageRefusal> {
    if !matches!(problem.code(), ProblemCode::Conflict | ProblemCode::NotFound) {
        return not_done(visit.language, problem);
    }
    let now = users::existing(&visit.service, before.id).await?;
    let mailing = matches!(act, Act::Resend | Act::Password);
    let id = match (act, &now) {
        (Act::Delete, UserRow { status: UserStatus::Deleted, .. }) => return Ok(Flash::done("person-deleted-already")),
        (_, UserRow { status: UserStatus::Deleted, .. }) => "person-was-deleted",
        (_, UserRow { mail_stop: Some(MailStop::Bounced), .. }) if mailing => "person-mail-bounced",
        (_, UserRow { mail_stop: Some(MailStop::Complained), .. }) if mailing => "person-mail-unwanted",
        (_, UserRow { status: UserStatus::Disabled, .. }) if mailing => "person-is-disabled",
        (Act::Delete | Act::Disable | Act::Role, _) if is_last_administrator(visit, before.id).await? => {
            "person-is-last"
        }
        (Act::RemoveFactor, _) if visit.caller().who == crate::domain::id::Who::user(before.id) => "person-own-factor",
        (Act::RemoveFactor, _) => "person-no-factor",
        _ => return not_done(visit.language, problem),
    };
    Ok(Flash::not_done(id))
}

async fn is_last_administrator(visit: &Visit<Staff<OfPeople>>, id: UserId) -> Result<bool, Problem> {
    let set = visit.service.committer.stores.log.administrators().await.map_err(store_problem)?;
    Ok(set.is_some_and(|set| set == [id]))
}
