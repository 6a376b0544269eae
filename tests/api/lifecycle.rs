//! What becomes of people and their keys, from the invitation to the deletion.

use crate::app::TestApp;

#[tokio::test]
async fn an_invited_person_reads_with_the_key_from_the_mail() {
    let app = TestApp::with_sample(50).await;
    let key = app.invite("ana@example.org").await;
    let answer = app.get("/permits/201612013997", &key).await.expect(200);
    assert_eq!(answer.json()["data"][0]["address"], "235 Bella Vista Wy");
}
