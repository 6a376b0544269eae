//! Wrong keys and tokens: they are known without a look-up, and who guesses is told to wait.

use permitd::domain::{
    id::Who,
    key::{AdminToken, ApiKey, KeyHash, KeyId, SECRET_BYTES},
};
use reqwest::Method;

use crate::app::{Answer, TestApp};

async fn with_token(app: &TestApp, token: &str) -> Answer {
    app.send(app.request(Method::GET, "/users").bearer_auth(token)).await
}

#[tokio::test]
async fn guesses_at_tokens_are_slowed_and_the_right_one_passes() {
    let app = TestApp::set(&[("http.wrong_keys_max", "5")], 10).await;
    let missing = app.send(app.request(Method::GET, "/users")).await.expect(401);
    for guess in 0..10 {
        let answer = with_token(&app, &format!("pmt_admin_{guess:048x}")).await;
        if guess < 5 {
            let (answer, missing) = (answer.expect(401).json(), missing.json());
            assert_eq!((&answer["type"], &answer["detail"]), (&missing["type"], &missing["detail"]));
        } else {
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&wait));
            assert_eq!(answer.expect(429).json()["type"], "/problems/too-many-from-address");
        }
        app.admin_get("/users").await.expect(200);
    }
    // None at all is no guess.
    app.send(app.request(Method::GET, "/users")).await.expect(401);
}

#[tokio::test]
async fn guesses_at_keys_are_slowed_and_the_right_one_passes() {
    let app = TestApp::set(&[("http.wrong_keys_max", "4")], 10).await;
    let key = app.invite("ana@example.org").await;
    let forged = ApiKey::new(KeyId::parse(&key[4..20]).unwrap(), &[7; SECRET_BYTES]).reveal().to_owned();
    let unknown = ApiKey::new(KeyId::from_random([1; 12]), &[7; SECRET_BYTES]).reveal().to_owned();
    for (at, wrong) in ["junk", &forged, &unknown, "pmt_", "junk", &forged, &unknown].into_iter().enumerate() {
        let answer = app.get("/permits/201612013997", wrong).await;
        assert_eq!(answer.status, if at < 4 { 401 } else { 429 }, "{wrong}: {}", answer.body);
        app.get("/permits/201612013997", &key).await.expect(200);
    }
    app.send(app.request(Method::GET, "/permits")).await.expect(401);
}

#[tokio::test]
async fn guesses_count_for_the_client_whom_a_trusted_proxy_names() {
    let app = TestApp::set(&[("http.wrong_keys_max", "2"), ("http.trusted_proxies", "127.0.0.1")], 10).await;
    let of = async |forwarded: &str| {
        let request = app.request(Method::GET, "/permits").header("x-api-key", "junk");
        app.send(request.header("x-forwarded-for", forwarded)).await.status
    };
    for (forwarded, status) in [
        ("192.0.2.1", 401),
        ("198.51.100.7, 192.0.2.1", 401),
        ("198.51.100.8, 192.0.2.1", 429),
        ("192.0.2.2", 401),
        ("2001:db8::1", 401),
        ("2001:db8::2", 401),
        ("2001:db8::3", 429),
        ("2001:db8:0:1::3", 401),
        // What no proxy of ours wrote is no address: the last that is one counts.
        ("192.0.2.9, nonsense", 401),
        ("nonsense", 401),
        ("", 429),
    ] {
        assert_eq!(of(forwarded).await, status, "{forwarded}");
    }
    let distrusting = TestApp::set(&[("http.wrong_keys_max", "2")], 10).await;
    let mut statuses = Vec::new();
    for client in 0..3 {
        let request = distrusting.request(Method::GET, "/permits").header("x-api-key", "junk");
        statuses.push(distrusting.send(request.header("x-forwarded-for", format!("192.0.2.{client}"))).await.status);
    }
    assert_eq!(statuses, [401, 401, 429], "an invented client does not begin anew");
}

#[tokio::test]
async fn a_token_of_the_older_form_goes_on_working_until_it_is_revoked_or_replaced() {
    let mut app = TestApp::set(&[], 10).await;
    let old = |number: u8| format!("pmt_admin_{number:048x}");
    assert!(AdminToken::id_in(&old(7)).is_none() && AdminToken::id_in(&app.admin_token).is_some());
    app.stop().await;
    let store = rusqlite::Connection::open(app.data().join("permitd.db")).unwrap();
    for number in [7, 8] {
        let hash = KeyHash::of(old(number).as_bytes()).to_hex();
        let sql = "INSERT INTO admin_tokens (id, sha256, created_at) VALUES (?1, ?2, ?3)";
        store.execute(sql, rusqlite::params![format!("old-{number}"), hash, number]).unwrap();
    }
    drop(store);
    app.restart().await;
    with_token(&app, &old(7)).await.expect(200);
    with_token(&app, &old(9)).await.expect(401);
    // The log goes on naming it as before: commands that are repeated are found by the name.
    let plan = serde_json::json!({ "rate_per_s": 1, "burst": 1, "quota_per_day": 1 });
    app.send(app.request(Method::PUT, "/plans/p").bearer_auth(old(7)).json(&plan)).await.expect(201);
    let newest = app.admin_get("/events?order=newest&limit=1").await.expect(200).json();
    assert_eq!(newest["data"][0]["actor"], "admin:old-7");
    let listed = app.admin_get("/admin-tokens").await.expect(200).json();
    let firsts = listed["data"].as_array().unwrap().iter().filter(|row| row["name"] == "first");
    // The node's own first token is of the first commit, those of before came with the second.
    let mut taken_over = firsts.filter(|row| row["version"] == 2);
    let id = taken_over.next().unwrap()["id"].as_str().unwrap().to_owned();
    app.send(app.admin(Method::DELETE, &format!("/admin-tokens/{id}"))).await.expect(200);
    app.restart().await;
    let work = [with_token(&app, &old(7)).await.status, with_token(&app, &old(8)).await.status];
    assert_eq!(work.iter().filter(|status| **status == 401).count(), 1, "{work:?}: it does not come back with a start");
    let new = permitd::app::new_admin_token(app.service(), Who::system("test"), true).await.unwrap();
    with_token(&app, &new).await.expect(200);
    for ended in [&old(7), &old(8), &app.admin_token] {
        with_token(&app, ended).await.expect(401);
    }
    app.restart().await;
    with_token(&app, &old(8)).await.expect(401);
}
