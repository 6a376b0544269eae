//! `/home/security`: the password, the second factor, the sessions, the notices, and the data kept about a person.

use actix_web::{http::StatusCode, web};
use qrcode::{Color, EcLevel, QrCode};
use serde_json::{Value, json};

use crate::{
    config::accounts::SecondFactorDemand,
    domain::{event::Role, id::Who, key::KeyId, sign_in::SessionEnd, totp},
    http::{
        Problem, ProblemCode, method,
        pages::{
            flash::Flash,
            form::Form,
            handed::{self, Handed},
            links::about_password,
            route::{get, post},
            sign_in::entered::{provider_label, worded},
            visit::{Shown, SignedInPerson, Visit, Visitor, WithSession, at},
        },
        routes::{
            command::Nothing,
            me::{
                self, MeBody, PasswordBody,
                second_factor::{self, CodeBody, RemovalBody},
            },
            refusal::command_problem,
            sessions,
        },
        signed_in::{must_set_up_factor, own_envelope},
    },
};

const TEMPLATE: &str = "home/security/page.html";
const PATH: &str = "/home/security";
const CODES_PATH: &str = "/home/security/codes";

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/home/security", "GET, HEAD").route(get(show)))
        .service(method::resource("/home/security/password", "POST").route(post(change_password)))
        .service(method::resource("/home/security/notices", "POST").route(post(choose_notices)))
        .service(method::resource("/home/security/sessions/end-others", "POST").route(post(end_others)))
        .service(method::resource("/home/security/sessions/{key_id}/end", "POST").route(post(end_one)))
        .service(method::resource("/home/security/codes", "GET, HEAD").route(get(show_codes)))
        .service(method::resource("/home/security/codes/kept", "POST").route(post(kept_codes)))
        .service(method::resource("/home/security/second-factor/begin", "POST").route(post(begin)))
        .service(method::resource("/home/security/second-factor/confirm", "POST").route(post(confirm)))
        .service(method::resource("/home/security/second-factor/remove", "POST").route(post(remove)));
}

/// A person with a session, even one who still has to set up a second factor.
trait OfHolder: Visitor {
    fn holder(&self) -> &crate::actors::sign_in::SignedInAs;
}

impl OfHolder for WithSession {
    fn holder(&self) -> &crate::actors::sign_in::SignedInAs {
        &self.0
    }
}

impl OfHolder for SignedInPerson {
    fn holder(&self) -> &crate::actors::sign_in::SignedInAs {
        &self.0
    }
}

async fn show(visit: Visit<WithSession>) -> Shown {
    page(&visit, StatusCode::OK, &Value::Null).await
}

async fn page<P: OfHolder>(visit: &Visit<P>, status: StatusCode, form: &Value) -> Shown {
    let (service, holder) = (&visit.service, visit.who.holder());
    let me = visit.asked(me::shown(&holder.user, service)).await?;
    let sessions = visit.asked(sessions::live(service, holder.user.id, Some(holder.session))).await?;
    let is_demanded = service.settings.accounts.second_factor == SecondFactorDemand::Administrators;
    let context = json!({
        "form": form, "me": me, "sessions": at(&sessions, "/data"),
        "setting_up": setting_up(visit)?,
        "must_set_up": must_set_up_factor(service, holder),
        "is_demanded": is_demanded && holder.user.role == Role::Admin,
        "chars_min": service.settings.accounts.password_chars_min,
        "has_passwords": service.settings.accounts.sign_in,
        "provider": provider_label(service),
    });
    visit.page_as(status, TEMPLATE, &context)
}

/// The secret of the second factor that is being set up in this session, as text and as a picture.
fn setting_up<P: OfHolder>(visit: &Visit<P>) -> Result<Value, Problem> {
    let user = &visit.who.holder().user;
    let is_shown = handed::present(visit) == Some(Handed::Factor(user.id));
    let Some(secret) = user.sign_in.begun.as_ref().and_then(|secret| secret.known()).filter(|_| is_shown) else {
        return Ok(Value::Null);
    };
    let account = user.email.known().unwrap_or_default();
    let address = totp::otpauth(secret, &visit.service.settings.mail.brand, account);
    let (size, path) = picture(&address)?;
    let spaced: Vec<String> =
        secret.as_bytes().chunks(4).map(|four| String::from_utf8_lossy(four).into_owned()).collect();
    Ok(json!({ "secret": spaced.join(" "), "address": address, "size": size, "path": path }))
}

/// A QR code (ISO/IEC 18004) with its quiet zone: its size in modules, and the dark modules as the path of a drawing.
fn picture(text: &str) -> Result<(usize, String), Problem> {
    const QUIET: usize = 4;
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(Problem::internal)?;
    let width = code.width();
    let mut path = String::new();
    for (place, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            path.push_str(&format!("M{} {}h1v1h-1z", place % width + QUIET, place / width + QUIET));
        }
    }
    Ok((width + 2 * QUIET, path))
}

/// The page again, with the mistake in one of its forms.
async fn again<P: OfHolder>(visit: &Visit<P>, form: &Form, problem: &Problem) -> Shown {
    let mut page = page(visit, problem.code().status(), &form.again(problem)).await?;
    problem.headers_into(page.headers_mut());
    Ok(page)
}

async fn change_password(visit: Visit<SignedInPerson>, form: Form) -> Shown {
    let (current, new) = (form.secret("current").unwrap_or_default(), form.secret("password").unwrap_or_default());
    let own = visit.own::<PasswordBody>(&form, &json!({ "current": current, "new": new }))?;
    match me::change_password(own, visit.request.clone(), visit.service.clone()).await {
        Ok(_) => visit.led(PATH, Some(&Flash::done("home-security-password-changed"))),
        Err(problem) => {
            let problem = match problem.code() {
                ProblemCode::InvalidBody => about_password(&visit, new, problem),
                ProblemCode::InvalidCredentials => {
                    let said = visit.say("home-security-current-wrong", &[]).unwrap_or_default();
                    problem.detailed(format!("at `current`: {said}"))
                }
                _ => worded(&visit, problem),
            };
            again(&visit, &form, &problem).await
        }
    }
}

async fn choose_notices(visit: Visit<SignedInPerson>, form: Form) -> Shown {
    let chosen = form.all("notices");
    let wants = |name: &str| chosen.contains(&name);
    let notices = json!({ "expiry": wants("expiry"), "keys": wants("keys"), "quota": wants("quota") });
    let own = visit.own::<MeBody>(&form, &json!({ "notices": notices }))?;
    me::change(own, visit.service.clone()).await?;
    visit.led(PATH, Some(&Flash::done("home-security-notices-chosen")))
}

async fn end_one(visit: Visit<SignedInPerson>, form: Form) -> Shown {
    let own = visit.own::<Nothing>(&form, &json!({}))?;
    let id = web::Path::from(visit.part("key_id").to_owned());
    me::end_session(own, id, visit.service.clone()).await?;
    visit.led(PATH, Some(&Flash::done("home-security-session-ended")))
}

async fn end_others(visit: Visit<SignedInPerson>, _: Form) -> Shown {
    let (service, holder) = (&visit.service, &visit.who.0);
    let live = visit.asked(sessions::live(service, holder.user.id, Some(holder.session))).await?;
    let others = at(&live, "/data").as_array().into_iter().flatten().filter(|session| session["current"] == false);
    let mut ended: u32 = 0;
    for session in others.filter_map(|session| KeyId::parse(session["id"].as_str()?).ok()) {
        let envelope = own_envelope(&visit.request, Who::user(holder.user.id)).await?;
        let done = service.sign_ins.end(holder.user.id, session, SessionEnd::EndedByOwner, &envelope).await;
        done.map_err(command_problem)?;
        ended += 1;
    }
    visit.led(PATH, Some(&Flash::done("home-security-others-ended").with("count", ended)))
}

async fn begin(visit: Visit<WithSession>, form: Form) -> Shown {
    let own = visit.own::<Nothing>(&form, &json!({}))?;
    match second_factor::begin(own, visit.request.clone(), visit.service.clone()).await {
        Ok(_) => {
            let led = visit.led("/home/security#second-factor", None);
            handed::begin(&visit, led, &Handed::Factor(visit.who.0.user.id))
        }
        Err(problem) if problem.code() == ProblemCode::Conflict => {
            visit.led(PATH, Some(&Flash::not_done("home-security-factor-exists")))
        }
        Err(problem) => Err(problem.into()),
    }
}

async fn confirm(visit: Visit<WithSession>, form: Form) -> Shown {
    let code: String = form.text("code").unwrap_or_default().split_whitespace().collect();
    let own = visit.own::<CodeBody>(&form, &json!({ "code": code }))?;
    match visit.asked(second_factor::confirm(own, visit.request.clone(), visit.service.clone())).await {
        // Only the hashes of the codes are stored.
        Ok(confirmed) => {
            let codes = at(&confirmed, "/recovery_codes").as_array().into_iter().flatten();
            let codes = codes.filter_map(Value::as_str).map(ToOwned::to_owned).collect();
            handed::begin(&visit, visit.led(CODES_PATH, None), &Handed::Codes(visit.who.0.user.id, codes))
        }
        Err(problem) if problem.code() == ProblemCode::Conflict => {
            visit.led(PATH, Some(&Flash::not_done("home-security-factor-exists")))
        }
        Err(problem) => again(&visit, &form, &about_code(&visit, problem)).await,
    }
}

/// Shows the new recovery codes until their owner has them.
async fn show_codes(visit: Visit<SignedInPerson>) -> Shown {
    match handed::present(&visit) {
        Some(Handed::Codes(user, codes)) if user == visit.who.0.user.id => {
            visit.page("home/codes/page.html", &json!({ "codes": codes }))
        }
        _ => visit.led(PATH, None),
    }
}

async fn kept_codes(visit: Visit<SignedInPerson>, _: Form) -> Shown {
    handed::end(&visit, visit.led("/home", Some(&Flash::done("home-codes-kept-done"))))
}

async fn remove(visit: Visit<SignedInPerson>, form: Form) -> Shown {
    let own = visit.own::<RemovalBody>(&form, &json!({ "code": form.text("code").unwrap_or_default() }))?;
    match second_factor::remove(own, visit.request.clone(), visit.service.clone()).await {
        Ok(_) => removed(&visit),
        Err(problem) => again(&visit, &form, &about_code(&visit, problem)).await,
    }
}

fn removed(visit: &Visit<SignedInPerson>) -> Shown {
    handed::end(visit, visit.led(PATH, Some(&Flash::done("home-security-factor-removed"))))
}

/// A mistake in a code, at its field.
fn about_code<P: OfHolder>(visit: &Visit<P>, problem: Problem) -> Problem {
    match problem.code() {
        ProblemCode::InvalidBody | ProblemCode::InvalidCredentials => {
            let said = visit.say("home-security-code-wrong", &[]).unwrap_or_default();
            problem.detailed(format!("at `code`: {said}"))
        }
        _ => worded(visit, problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_quiet_zone_and_its_corners() {
        let (size, path) = picture("otpauth://totp/permitd:ana%40example.org?secret=AAAA&issuer=permitd").unwrap();
        assert!((21 + 8..=177 + 8).contains(&size) && (size - 8 - 17) % 4 == 0, "{size}");
        let last = size - 5;
        for corner in ["M4 4h1".to_owned(), format!("M{last} 4h1"), format!("M4 {last}h1")] {
            assert!(path.contains(&corner), "{corner}");
        }
        assert!(!path.contains("M3 ") && !path.contains(&format!("M{} ", last + 1)));
    }
}
