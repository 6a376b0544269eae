//! What a person does with mouse and text. Things are found by what is written on them; of those, the one that is to be seen,
//! enabled, and below nothing else.

use std::{path::Path, time::Instant};

use serde_json::{Value, json};

use super::{chromium::PATIENCE, page::Browser, support};

impl Browser {
    /// Clicks on what has this text: a link, a button, something to unfold.
    pub(crate) fn click(&mut self, text: &str) {
        self.click_within("body", "", text);
    }

    /// The same in the only element of that kind that holds another text, such as the row of somebody.
    pub(crate) fn click_within(&mut self, kind: &str, other: &str, text: &str) {
        let found = format!("person.pressed({}, {}, {})", json!(kind), json!(other), json!(text));
        self.press(&format!("one {text:?} to click on"), &found);
    }

    /// Clicks on a link or on the button of a form, waits for the document that this leads to, and gives its status.
    pub(crate) fn follow(&mut self, text: &str) -> u16 {
        self.loads(|browser| browser.click(text))
    }

    /// Clicks on the only element that the selector finds.
    pub(crate) fn click_on(&mut self, selector: &str) {
        self.press(selector, &format!("[...document.querySelectorAll({})]", json!(selector)));
    }

    /// Types into the field with this label, in place of what is there.
    pub(crate) fn fill(&mut self, label: &str, text: &str) {
        self.type_in(&format!("one field {label:?}"), &fields(label), text);
    }

    /// Types into the only field that the selector finds, in place of what is there.
    pub(crate) fn fill_in(&mut self, selector: &str, text: &str) {
        self.type_in(selector, &format!("[...document.querySelectorAll({})]", json!(selector)), text);
    }

    fn type_in(&mut self, what: &str, found: &str, text: &str) {
        self.press(what, found);
        // What is picked, and not typed, is given as its value is written: 2026-01-31, 09:30, #aabbcc.
        let is_picked = format!(
            "(() => {{
               const one = person.only({found});
               if (!one || !['date', 'time', 'datetime-local', 'month', 'week', 'color', 'range'].includes(one.type)) return false;
               one.value = {};
               if (one.value !== {}) throw new Error(`${{one.type}} has become ${{one.value}}`);
               for (const kind of ['input', 'change']) one.dispatchEvent(new Event(kind, {{ bubbles: true }}));
               return true;
             }})()",
            json!(text),
            json!(text)
        );
        if self.evaluate(&is_picked) == Value::Bool(true) {
            return;
        }
        // What is typed goes to what has the focus: that comes a moment after the press, and not where the page has moved meanwhile.
        let has_focus =
            format!("(() => {{ const one = person.only({found}); return !!one && one === document.activeElement }})()");
        self.wait(&format!("{what} to have the focus"), &has_focus);
        self.select_all();
        if text.is_empty() {
            self.press_key("Delete");
        } else {
            self.call("Input.insertText", json!({ "text": text }));
        }
    }

    /// What stands in the field with this label.
    pub(crate) fn value(&mut self, label: &str) -> String {
        let value = format!("person.only({})?.value", fields(label));
        self.wait(&format!("one field {label:?}"), &value).as_str().unwrap_or_default().to_owned()
    }

    /// Chooses an option of the list with this label, by what is written on the option.
    pub(crate) fn choose(&mut self, label: &str, option: &str) {
        let offered = format!(
            "[...list.options].filter((one) => !one.matches(':disabled') && one.label.trim() === {})",
            json!(option)
        );
        self.choose_of(&fields(label), &offered, &format!("the option {option:?} of {label:?}"));
    }

    /// Chooses an option of the only list that the selector finds, by its value.
    pub(crate) fn choose_in(&mut self, selector: &str, value: &str) {
        let offered = format!("[...list.options].filter((one) => one.value === {})", json!(value));
        let lists = format!("[...document.querySelectorAll({})]", json!(selector));
        self.choose_of(&lists, &offered, &format!("the option {value:?} of {selector}"));
    }

    /// Where lists drop down, they do so outside of the page: the choice is made in the page, with what it makes known.
    fn choose_of(&mut self, lists: &str, offered: &str, what: &str) {
        let chosen = format!(
            "(() => {{
               const list = person.only({lists});
               const offered = list && person.place(list) ? {offered} : [];
               if (offered.length !== 1) return false;
               offered[0].selected = true;
               for (const kind of ['input', 'change']) list.dispatchEvent(new Event(kind, {{ bubbles: true }}));
               return true;
             }})()"
        );
        self.wait(what, &chosen);
    }

    /// Ticks the box, or picks the one of several, that has this label.
    pub(crate) fn tick(&mut self, label: &str) {
        self.set_tick(label, true);
    }

    /// Takes the tick off the box with this label.
    pub(crate) fn untick(&mut self, label: &str) {
        self.set_tick(label, false);
    }

    /// Whether the box with this label is ticked.
    pub(crate) fn is_ticked(&mut self, label: &str) -> bool {
        let asked = format!("person.only({})?.checked", fields(label));
        // As a text: `false` would be taken for no answer.
        self.wait(&format!("one box {label:?}"), &format!("({asked})?.toString()")) == "true"
    }

    fn set_tick(&mut self, label: &str, is_wanted: bool) {
        if self.is_ticked(label) != is_wanted {
            self.press(&format!("one box {label:?}"), &fields(label));
            let is_so = format!("person.only({})?.checked === {is_wanted}", fields(label));
            self.wait(&format!("the box {label:?} to change"), &is_so);
        }
    }

    /// Chooses a file for the field with this label, in the window for that which a click opens.
    pub(crate) fn choose_file(&mut self, label: &str, file: &Path) {
        let found = fields(label);
        self.asks_for_file(file, |browser| browser.press(&format!("one field {label:?} for a file"), &found));
    }

    /// The same for the only field that the selector finds.
    pub(crate) fn choose_file_in(&mut self, selector: &str, file: &Path) {
        self.asks_for_file(file, |browser| browser.click_on(selector));
    }

    /// Does something by which the browser asks for a file, and chooses this one.
    pub(crate) fn asks_for_file(&mut self, file: &Path, act: impl FnOnce(&mut Self)) {
        self.heard(|heard| heard.chooser = None);
        act(self);
        let deadline = Instant::now() + PATIENCE;
        let field = loop {
            if let Some(field) = self.heard(|heard| heard.chooser.take()) {
                break field;
            }
            assert!(Instant::now() < deadline, "the browser asks for no file; the focus is on {:?}", self.focus());
            self.listen();
        };
        self.call("DOM.setFileInputFiles", json!({ "files": [file], "backendNodeId": field }));
    }

    /// Clicks on a link that keeps a file instead of showing it; gives the text of the file, which is not empty.
    pub(crate) fn download(&mut self, text: &str) -> String {
        let folder = support::data_dir();
        self.keep_downloads_in(folder.path());
        self.click(text);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
            // One that is still arriving has another name, for which the browser first takes its own with an empty file.
            let (arriving, whole): (Vec<_>, Vec<_>) =
                files.partition(|path| path.extension().is_some_and(|ending| ending == "crdownload"));
            if let ([], [path]) = (arriving.as_slice(), whole.as_slice())
                && let Ok(text) = std::fs::read_to_string(path)
                && !text.is_empty()
            {
                return text;
            }
            assert!(Instant::now() < deadline, "no file came of {text:?}");
            self.listen();
        }
    }

    /// Drops a file on the field with this label.
    pub(crate) fn drop_file(&mut self, label: &str, file: &Path) {
        let place = self.place(&format!("one field {label:?} for a file"), &fields(label));
        self.drop_at(&place, file);
    }

    /// Drops a file on the only element that the selector finds.
    pub(crate) fn drop_file_on(&mut self, selector: &str, file: &Path) {
        let place = self.place(selector, &format!("[...document.querySelectorAll({})]", json!(selector)));
        self.drop_at(&place, file);
    }

    fn drop_at(&mut self, place: &Value, file: &Path) {
        for kind in ["dragEnter", "dragOver", "drop"] {
            let data = json!({ "items": [], "files": [file], "dragOperationsMask": 1 });
            let event = json!({ "type": kind, "x": place["x"], "y": place["y"], "data": data });
            self.call("Input.dispatchDragEvent", event);
        }
    }

    /// Where the mouse gets at the one element that is found, once it is to be seen, enabled, and nothing lies over it. Until a page
    /// is whole, its parts move.
    fn place(&mut self, what: &str, found: &str) -> Value {
        self.settle();
        self.wait(what, &format!("document.readyState === 'complete' && person.place(person.only({found}))"))
    }

    /// Presses the mouse on the one element that is found.
    fn press(&mut self, what: &str, found: &str) {
        let place = self.place(what, found);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place["x"], "y": place["y"], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }
}

fn fields(label: &str) -> String {
    format!("person.fields({})", json!(label))
}
