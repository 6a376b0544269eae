//! What a person does by keyboard alone, and whether they see where they are.

use serde_json::{Value, json};

use super::page::Browser;

/// Most stops of a page by keyboard.
const STOPS_MAX: usize = 500;
const CONTROL: u8 = 2;
const SHIFT: u8 = 8;

/// A key as the protocol wants it: its name, its place, its number, and what it types.
fn key(name: &str) -> (&str, String, u32, Option<String>) {
    let place = |place: &str| place.to_owned();
    match name {
        "Tab" => (name, place(name), 9, None),
        "Enter" => (name, place(name), 13, Some("\r".to_owned())),
        "Escape" => (name, place(name), 27, None),
        "Space" => (" ", place(name), 32, Some(" ".to_owned())),
        "End" => (name, place(name), 35, None),
        "Home" => (name, place(name), 36, None),
        "ArrowLeft" => (name, place(name), 37, None),
        "ArrowUp" => (name, place(name), 38, None),
        "ArrowRight" => (name, place(name), 39, None),
        "ArrowDown" => (name, place(name), 40, None),
        "Delete" => (name, place(name), 46, None),
        _ => {
            let mut letters = name.chars();
            let (Some(letter), None) = (letters.next(), letters.next()) else { panic!("no key is called {name:?}") };
            let number = u32::from(letter.to_ascii_uppercase());
            (name, format!("Key{}", letter.to_ascii_uppercase()), number, Some(name.to_owned()))
        }
    }
}

impl Browser {
    /// Presses a key, such as `Tab`, `Enter`, `Escape`, `Space`, `ArrowDown` or `a`; `Shift+Tab` with another.
    pub(crate) fn press_key(&mut self, name: &str) {
        let (shift, name) = name.strip_prefix("Shift+").map_or((0, name), |name| (SHIFT, name));
        self.strike(name, shift, &[]);
    }

    /// Types a text into what has the focus.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Selects all there is in the field that has the focus.
    pub(super) fn select_all(&mut self) {
        self.strike("a", CONTROL, &["selectAll"]);
    }

    fn strike(&mut self, name: &str, modifiers: u8, commands: &[&str]) {
        let (name, place, number, text) = key(name);
        let text = text.filter(|_| modifiers & CONTROL == 0);
        let kind = if text.is_some() { "keyDown" } else { "rawKeyDown" };
        for kind in [kind, "keyUp"] {
            let mut event = json!({
                "type": kind, "key": name, "code": place, "windowsVirtualKeyCode": number, "modifiers": modifiers,
            });
            if kind != "keyUp" {
                event["commands"] = json!(commands);
                if let Some(text) = &text {
                    event["text"] = json!(text);
                }
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// The name of what has the focus, or nothing.
    pub(crate) fn focus(&mut self) -> Option<String> {
        self.evaluate("person.focus()").as_str().map(ToOwned::to_owned)
    }

    /// The focus has to be seen: an outline of a contrast of 3 to 1, in the window, below nothing else.
    pub(crate) fn sees_focus(&mut self) {
        let trouble = self.evaluate("person.focusTrouble()");
        assert_eq!(trouble, Value::Null, "the focus on {:?} is not seen", self.focus());
    }

    /// Presses Tab until what is called this has the focus, which has to be seen at every stop.
    pub(crate) fn tab_to(&mut self, name: &str) {
        self.settle();
        let mut passed = Vec::new();
        while passed.len() < STOPS_MAX {
            self.press_key("Tab");
            let Some(focus) = self.focus() else { break };
            self.sees_focus();
            if focus == name {
                return;
            }
            passed.push(focus);
        }
        panic!("Tab does not lead to {name:?}, but to {passed:?}");
    }

    /// Where Tab leads from here to the end of the page, by name. The focus has to be seen at every stop.
    pub(crate) fn stops(&mut self) -> Vec<String> {
        self.settle();
        let mut passed = Vec::new();
        for _ in 0..STOPS_MAX {
            self.press_key("Tab");
            let stop = self.evaluate("person.stop()");
            if stop["part"] == true {
                continue;
            }
            let Some(name) = stop["name"].as_str() else { return passed };
            assert_eq!(stop["trouble"], Value::Null, "the focus on {name:?} is not seen");
            passed.push(name.to_owned());
        }
        panic!("Tab leads nowhere: {passed:?}");
    }
}
