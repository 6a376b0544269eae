//! A node that does not have the records yet, as its clients and its operator see it.

use crate::{
    app::{Options, TestApp},
    support::{
        backend::Place,
        proxy::{Gate, On, Trouble},
    },
};

#[tokio::test]
async fn a_node_that_copies_says_how_far_it_is_and_answers_reads_by_key() {
    let place = Place::behind_a_proxy().await;
    // The one that copies looks for what is new all the time: a look takes nothing back.
    let settings = vec![("records.refresh_interval_ms", "50".to_owned())];
    let app = TestApp::at(place, Options { sample_rows: 200, settings, ..Options::default() }).await;
    let key = app.invite("ana@example.org").await;
    let first = app.get("/permits?limit=1", &key).await.expect(200).json();
    let number = first["data"][0]["application_number"].as_str().unwrap().trim_start_matches('#').to_owned();
    app.ops_get("/health/ready").await.expect(200);

    let (mut gate, hold) = Gate::new();
    let scans = On::operation("Scan").table("records-permits");
    app.place().proxy().add(scans, Trouble::After(hold));
    let copying = app.on_another_machine().await;
    gate.reached().await;
    copying.get(&format!("/permits/{number}"), &key).await.expect(200);
    let refused = copying.get("/permits?sort=-estimated_cost", &key).await.expect(503);
    assert_eq!(refused.header("retry-after"), Some("5"));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("are being copied to this server, ") && detail.contains(" percent are there"), "{detail}");
    let ready = copying.ops_get("/health/ready").await.expect(503);
    assert!(ready.body.contains("copied to this server"), "{}", ready.body);
    let metrics = copying.ops_get("/metrics").await.expect(200).body;
    for line in ["permitd_copy_ready{dataset=\"permits\"} 0", "permitd_copy_share{dataset=\"permits\"} 0"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }

    gate.open();
    let asked = || copying.get("/permits?sort=-estimated_cost", &key);
    let sorted = copying.eventually("the copy", async || Some(asked().await).filter(|got| got.status == 200)).await;
    assert_eq!(sorted.body, app.get("/permits?sort=-estimated_cost", &key).await.expect(200).body);
    let is_ready = async || (copying.ops_get("/health/ready").await.status == 200).then_some(());
    copying.eventually("a node that is ready", is_ready).await;
    let metrics = copying.ops_get("/metrics").await.expect(200).body;
    assert!(metrics.contains("permitd_copy_ready{dataset=\"permits\"} 1"), "{metrics}");
    assert!(metrics.contains("permitd_copy_behind_versions{dataset=\"permits\"} 0"), "{metrics}");
}

#[tokio::test]
async fn who_says_so_gets_a_node_that_is_ready_while_it_copies() {
    let place = Place::behind_a_proxy().await;
    let settings = vec![("records.ready_while_copying", "true".to_owned())];
    let app = TestApp::at(place, Options { sample_rows: 50, settings, ..Options::default() }).await;
    let (mut gate, hold) = Gate::new();
    app.place().proxy().add(On::operation("Scan").table("records-permits"), Trouble::After(hold));
    let copying = app.on_another_machine().await;
    gate.reached().await;
    copying.ops_get("/health/ready").await.expect(200);
    gate.open();
}
