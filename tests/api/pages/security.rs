//! How somebody signs in, and what they are told.

use reqwest::Method;
use serde_json::json;

use super::sign_in::{at_noon, code};
use crate::{
    accounts::{member, member_as, sign_in},
    app::TestApp,
    browser::Browser,
};

const ANA: &str = "ana@example.org";
const PASSWORD: &str = "correct horse battery";

#[tokio::test]
async fn a_second_factor_is_set_up_shown_once_and_removed() {
    let (app, clock) = at_noon(&[], 0).await;
    member(&app, ANA).await;
    let browser = Browser::new(&app);
    browser.sign_in(ANA, PASSWORD).await.expect(200);
    let other = sign_in(&app, ANA).await;
    let page = browser.open("/home/security").await.expect(200);
    let setting_up = browser.send(&page.form("Set up a second factor")).await.expect(200);
    let secret = setting_up.copied("factor-secret");
    assert!(
        setting_up.html.contains("<svg class=\"qr\"") && setting_up.html.contains("otpauth:&#x2f;&#x2f;totp&#x2f;")
            || setting_up.html.contains("otpauth://totp/"),
        "{}",
        setting_up.main()
    );
    // Another browser of theirs is not shown it.
    let second = Browser::new(&app);
    second.sign_in(ANA, PASSWORD).await.expect(200);
    assert!(!second.open("/home/security").await.html.contains(&secret));
    let wrong = browser.send(&setting_up.form("Turn it on").with("code", "000000")).await.expect(400);
    wrong.shows("this code is not right");
    assert_eq!(wrong.copied("factor-secret"), secret, "setting up goes on");
    let on = browser.send(&wrong.form("Turn it on").with("code", &code(&secret, &clock))).await.expect(200);
    on.shows("Your recovery codes");
    let codes: Vec<String> = on.copied("codes").lines().map(ToOwned::to_owned).collect();
    assert_eq!(codes.len(), 10, "{codes:?}");
    // Not lost by loading the page again; gone once they were kept, and shown in no other session.
    assert_eq!(browser.open("/home/security/codes").await.copied("codes").lines().collect::<Vec<_>>(), codes);
    assert_eq!(on.path, "/home/security/codes");
    browser.send(&on.form("I have kept them")).await.expect(200).shows("are not shown any more");
    assert_eq!(browser.open("/home/security/codes").await.path, "/home/security");
    let shown = browser.open("/home/security").await.expect(200);
    shown.shows("10 recovery codes are left");
    assert!(!shown.html.contains(&secret) && !codes.iter().any(|code| shown.html.contains(code.as_str())));
    let me = app.send(app.request(Method::GET, "/me").bearer_auth(&other)).await;
    assert_eq!(me.status, 401, "other sessions end");

    // A recovery code signs in once.
    let third = Browser::new(&app);
    let step = third.sign_in(ANA, PASSWORD).await.form("Sign in").with("code", &codes[0]);
    third.send(&step).await.expect(200);
    third.open("/home/security").await.shows("9 recovery codes are left").shows("password and recovery code");
    clock.advance_us(60_000_000);
    let remove = shown.form("Remove it");
    browser.send(&remove.clone().with("code", "123")).await.expect(400).shows("this code is not right");
    let removed = browser.send(&remove.with("code", &code(&secret, &clock))).await.expect(200);
    removed.shows("The second factor is removed").shows("Set up a second factor");
}

#[tokio::test]
async fn an_administrator_who_needs_a_second_factor_is_led_to_it() {
    let (app, clock) = at_noon(&[("accounts.second_factor", "administrators")], 0).await;
    member_as(&app, ANA, "admin").await;
    let browser = Browser::new(&app);
    let led = browser.sign_in(ANA, PASSWORD).await.expect(200);
    assert_eq!(led.path, "/home/security");
    led.shows("Administrators need a second factor here");
    assert!(!led.says("Where you are signed in"));
    assert_eq!(browser.open("/home/keys/new").await.path, "/home/security");
    let setting_up = browser.send(&led.form("Set up a second factor")).await.expect(200);
    let secret = setting_up.copied("factor-secret");
    browser.send(&setting_up.form("Turn it on").with("code", &code(&secret, &clock))).await.expect(200);
    assert_eq!(browser.open("/home").await.expect(200).path, "/home");
}

#[tokio::test]
async fn the_password_the_sessions_and_the_mails_are_theirs_to_change() {
    let app = TestApp::start().await;
    let user = member(&app, ANA).await;
    let browser = Browser::new(&app);
    browser.sign_in(ANA, PASSWORD).await.expect(200);
    let others = [Browser::new(&app), Browser::new(&app), Browser::new(&app)];
    for other in &others {
        other.sign_in(ANA, PASSWORD).await.expect(200);
    }
    let page = browser.open("/home/security").await.expect(200);
    page.shows("this one").shows("127.0.0.0/24").shows("3 other sessions end at once");
    let left = browser.send(&page.form("End")).await.expect(200);
    left.shows("The session is ended").shows("2 other sessions end at once");
    let left = browser.send(&left.form("End all others")).await.expect(200);
    left.shows("2 other sessions are ended").shows("This is the only one");
    for other in &others {
        assert!(other.open("/home").await.path.starts_with("/sign-in"));
    }
    others[0].sign_in(ANA, PASSWORD).await.expect(200);

    let form = left.form("Change the password");
    let new = "another long password";
    let wrong = browser.send(&form.clone().with("current", "not it").with("password", new)).await.expect(401);
    wrong.shows("this is not your current password");
    assert!(!wrong.html.contains(new) && !wrong.html.contains("not it"));
    browser
        .send(&form.clone().with("current", PASSWORD).with("password", "short"))
        .await
        .expect(400)
        .shows("at least 12 characters");
    browser
        .send(&form.with("current", PASSWORD).with("password", new))
        .await
        .expect(200)
        .shows("Your password is changed");
    assert!(others[0].open("/home").await.path.starts_with("/sign-in"));
    assert_eq!(others[0].sign_in(ANA, new).await.expect(200).path, "/home");

    let notices = browser.open("/home/security").await.form("Save").without("notices").ticked("notices", "quota");
    browser.send(&notices).await.expect(200).shows("You get the mails that are ticked");
    let row = app.admin_get(&format!("/users/{user}")).await.json();
    assert_eq!(row["notices"], json!({ "expiry": false, "keys": false, "quota": true }));
    assert_eq!(
        browser.open("/home/security").await.form("Save").fields.iter().filter(|(name, _)| name == "notices").count(),
        1
    );

    let data = browser.ask(Method::GET, "/me/export", None).await.expect(200);
    assert!(data.html.contains(ANA));
}
