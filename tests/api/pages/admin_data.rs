//! The pages of data sets, of mail and of what was given up, in a browser without script.

use super::{admin_imports::server, staff::with_token};

#[tokio::test]
async fn a_data_set_is_withdrawn_restored_renamed_and_removed() {
    // Over DynamoDB a data set is not renamed.
    if crate::MODE == crate::support::backend::Mode::Aws {
        return;
    }
    let app = server(20).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    browser.open("/admin/data").await.expect(200).shows("Things").shows("served").shows("things.csv");
    let page = browser.open("/admin/data/things").await.expect(200);
    page.shows("Height").shows("Its 20 records are kept");
    let withdrawn = browser.send(&page.form("Yes, withdraw it")).await.expect(200);
    withdrawn.shows("things is withdrawn").shows("Readers get its 20 records again.");
    browser.send(&page.form("Yes, withdraw it")).await.expect(200).shows("things is withdrawn");
    browser.send(&withdrawn.form("Yes, restore it")).await.expect(200).shows("things is served again");
    let wrong = browser.send(&page.form("Rename it").with("to", "Two Words")).await.expect(400);
    assert!(wrong.html.contains("value=\"Two Words\""), "{}", wrong.main());
    let renamed = browser.send(&page.form("Rename it").with("to", "items")).await.expect(200);
    renamed.shows("things is called items now").shows("things");
    assert_eq!(browser.open("/admin/data/things").await.expect(200).path, "/admin/data/items");
    let form = renamed.form("Remove 20 records for good");
    browser.send(&form.clone().with("typed", "item")).await.expect(400).shows("type items to remove it");
    browser.send(&form.with("typed", "items")).await.expect(200).shows("items was removed, with 20 records");
    browser.open("/admin/data/items").await.expect(404);
}

#[tokio::test]
async fn an_example_of_a_mail_is_sent_and_an_address_that_is_none_is_said() {
    let app = server(1).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    let page = browser.open("/admin/mail").await.expect(200);
    page.shows("written to files on the server").shows("All mails reached");
    let form = page.form("Send the example").with("mail", "invitation");
    let wrong = browser.send(&form.clone().with("to", "<b>nobody")).await.expect(400);
    assert!(!wrong.html.contains("<b>nobody"), "it is escaped");
    browser.send(&form.with("to", "ana@example.org")).await.expect(200).shows("The example to ana@example.org");
}

#[tokio::test]
async fn nothing_undone_is_said_so() {
    let app = server(1).await;
    let browser = with_token(&app, &app.admin_token, "en").await;
    browser.open("/admin/undone").await.expect(200).shows("Nothing has failed.");
}
