//! The column projection of a data set: the server that writes it dies, and what it leaves is of no harm.

use crate::deployment::{Deployment, POLICY};

const QUESTIONS: [&str; 3] = [
    "/permits?sort=description&limit=30",
    "/permits?description__contains=a&sort=-revised_cost&count=exact&limit=7",
    "/permits/groups?by=status,month(file_date)&measure=count,sum(estimated_cost)",
];

#[tokio::test]
async fn a_server_that_dies_while_it_writes_columns_answers_as_before_after_its_next_start() {
    // Without columns, to compare with.
    let deployment = Deployment::with(crate::MODE, POLICY, &[("PERMITD_RECORDS_COLUMNS_BYTES_MAX", "0")]).await;
    deployment.import("", 700);
    let plan = ["plans", "set", "default", "--rate", "1000", "--burst", "1000", "--quota", "100000"];
    let (done, told) = deployment.run("", &plan);
    assert!(done, "{told}");
    let serving = deployment.serve("");
    let user = deployment.invite(&serving, "ana@example.org").await.unwrap();
    let key = deployment.check_invited(&serving, &user, "ana@example.org").await;
    let answers = async |deployment: &Deployment, serving: &crate::deployment::Serving| {
        let mut answers = Vec::new();
        for question in QUESTIONS {
            let (status, text) = deployment.get(serving, question, &key).await.unwrap();
            assert_eq!(status, 200, "{text}");
            answers.push(text);
        }
        answers
    };
    let expected = answers(&deployment, &serving).await;
    drop(serving);

    let deployment = deployment.with_further(&[]);
    let records = deployment.place().data().join("records");
    let mut serving = deployment.serve("columns-written=return");
    deployment.dies(&mut serving).await;
    assert!(records.join("permits.columns-unfinished").exists() && !records.join("permits.columns").exists());
    let serving = deployment.serve("");
    deployment.until("the columns to be written", async || records.join("permits.columns").exists()).await;
    assert_eq!(answers(&deployment, &serving).await, expected);
    assert!(!records.join("permits.columns-unfinished").exists());
    drop(serving);

    // A torn file, as a machine's crash may leave it.
    let whole = std::fs::read(records.join("permits.columns")).unwrap();
    for torn in [&whole[..whole.len() / 2], &[0; 4096], &[]] {
        std::fs::write(records.join("permits.columns"), torn).unwrap();
        let serving = deployment.serve("");
        assert_eq!(answers(&deployment, &serving).await, expected);
        let is_whole = async || std::fs::read(records.join("permits.columns")).is_ok_and(|found| found == whole);
        deployment.until("the columns to be written anew", is_whole).await;
        assert_eq!(answers(&deployment, &serving).await, expected);
    }
}
