//! `/admin/tokens`: administrators' tokens for programs: made, shown once, revoked.

use actix_web::{
    http::{StatusCode, header},
    web,
};
use serde_json::{Value, json};

use super::{
    super::{
        flash::Flash,
        form::Form,
        handed::{self, Handed},
        route::{get, post},
        visit::{KnownVisitor, Shown, Staff, Visit, at, put},
    },
    told::{day_in, not_done, reason, say, wrong_field},
};
use crate::{
    domain::{id::Who, key::KeyId, permission::Permission},
    http::{
        Problem, ProblemCode,
        cookie::Cookie,
        method,
        routes::{
            admin_tokens::{self, TokenBody},
            command::Nothing,
        },
        session::OfAll,
        store_problem::store_problem,
    },
};

const TEMPLATE: &str = "admin/tokens/page.html";
const PATH: &str = "/admin/tokens";

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/tokens", "GET, HEAD, POST").route(get(show)).route(post(create)))
        .service(method::resource("/admin/tokens/kept", "POST").route(post(kept)))
        .service(method::resource("/admin/tokens/{id}/revoke", "POST").route(post(revoke)));
}

type TokensVisit = Visit<Staff<OfAll>>;

async fn show(visit: TokensVisit) -> Shown {
    page(&visit, &Value::Null, StatusCode::OK).await
}

async fn page(visit: &TokensVisit, form: &Value, status: StatusCode) -> Shown {
    let Staff(admin) = &visit.who;
    // The API's list, with its parameters; after a form there are none.
    let listed = admin_tokens::list(admin.clone(), visit.request.clone(), visit.service.clone());
    let listed = visit.asked(listed).await?;
    let tokens = at(&listed, "/data").as_array().cloned().unwrap_or_default();
    let own = own_token(visit, &tokens);
    let scopes: Vec<(&str, String)> = Permission::ALL
        .into_iter()
        .map(|one| Ok((one.as_str(), say(visit.language, &format!("tokens-scope-{}", one.as_str()), &[])?)))
        .collect::<Result<_, Problem>>()?;
    let context = json!({
        "tokens": tokens, "next": at(&listed, "/page/next"), "own": own, "scopes": scopes, "form": form,
        "until": visit.caller().until, "made": handed::secret(visit, |what| matches!(what, Handed::Token(_))).await?,
    });
    visit.page_as(status, TEMPLATE, &context)
}

/// The token that opened this page, if it is in the list.
fn own_token(visit: &TokensVisit, tokens: &[Value]) -> Option<String> {
    if !matches!(visit.known(), Some(KnownVisitor::Token(_))) {
        return None;
    }
    let who = &visit.caller().who;
    let ids = tokens.iter().filter_map(|token| at(token, "/id").as_str());
    ids.into_iter().find(|id| is_of(visit, who, id)).map(ToOwned::to_owned)
}

fn is_of(visit: &TokensVisit, who: &Who, id: &str) -> bool {
    let old = visit.service.old_tokens.values().find(|old| old.id.as_str() == id);
    old.map_or_else(|| *who == Who::token(id), |old| old.who == *who)
}

async fn create(visit: TokensVisit, form: Form) -> Shown {
    match created(&visit, &form).await {
        Ok(token) => {
            let name = at(&token, "/name").as_str().unwrap_or_default();
            let message = if token.get("token").is_some() { "tokens-made" } else { "tokens-late" };
            let led = visit.led(PATH, Some(&Flash::done(message).with("name", name)));
            handed::begin(&visit, led, &Handed::token(&token)?)
        }
        Err(problem) if problem.code() == ProblemCode::Internal => Err(problem.into()),
        Err(problem) => {
            let told = problem.clone().detailed(reason(visit.language, &problem)?);
            page(&visit, &form.again(&told), problem.code().status()).await
        }
    }
}

async fn created(visit: &TokensVisit, form: &Form) -> Result<Value, Problem> {
    let Some(name) = form.text("name") else { return Err(wrong_field(visit.language, "name", "tokens-no-name", &[])?) };
    let scopes = form.all("scopes");
    if scopes.is_empty() {
        return Err(wrong_field(visit.language, "scopes", "tokens-no-scope", &[])?);
    }
    let mut body = json!({ "name": name, "scopes": scopes, "read_only": form.text("access") == Some("read") });
    if let Some(day) = form.text("expires_at") {
        // A day counts to its end.
        let moment = day_in(day).map(|day| format!("{day}T23:59:59Z"));
        let Some(moment) = moment else { return Err(wrong_field(visit.language, "expires_at", "tokens-no-day", &[])?) };
        let is_past = moment.parse::<jiff::Timestamp>().is_ok_and(|at| at <= visit.service.committer.clock.now());
        if is_past {
            return Err(wrong_field(visit.language, "expires_at", "tokens-past", &[])?);
        }
        put(&mut body, "expires_at", json!(moment));
    }
    let rows = visit.service.committer.stores.views.admin_tokens().await.map_err(store_problem)?;
    let now = visit.service.committer.clock.now();
    let command = visit.command::<TokenBody>(form, &body)?;
    let made = visit.asked(admin_tokens::create(command, visit.service.clone())).await;
    match made {
        Err(problem)
            if problem.code() == ProblemCode::Conflict && rows.iter().any(|row| row.works(now) && row.name == name) =>
        {
            Err(wrong_field(visit.language, "name", "tokens-name-taken", &[])?)
        }
        made => made,
    }
}

async fn kept(visit: TokensVisit, _: Form) -> Shown {
    handed::end(&visit, visit.led(PATH, Some(&Flash::done("tokens-kept"))))
}

async fn revoke(visit: TokensVisit, _: Form) -> Shown {
    let id = visit.part("id").to_owned();
    let is_own = matches!(visit.known(), Some(KnownVisitor::Token(_))) && is_of(&visit, &visit.caller().who, &id);
    let known = KeyId::parse(&id).map_err(|error| Problem::new(ProblemCode::NotFound, error.to_string()))?;
    let row = visit.service.committer.stores.views.admin_token(known).await.map_err(store_problem)?;
    let was_revoked = row.as_ref().is_some_and(|row| row.revoked_at.is_some());
    let name = row.map(|row| row.name).unwrap_or_default();
    let command = visit.settling::<Nothing>(&json!({}))?;
    match visit.asked(admin_tokens::revoke(command, web::Path::from(id), visit.service.clone())).await {
        Ok(_) if is_own => {
            let mut led = visit.led("/sign-in", Some(&Flash::done("tokens-own-revoked").with("name", name)))?;
            let removed = Cookie::TOKEN.remove(&visit.service.public_url)?;
            led.headers_mut().append(header::SET_COOKIE, removed);
            Ok(led)
        }
        Ok(_) => {
            let message = if was_revoked { "tokens-revoked-already" } else { "tokens-revoked" };
            visit.led(PATH, Some(&Flash::done(message).with("name", name)))
        }
        Err(problem) => visit.led(PATH, Some(&not_done(visit.language, problem)?)),
    }
}
