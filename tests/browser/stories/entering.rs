//! Signing in, as many stories begin.

use crate::{
    look::Look,
    page::Browser,
    server::{PASSWORD, Server},
};

/// With scripts in a wide window, and without any on a phone.
pub(super) fn looks() -> [Look; 2] {
    [Look::default(), Look::phone().without_scripts()]
}

/// Opens a page for somebody who signs in with their password on the way. Where there is no browser, the story is to be skipped.
pub(super) fn enter(server: &Server, look: Look, email: &str, path: &str) -> Option<Browser> {
    let mut browser = Browser::open_as(look, &format!("{}{path}", server.told("url")))?;
    sign_in(&mut browser, email);
    Some(browser)
}

/// Fills in the form of signing in; gives the status of what is behind it.
pub(crate) fn sign_in(browser: &mut Browser, email: &str) -> u16 {
    // In any language.
    browser.fill_in("input[name=email]", email);
    browser.fill_in("input[name=password]", PASSWORD);
    browser.loads(|browser| browser.press_key("Enter"))
}
