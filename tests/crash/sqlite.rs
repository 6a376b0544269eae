//! Where a process with its own files can die.

use crate::rows::dies_while_inviting;

#[tokio::test]
async fn row_01_crash_before_the_commit_reaches_the_disk() {
    assert_eq!(dies_while_inviting("sqlite-before-commit").await, 1);
}
