//! Pages of people: who is invited, what is done to them, and what two administrators do at once.

use reqwest::Method;
use serde_json::json;

use super::staff::{administrator, signed_in, token_for, with_token};
use crate::{
    accounts::{member, member_as},
    app::TestApp,
    browser::{Browser, Form},
};

const HOSTILE: &str = "<script>alert(1)</script>\"'";

#[tokio::test]
async fn one_is_invited_and_what_was_typed_is_kept_where_it_is_wrong() {
    let app = TestApp::start().await;
    let browser = administrator(&app).await;
    let form = browser.open("/admin/people/invite").await.expect(200).form("Invite");
    let form = form.with("role", "reader").with("plan", "default");
    let wrong = browser.send(&form.clone().with("email", "ana at example").with("name", HOSTILE)).await.expect(400);
    wrong.shows("write an address such as ana@example.org");
    assert!(wrong.html.contains("aria-invalid=\"true\"") && !wrong.html.contains("<script>alert"), "{}", wrong.html);
    let kept = wrong.form("Invite").fields;
    assert!(kept.contains(&("name".to_owned(), HOSTILE.to_owned())), "{kept:?}");
    let typed = form.with("email", "ana@example.org").with("name", HOSTILE);
    let person = browser.send(&typed).await.expect(200);
    person.shows("ana@example.org is invited.").shows(HOSTILE);
    assert!(!person.html.contains("<script>alert"), "{}", person.html);
    // The same form again invites nobody a second time, and leads to the same page.
    assert_eq!(browser.send(&typed).await.expect(200).path, person.path);
    app.mail_to("ana@example.org", 1).await;
    let again = browser.open("/admin/people/invite").await.form("Invite").with("email", "Ana@example.org");
    let again = browser.send(&again.with("role", "reader").with("plan", "default")).await.expect(400);
    again.shows("somebody with this address was invited already");
    assert!(again.links().contains(&person.path), "{:?}", again.links());
    let listed = browser.open("/admin/people").await.expect(200);
    assert!(!listed.html.contains("<script>alert"), "{}", listed.html);
    listed.shows(HOSTILE);
}

#[tokio::test]
async fn a_list_is_looked_at_before_it_is_sent() {
    let app = TestApp::start().await;
    app.invite("old@example.org").await;
    let browser = administrator(&app).await;
    let empty = browser.open("/admin/people/invite").await.form("Check the list").with("preview", "1");
    browser.send(&empty).await.expect(400).shows("paste a list, or choose a file");
    let list = "new@example.org,Nina\nold@example.org,Otto\nnobody,<b>X</b>\n";
    let preview = browser.send(&empty.with("list", list)).await.expect(200);
    preview.shows("This is what would be done").shows("1 new").shows("1 known already").shows("1 line is wrong");
    assert!(preview.form("Check the list").fields.iter().any(|(name, text)| name == "list" && text.contains("<b>X")));
    let row = preview.text();
    assert!(row.contains("3\nnobody\nwrong"), "the line as it was pasted: {row}");
    let users = app.admin_get("/users").await.expect(200).json();
    assert_eq!(users["data"].as_array().unwrap().len(), 1, "nothing was done yet");
    let send = preview.form("Invite 1 person").with("send", "1");
    let sent = browser.send(&send).await.expect(200);
    sent.shows("This is what was done").shows("1 invited").shows("1 known already").shows("1 line is wrong");
    app.mail_to("new@example.org", 1).await;
    browser.send(&send).await.expect(200).shows("1 invited");
    let users = app.admin_get("/users").await.expect(200).json();
    assert_eq!(users["data"].as_array().unwrap().len(), 2);
    let bad = browser.open("/admin/people/invite").await.form("Check the list").with("list", "email,shoe\na@b.org,41");
    browser.send(&bad).await.expect(400).shows("shoe");
}

#[tokio::test]
async fn many_people_are_shown_page_by_page_and_found() {
    let app = TestApp::start().await;
    let mut list = "email,name\n".to_owned();
    for nth in 0..120 {
        list.push_str(&format!("person{nth}@example.org,Person {nth}\n"));
    }
    let request = app.admin(Method::POST, "/invitations").header("content-type", "text/csv").body(list);
    app.send(request).await.expect(200);
    let browser = administrator(&app).await;
    let people = |page: &crate::browser::Page| {
        page.links().into_iter().filter(|link| link.starts_with("/admin/people/") && !link.ends_with("invite")).count()
    };
    let first = browser.open("/admin/people").await.expect(200);
    assert_eq!(people(&first), 100);
    let next = first.links().into_iter().find(|link| link.contains("after=")).unwrap();
    let second = browser.open(&next).await.expect(200);
    assert_eq!(people(&second), 20);
    second.shows("First page");
    let found = browser.open("/admin/people?search=person77&status=&invitation=&plan=").await.expect(200);
    assert_eq!(people(&found), 1);
    found.shows("Person 77");
    assert!(found.html.contains("value=\"person77\""), "the search stays typed");
    browser.open("/admin/people?search=nobody").await.expect(200).shows("Nobody is so.");
    browser.open("/admin/people?status=disabled").await.expect(200).shows("Nobody is so.");
    assert_eq!(people(&browser.open("/admin/people?plan=default").await.expect(200)), 100);
}

#[tokio::test]
async fn acts_of_one_page_do_not_get_in_each_others_way() {
    let app = TestApp::start().await;
    let (id, key) = app.invite_as(&json!({ "email": "ana@example.org", "name": "Ana Ito" })).await;
    let browser = administrator(&app).await;
    let path = format!("/admin/people/{id}");
    // All from the page as it was at first.
    let page = browser.open(&path).await.expect(200);
    page.shows("Ana Ito").shows("ana@example.org").shows("was invited by an administrator");
    browser.send(&page.form("Send the invitation again")).await.expect(200).shows("is sent again");
    app.mail_to("ana@example.org", 2).await;
    let disabled = browser.send(&page.form("Disable Ana Ito")).await.expect(200);
    disabled.shows("Ana Ito is disabled.").shows("Ana Ito was disabled by an administrator.");
    app.get("/me", &key).await.expect(401);
    browser.send(&page.form("Disable Ana Ito")).await.expect(200).shows("Ana Ito is disabled already.");
    let enabled = browser.send(&disabled.form("Enable")).await.expect(200);
    enabled.shows("Ana Ito is enabled.");
    browser.send(&page.form("Disable Ana Ito")).await.expect(200).shows("Ana Ito is disabled.");
    browser.send(&disabled.form("Enable")).await.expect(200).shows("Ana Ito is enabled.");
    app.get("/me", &key).await.expect(200);

    app.admin_send(Method::PUT, "/plans/gold", &json!({ "rate_per_s": 50, "burst": 100, "quota_per_day": 1000 }))
        .await
        .expect(201);
    let given = browser.send(&browser.open(&path).await.form("Change the plan").with("plan", "gold")).await.expect(200);
    given.shows("Ana Ito has the plan gold now.");
    browser.send(&page.form("Change the plan").with("plan", "gold")).await.expect(200).shows("has this plan already");
    let role = page.form("Change the role").with("role", "manager");
    browser.send(&role).await.expect(200).shows("Ana Ito has the role manager now.");
    browser.send(&page.form("Change the plan").with("plan", "none")).await.expect(200).shows("It was not done");
}

#[tokio::test]
async fn of_two_administrators_the_second_is_told_what_has_become_of_it() {
    let app = TestApp::start().await;
    let (id, key) = app.invite_as(&json!({ "email": "ben@example.org", "name": "Ben" })).await;
    let (first, second) = (administrator(&app).await, administrator(&app).await);
    let path = format!("/admin/people/{id}");
    let (page, same) = (first.open(&path).await.expect(200), second.open(&path).await.expect(200));
    page.shows("This deletes Ben: 1 key stops within a second, 0 sessions end,").shows("This cannot be undone.");
    let deleted = first.send(&page.form("Delete Ben")).await.expect(200);
    deleted.shows("Ben was deleted.").shows("Erased person");
    app.get("/me", &key).await.expect(401);
    let told = second.send(&same.form("Delete Ben")).await.expect(200);
    told.shows("Ben has already been deleted.");
    let told = second.send(&same.form("Disable Ben")).await.expect(200);
    told.shows("Ben has already been deleted. Nothing was done.");
    second.send(&same.form("Send the invitation again")).await.expect(200).shows("Ben has already been deleted.");
    let page = second.open(&path).await.expect(200);
    assert!(!page.html.contains("ben@example.org") && !page.text().contains("Ben"), "{}", page.text());
}

#[tokio::test]
async fn a_key_is_shown_until_it_was_kept_and_to_nobody_else() {
    let app = TestApp::with_sample(5).await;
    let (id, _) = app.invite_as(&json!({ "email": "ana@example.org", "name": "Ana" })).await;
    let browser = administrator(&app).await;
    let path = format!("/admin/people/{id}");
    let page = browser.open(&path).await.expect(200);
    let wrong = browser.send(&page.form("Issue the key").with("label", HOSTILE).with("expires_at", "2001-01-01")).await;
    let wrong = wrong.expect(400);
    assert!(!wrong.html.contains("<script>alert") && wrong.html.contains("2001-01-01"), "{}", wrong.html);
    let form = page.form("Issue the key").with("label", HOSTILE);
    let issued = browser.send(&form).await.expect(200);
    let key = issued.copied("new-key");
    assert!(!issued.html.contains("<script>alert") && !issued.path.contains(&key));
    app.get("/permits?limit=1", &key).await.expect(200);
    // Not lost by loading the page again, nor made twice by sending the form again.
    assert_eq!(browser.open(&path).await.copied("new-key"), key);
    assert_eq!(browser.send(&form).await.copied("new-key"), key);
    let keys = app.admin_get(&format!("/users/{id}/keys")).await.expect(200).json();
    assert_eq!(keys["data"].as_array().unwrap().len(), 2);
    // Another session does not see it, not even with the same cookie.
    let all = ["people", "data", "plans", "events", "server"];
    let other = with_token(&app, &token_for(&app, "other", &all).await, "en").await;
    let sealed = browser.cookies.lock().unwrap()["permitd-handed"].clone();
    other.cookies.lock().unwrap().insert("permitd-handed".to_owned(), sealed);
    assert!(!other.open(&path).await.expect(200).html.contains(&key));
    let kept = browser.send(&issued.form("I have saved it")).await.expect(200);
    assert!(!kept.html.contains(&key) && !browser.open(&path).await.html.contains(&key));

    let rotated = browser.send(&key_form(&kept, &key, "rotate").with("grace_s", "0")).await.expect(200);
    let new = rotated.copied("new-key");
    app.get("/permits?limit=1", &key).await.expect(401);
    app.get("/permits?limit=1", &new).await.expect(200);
    let revoked = browser.send(&key_form(&rotated, &new, "revoke")).await.expect(200);
    revoked.shows("The key was revoked.");
    assert!(!revoked.html.contains(&new), "a key that has ended is not shown");
    app.get("/permits?limit=1", &new).await.expect(401);
    browser.send(&key_form(&rotated, &new, "rotate").with("grace_s", "0")).await.expect(200).shows("had ended already");
    // Its use is shown, and what it was.
    let page = browser.open(&path).await.expect(200);
    page.shows("The last 30 days: what was asked for").shows("permits");
    assert!(page.html.contains("<svg class=\"chart\"") && page.html.contains("class=\"s1\""), "{}", page.html);
}

/// The form of a key on a person's page.
fn key_form(page: &crate::browser::Page, key: &str, act: &str) -> Form {
    let id = key.split('_').nth(1).unwrap();
    let id = &id[..16];
    let label = if act == "rotate" { "Replace the key" } else { "Revoke the key" };
    Form { action: format!("{}/keys/{id}/{act}", page.path), ..page.form(label) }
}

#[tokio::test]
async fn sessions_passwords_and_mail_are_looked_after() {
    let app = TestApp::start().await;
    let id = member(&app, "ana@example.org").await;
    let theirs = signed_in(&app, "ana@example.org", "en").await;
    theirs.open("/home").await.expect(200);
    let browser = administrator(&app).await;
    let page = browser.open(&format!("/admin/people/{id}")).await.expect(200);
    let live = app.admin_get(&format!("/users/{id}/sessions")).await.expect(200).json();
    let live = live["data"].as_array().unwrap().len();
    let (end, have) = if live == 1 { ("session ends", "session has") } else { ("sessions end", "sessions have") };
    page.shows(&format!("This signs Ana Núñez out: {live} {end}."));
    let mailed = browser.send(&page.form("Mail a link to set a password")).await.expect(200);
    mailed.shows("A link to set a password is on its way to Ana Núñez.");
    app.mail_to("ana@example.org", 2).await;
    let ended = browser.send(&page.form("End the sessions")).await.expect(200);
    ended.shows(&format!("{live} {have} ended.")).shows("Nobody is signed in.");
    assert!(theirs.open("/home").await.path.starts_with("/sign-in"));
    let timeline = ended.text();
    assert!(timeline.contains("A session of Ana Núñez ended: an administrator ended it."), "{timeline}");
    assert!(timeline.contains("Ana Núñez signed in with a password."), "{timeline}");
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let app = TestApp::start().await;
    let id = member_as(&app, "ana@example.org", "admin").await;
    let browser = administrator(&app).await;
    let page = browser.open(&format!("/admin/people/{id}")).await.expect(200);
    for act in ["Disable Ana Núñez", "Delete Ana Núñez"] {
        browser.send(&page.form(act)).await.expect(200).shows("is the last administrator who can sign in");
    }
    let role = page.form("Change the role").with("role", "reader");
    browser.send(&role).await.expect(200).shows("is the last administrator who can sign in");
}

#[tokio::test]
async fn somebody_is_shown_as_they_were() {
    let app = TestApp::start().await;
    let (id, _) = app.invite_as(&json!({ "email": "ana@example.org", "name": "Ana" })).await;
    app.admin_send(Method::PATCH, &format!("/users/{id}"), &json!({ "status": "disabled" })).await.expect(200);
    let browser = administrator(&app).await;
    let path = format!("/admin/people/{id}");
    browser.open(&path).await.expect(200).shows("disabled");
    let then = browser.open(&format!("{path}?as_of=1")).await.expect(200);
    then.shows("This is how it stood then").shows("invited").shows("There is no key yet.");
    assert!(!then.html.contains("Delete Ana"), "the past is not changed");
    browser.open(&format!("{path}?as_of=2001-01-01")).await.expect(404);
    browser.open(&format!("{path}?as_of=sometime")).await.expect(400);
    browser.open("/admin/people/nobody").await.expect(404);
}

#[tokio::test]
async fn permissions_and_tokens_of_forms_are_asked_for_each_act() {
    let app = TestApp::start().await;
    let (id, _) = app.invite_as(&json!({ "email": "ana@example.org", "name": "Ana" })).await;
    let path = format!("/admin/people/{id}");
    let browser = administrator(&app).await;
    let page = browser.open(&path).await.expect(200);
    let form = page.form("Delete Ana");
    browser.send(&form.clone().without("csrf")).await.expect(403);
    browser.send(&form.clone().with("csrf", "AAAA")).await.expect(403);
    let all = ["people", "data", "plans", "events", "server"];
    let other = with_token(&app, &token_for(&app, "other", &all).await, "en").await;
    other.send(&form).await.expect(403).shows("Send it again?");
    assert_eq!(app.admin_get(&format!("/users/{id}")).await.json()["email"], "ana@example.org");
    let (id, _) = app.invite_as(&json!({ "email": "ben@example.org", "name": "Ben" })).await;
    let stranger = Browser::new(&app);
    let path = format!("/admin/people/{id}/delete");
    let sent = stranger.send(&Form { action: path.clone(), ..form.clone() }).await;
    assert!(sent.path.starts_with("/sign-in"), "{}", sent.path);
    let reader = {
        member(&app, "eve@example.org").await;
        signed_in(&app, "eve@example.org", "en").await
    };
    reader.send(&Form { action: path.clone(), ..form.clone() }).await.expect(403);
    assert_eq!(app.admin_get(&format!("/users/{id}")).await.json()["status"], "active");

    // Whoever has people alone makes nobody an administrator, and changes none.
    let some = with_token(&app, &token_for(&app, "people", &["people"]).await, "en").await;
    let ben = some.open(&format!("/admin/people/{id}")).await.expect(200);
    assert!(!ben.html.contains("value=\"admin\""), "{}", ben.html);
    let up = ben.form("Change the role").with("role", "admin");
    some.send(&up).await.expect(200).shows("your permissions do not reach that far");
    let admin = member_as(&app, "ada@example.org", "admin").await;
    let ada = some.open(&format!("/admin/people/{admin}")).await.expect(200);
    ada.shows("This person may do more than you.");
    assert!(!ada.html.contains("Delete…"));
}

#[tokio::test]
async fn it_is_all_there_in_german() {
    let app = TestApp::start().await;
    let (id, _) = app.invite_as(&json!({ "email": "ana@example.org", "name": "Ana Ito" })).await;
    let browser = with_token(&app, &app.admin_token, "de").await;
    browser.open("/admin/people").await.expect(200).shows("Personen").shows("aktiv").shows("Lesen");
    browser.open("/admin/people/invite").await.expect(200).shows("Wer eingeladen wird, bekommt eine E-Mail");
    let page = browser.open(&format!("/admin/people/{id}")).await.expect(200);
    page.shows("Ana Ito wurde von der Verwaltung eingeladen, mit der Rolle Lesen und dem Plan default.");
    page.shows("Dies löscht Ana Ito: 1 Schlüssel gilt innerhalb einer Sekunde nicht mehr, 0 Sitzungen enden,");
    let disabled = browser.send(&page.form("Ana Ito sperren")).await.expect(200);
    disabled.shows("Ana Ito ist gesperrt.").shows("gesperrt");
}
