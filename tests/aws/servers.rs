//! Two servers of one deployment, each with a copy of the records of its own. What one answers, the other does: status, body, tag, and where to go on.

use crate::{
    app::TestApp,
    data::{import, permits, serving},
    past::one_permit,
};

const PATHS: [&str; 12] = [
    "/permits",
    "/permits?sort=-estimated_cost&limit=7",
    "/permits?status=issued&count=exact&limit=1",
    "/permits?format=csv",
    "/permits?format=ndjson&sort=-file_date",
    "/permits/facets?columns=status",
    "/permits/groups?by=status,month(file_date)&measure=count,sum(estimated_cost)",
    "/permits/stats?columns=estimated_cost",
    "/permits/changes?since=1",
    "/permits/201612013997",
    "/permits/201612013997/1",
    "/permits/201612013997/history",
];

/// The body and the tag that both give.
async fn same(servers: [&TestApp; 2], key: &str, path: &str) -> String {
    let [one, other] = [servers[0].get(path, key).await.expect(200), servers[1].get(path, key).await.expect(200)];
    assert_eq!(one.body, other.body, "{path}");
    let tag = one.header("etag").unwrap_or_else(|| panic!("{path} has no tag"));
    assert_eq!(Some(tag), other.header("etag"), "{path}");
    one.body
}

#[tokio::test]
async fn what_one_server_answers_the_other_does_to_the_letter() {
    let (app, key) = serving(200).await;
    let other = app.on_another_machine().await;
    let is_at = async |version: u64| {
        let got = other.get("/permits?limit=1", &key).await;
        (got.status == 200 && got.json()["dataset"]["version"] == version).then_some(())
    };
    for version in 1..=3 {
        if version > 1 {
            // Through the first; the second hears of it.
            import(&app, permits(), one_permit(&format!("90000000000{version}"), "filed"), "more.csv").await;
        }
        other.eventually("the version", async || is_at(version).await).await;
        for path in PATHS {
            same([&app, &other], &key, path).await;
        }
        // A walk changes servers with each page.
        let (mut servers, mut path, mut pages) =
            ([&app, &other], "/permits?sort=-estimated_cost&limit=70".to_owned(), 0);
        loop {
            let page: serde_json::Value = serde_json::from_str(&same(servers, &key, &path).await).unwrap();
            pages += 1;
            let Some(next) = page["page"]["next"].as_str() else { break };
            path = format!("/permits?sort=-estimated_cost&limit=70&cursor={next}");
            servers.swap(0, 1);
        }
        assert_eq!(pages, 3);
    }
}
