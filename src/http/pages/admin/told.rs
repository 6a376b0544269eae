//! Texts that pages of the administration share, and choices of their forms.

use actix_web::http::{StatusCode, header};
use fluent_bundle::{FluentArgs, FluentValue};
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::{
    domain::{event::Role, id::UserId, view::PlanRow},
    http::{
        Problem, ProblemCode,
        pages::{
            flash::Flash,
            form::Form,
            language::Language,
            messages,
            visit::{PageRefusal, Shown, Staff, Visit, Visitor},
        },
        session::{KnownCaller, Needs},
        state::Service,
        store_problem::store_problem,
    },
};

/// Characters of a written day.
pub(super) const DAY_CHARS: usize = 10;

/// A message filled in with numbers and texts only.
///
/// # Errors
/// A fault of ours: a message that is missing.
pub(super) fn say(language: Language, id: &str, with: &[(&str, Value)]) -> Result<String, Problem> {
    let mut arguments = FluentArgs::new();
    for (name, value) in with {
        let value = match value {
            Value::Number(number) => FluentValue::from(number.as_f64().unwrap_or_default()),
            Value::String(text) => FluentValue::from(text.clone()),
            other => FluentValue::from(other.to_string()),
        };
        arguments.set((*name).to_owned(), value);
    }
    messages::say(language, id, &arguments).ok_or_else(|| Problem::internal(format!("there is no message {id}")))
}

/// Why something was not done, in the reader's language where there is a message for it.
pub(super) fn reason(language: Language, problem: &Problem) -> Result<String, Problem> {
    match problem.code() {
        ProblemCode::InvitationLimit => {
            let wait = problem.headers().iter().find(|(name, _)| name == header::RETRY_AFTER);
            let wait_s: u64 = wait.and_then(|(_, value)| value.to_str().ok()?.parse().ok()).unwrap_or(3600);
            say(language, "admin-reason-limit", &[("minutes", json!(wait_s.div_ceil(60)))])
        }
        ProblemCode::MissingPermission => say(language, "admin-reason-beyond", &[]),
        ProblemCode::PreconditionFailed => say(language, "admin-reason-changed", &[]),
        ProblemCode::Overloaded | ProblemCode::Unavailable => say(language, "admin-reason-unavailable", &[]),
        _ => Ok(problem.detail().to_owned()),
    }
}

/// The next page's message about a refusal. A fault of ours gets a page of its own.
pub(super) fn not_done(language: Language, problem: Problem) -> Result<Flash, PageRefusal> {
    if problem.code() == ProblemCode::Internal {
        return Err(problem.into());
    }
    Ok(Flash::not_done("admin-not-done").with("reason", reason(language, &problem)?))
}

/// A mistake in a field, in the reader's language.
pub(super) fn wrong_field(
    language: Language,
    field: &str,
    id: &str,
    with: &[(&str, Value)],
) -> Result<Problem, Problem> {
    Ok(Problem::new(ProblemCode::InvalidBody, format!("at `{field}`: {}", say(language, id, with)?)))
}

/// A page with its form again, the typed values and the mistake. A fault of ours gets a page of its own.
pub(super) fn again<W: Visitor>(
    visit: &Visit<W>,
    form: &Form,
    problem: &Problem,
    template: &str,
    mut context: Value,
) -> Shown {
    if problem.code() == ProblemCode::Internal {
        return Err(problem.clone().into());
    }
    let detail = reason(visit.language, problem)?;
    let told = problem.clone().detailed(detail);
    if let Some(fields) = context.as_object_mut() {
        fields.insert("form".to_owned(), form.again(&told));
    }
    visit.page_as(status(problem), template, &context)
}

pub(super) fn status(problem: &Problem) -> StatusCode {
    problem.code().status()
}

/// The roles that the caller may give, to choose from.
pub(super) fn roles(language: Language, caller: &KnownCaller) -> Result<Vec<(&'static str, String)>, Problem> {
    let given = Role::ALL.into_iter().filter(|role| caller.may_give(*role).is_ok());
    given.map(|role| Ok((role.as_str(), say(language, &format!("admin-role-{}", role.as_str()), &[])?))).collect()
}

/// The plans that are not retired, to choose from.
pub(super) async fn plans_to_give(service: &Service) -> Result<Vec<(String, String)>, Problem> {
    let plans: Vec<PlanRow> = service.committer.stores.views.plans().await.map_err(store_problem)?;
    Ok(plans.into_iter().filter(|plan| !plan.retired).map(|plan| (plan.name.clone(), plan.name)).collect())
}

/// A day such as `2026-03-01`, without a time.
pub(super) fn day_in(text: &str) -> Option<Date> {
    let text = text.trim();
    if text.len() == DAY_CHARS { text.parse().ok() } else { None }
}

/// The path of a person's page.
pub(super) fn path_of(user: UserId) -> String {
    format!("/admin/people/{user}")
}

impl<N: Needs + Clone> Visit<Staff<N>> {
    /// The caller who gives the commands.
    pub(super) fn caller(&self) -> &KnownCaller {
        let Staff(admin) = &self.who;
        &admin.caller
    }
}
