//! Where a process over DynamoDB can die that writes a commit, its rows and its mark one after the other.

use crate::rows::{dies_while_deleting, dies_while_inviting};

#[tokio::test]
async fn row_22_crash_between_commit_and_view() {
    assert_eq!(dies_while_inviting("append-before-rows").await, 1);
    dies_while_deleting("append-before-rows").await;
}

#[tokio::test]
async fn row_22_crash_between_view_and_mark() {
    assert_eq!(dies_while_inviting("append-before-mark").await, 1);
    dies_while_deleting("append-before-mark").await;
}
