//! Whether a page can be used by everybody: by the rules of axe-core, and on narrow screens.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::{Value, json};

use super::{
    look::{Look, Scheme},
    page::Browser,
    support,
};

/// Widths to which a page has to flow: 320 CSS pixels is 1280 at a zoom of 400 % (WCAG 1.4.10); 360 is a common phone, 768 one of its larger
/// kin, 1920 a large screen.
const WIDTHS: [u32; 4] = [320, 360, 768, 1920];

/// Every rule of WCAG 2.0, 2.1 and 2.2 at the levels A and AA, and of best practices, those on trial and those that are off until
/// asked for (the size of targets) included.
const RULES: &str = "axe.getRules(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'])
    .filter((rule) => !rule.tags.includes('deprecated')).map((rule) => rule.ruleId)";

/// What dark changes: colours alone.
const RULES_OF_COLOR: &str = "['color-contrast', 'link-in-text-block']";

/// What is wrong, as rule, node and fix, on a line each. Frames within the page are findings of the guard.
const RUN: &str = "axe
    .run(document, { runOnly: { type: 'rule', values: RULES }, resultTypes: ['violations'], iframes: false })
    .then(({ violations }) => violations.flatMap((rule) => rule.nodes.map((node) =>
      `${rule.id} (${node.impact ?? rule.impact}): ${node.target.join(' ')}\\n    ${node.html}\\n    ` +
      `${node.failureSummary.replace(/\\s*\\n\\s*/g, ' ')} ${rule.helpUrl.split('?')[0]}`)))";

/// The text of axe-core. Without it, says so in one line and gives nothing, but where everything has to be tested.
pub(crate) fn axe() -> Option<String> {
    let target = option_env!("CARGO_TARGET_DIR").map_or_else(|| support::repository().join("target"), PathBuf::from);
    let found = std::fs::read_to_string(target.join("test-tools/node_modules/axe-core/axe.min.js"));
    if found.is_err() {
        support::skip("there is no axe-core: `make test-tools` installs it");
    }
    found.ok()
}

impl Browser {
    /// Nothing may hinder anybody from using the page in this state, as wide as it is and at 320 pixels, nor by its colours in dark:
    /// whatever axe-core finds fails, of any impact, and so do targets that are too small to be hit, and what has to be scrolled
    /// sideways.
    pub(crate) fn accessible(&mut self, state: &str) {
        self.reflows(state);
        let found = self.barriers();
        assert!(found.is_empty(), "{state} is not accessible:\n{}", found.join("\n"));
    }

    /// What hinders somebody in this state, each with the look it was found in.
    pub(crate) fn barriers(&mut self) -> Vec<String> {
        let axe = axe();
        let before = self.look.clone();
        let mut found = Vec::new();
        let mut known = BTreeSet::new();
        let looks = [
            (Scheme::Light, before.width, RULES),
            (Scheme::Light, WIDTHS[0], RULES),
            (Scheme::Dark, before.width, RULES_OF_COLOR),
        ];
        for (scheme, width, rules) in looks {
            // axe waits by timers, which stand still where the scripts of the page are off. Those that were parsed
            // meanwhile do not begin to run.
            self.look = Look { width, scheme, scripts: true, ..before.clone() };
            self.put_on();
            let mut barriers = self.evaluate("person.still().then(person.smallTargets)");
            let barriers = barriers.as_array_mut().expect("a list of targets");
            if let Some(axe) = &axe {
                self.evaluate(&format!("globalThis.axe ? true : (() => {{ {axe}; return true; }})()"));
                let mut broken = self.evaluate(&RUN.replace("RULES", rules));
                barriers.append(broken.as_array_mut().expect("what axe found"));
            }
            let barriers = barriers.iter().filter_map(Value::as_str);
            let new = barriers.filter(|barrier| known.insert((*barrier).to_owned()));
            found.extend(new.map(|barrier| format!("{width} px, {}: {barrier}", scheme.name())));
        }
        self.look = before;
        self.put_on();
        found
    }

    /// The page in this state has to flow to narrow screens: nothing but what scrolls by itself is wider.
    pub(crate) fn reflows(&mut self, state: &str) {
        let before = self.look.clone();
        let sized = "!!document.querySelector('meta[name=viewport]')?.content.includes('width=device-width')";
        assert_eq!(self.evaluate(sized), json!(true), "{state} does not say that it fits the device's width");
        for width in WIDTHS {
            self.resize(width);
            let wide = self.wider_than_the_window();
            assert!(wide.is_empty(), "{state} has to be scrolled sideways at {width} px: {wide:?}");
        }
        self.look = before;
        self.put_on();
    }

    /// What would have to be scrolled sideways with the page.
    pub(crate) fn wider_than_the_window(&mut self) -> Vec<String> {
        serde_json::from_value(self.evaluate("person.tooWide()")).unwrap()
    }
}
