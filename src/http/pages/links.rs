//! The links of mails as people open them: `/links/{token}`. Looking spends nothing; the form does what the link is for, and setting a
//! password signs its person in.

use actix_web::{HttpRequest, HttpResponse, dev::Payload, http::StatusCode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    flash::Flash,
    form::Form,
    handed::{self, Handed},
    route::{self, answered},
    sign_in::entered::{entered, provider_label, worded},
    visit::{Anyone, Shown, Visit, put},
};
use crate::{
    actors::sign_in::{Behind, Redeemed},
    domain::{
        bounds::names_dataset,
        id::UserId,
        link::{LinkPurpose, PresentedLink},
        user::User,
    },
    http::{
        Problem, ProblemCode,
        routes::{
            links::opened::{opened, owner, used},
            refusal::command_problem,
            sessions,
        },
        served::served,
        store_problem::store_problem,
    },
};

const TEMPLATE: &str = "links/page.html";

/// The page of a link.
pub(in crate::http) async fn show(request: &HttpRequest) -> HttpResponse {
    route::sent(request, shown(request).await).await
}

async fn shown(request: &HttpRequest) -> Shown {
    let visit = Visit::<Anyone>::open(request).await?;
    // The owner has not kept the key yet: it is shown, though the link itself is over.
    let owner = owner(visit.part("token"));
    let is_theirs = |what: &Handed| matches!(what, Handed::Key(user, _) if owner == Some(*user));
    if let Some(key) = handed::secret(&visit, is_theirs).await? {
        let mut context = context(&visit, "key", None, &Value::Null, &key);
        put(&mut context, "dataset", example_of(&visit, owner).await?);
        return visit.page(TEMPLATE, &context);
    }
    match opened(request, &visit.service, visit.part("token")).await {
        Ok((link, behind)) => asked(&visit, link, behind, StatusCode::OK, &Value::Null).await,
        Err(problem) => not_open(&visit, problem),
    }
}

/// The page for the link's purpose.
async fn asked(visit: &Visit<Anyone>, link: PresentedLink, behind: Behind, status: StatusCode, form: &Value) -> Shown {
    let user = visit.service.committer.load_user(link.place.user).await.map_err(command_problem)?;
    let state = match behind.purpose {
        LinkPurpose::Invitation => "invitation",
        LinkPurpose::PasswordReset => "reset",
        LinkPurpose::ClaimKey => "claim",
    };
    visit.page_as(status, TEMPLATE, &context(visit, state, Some((user.as_ref(), behind)), form, &Value::Null))
}

/// A data set that the key's owner may read, to try the key with.
async fn example_of(visit: &Visit<Anyone>, owner: Option<UserId>) -> Result<Value, Problem> {
    let Some(owner) = owner else { return Ok(Value::Null) };
    let Some(user) = visit.service.committer.load_user(owner).await.map_err(command_problem)? else {
        return Ok(Value::Null);
    };
    let plan = visit.service.committer.stores.views.plan(&user.plan).await.map_err(store_problem)?;
    let names = plan.and_then(|plan| plan.rules.datasets);
    let may_read = |name: &str| names_dataset(names.as_deref(), name);
    let readable = served(&visit.service).into_iter().find(|set| may_read(&set.definition.name));
    Ok(json!(readable.map(|set| set.definition.name.clone())))
}

fn context(
    visit: &Visit<Anyone>,
    state: &str,
    of: Option<(Option<&User>, Behind)>,
    form: &Value,
    key: &Value,
) -> Value {
    let service = &visit.service;
    let email = of.and_then(|(user, _)| user?.email.known());
    json!({
        "state": state, "form": form, "key": key, "email": email,
        "expires_at": of.map(|(_, behind)| behind.expires_at),
        "chars_min": service.settings.accounts.password_chars_min,
        "has_passwords": service.settings.accounts.sign_in,
        "provider": provider_label(service),
        "dataset": null,
    })
}

/// The answer to a link that does not open. A link that is over has a page of its own, which says how to get another.
fn not_open(visit: &Visit<Anyone>, problem: Problem) -> Shown {
    if problem.code() != ProblemCode::LinkOver {
        return Err(worded(visit, problem).into());
    }
    visit.page_as(problem.code().status(), TEMPLATE, &context(visit, "over", None, &Value::Null, &Value::Null))
}

/// Handles a form of a link's page.
pub(in crate::http) async fn send(request: &HttpRequest, payload: Payload) -> HttpResponse {
    answered(request, sent(request, payload).await)
}

async fn sent(request: &HttpRequest, payload: Payload) -> Shown {
    let visit = Visit::<Anyone>::open(request).await?;
    let form = Form::of_anyone(request, payload, &visit.service).await?;
    if form.has("kept") {
        return kept(&visit);
    }
    let (link, behind) = match opened(request, &visit.service, visit.part("token")).await {
        Ok(opened) => opened,
        Err(problem) => return not_open(&visit, problem),
    };
    let password = form.secret("password");
    match used(request, &visit.service, link, password).await {
        Ok(Redeemed::PasswordSet) => signed_in(&visit, link, password.unwrap_or_default()).await,
        Ok(Redeemed::Key(key)) => {
            handed::begin(&visit, visit.led(visit.request.path(), None), &Handed::Key(link.place.user, key.id()))
        }
        // The link still works: its form is shown again with the mistake.
        Err(problem) if problem.code() == ProblemCode::InvalidBody => {
            let problem = about_password(&visit, password.unwrap_or_default(), problem);
            asked(&visit, link, behind, problem.code().status(), &form.again(&problem)).await
        }
        Err(problem) => not_open(&visit, problem),
    }
}

/// A mistake in a new password, in the reader's language.
pub(super) fn about_password<W: super::visit::Visitor>(visit: &Visit<W>, password: &str, problem: Problem) -> Problem {
    let min = visit.service.settings.accounts.password_chars_min;
    let said = match () {
        () if password.chars().count() < min => visit.say("links-too-short", &[("min", min.to_string())]),
        () if problem.detail().contains("e-mail address") => visit.say("links-is-address", &[]),
        () => None,
    };
    match said {
        Some(said) => problem.detailed(format!("at `password`: {said}")),
        None => problem,
    }
}

/// Signs in a person who has just set their password. With a second factor, its code comes first.
async fn signed_in(visit: &Visit<Anyone>, link: PresentedLink, password: &str) -> Shown {
    let user = visit.service.committer.load_user(link.place.user).await.map_err(command_problem)?;
    let email = user.as_ref().and_then(|user| user.email.known()).unwrap_or_default();
    let given = sessions::given(&visit.request, email, Zeroizing::new(password.to_owned()), None);
    let told = ["links-set", "links-set-code"].map(Flash::done);
    match sessions::offered(&visit.service) {
        Ok(()) => match entered(visit, given, None, told.each_ref().map(Some)).await {
            Ok(led) => Ok(led),
            // The password is set, whatever prevents signing in.
            Err(_) => visit.led("/sign-in", Some(&Flash::done("links-set-sign-in"))),
        },
        Err(_) => visit.led("/", Some(&Flash::done("links-set-sign-in"))),
    }
}

/// The owner has kept the key: it is shown no more.
fn kept(visit: &Visit<Anyone>) -> Shown {
    let place = if visit.known().is_some() { "/home" } else { "/" };
    handed::end(visit, visit.led(place, Some(&Flash::done("links-kept"))))
}
