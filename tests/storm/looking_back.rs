//! What the API answered then, against what the log says of then: each answer by the version that it names, and all views of random
//! moments of peace in copies that are made of the log.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{chances::Chances, deployment::Serving, history::History, living::Storm, support};

/// Moments of which a copy is made at the end of a deployment.
const COPIES: usize = 2;
/// Moments and answers that are looked back at.
const MOMENTS: usize = 12;
const ANSWERS: usize = 150;
/// Fields that no event tells: single uses, and what is made of the present time.
const BESIDE_THE_LOG: [&str; 2] = ["last_used_at", "last_used_from"];
/// Fields that are erased with a person, in what is shown of them and of their keys.
const PERSONAL: [&str; 5] = ["email", "name", "label", "mail_failure", "redacted"];

/// All that the API showed at a moment at which nothing happened.
pub(crate) struct Moment {
    /// The position of the log's last event then.
    position: u64,
    shown: Vec<Value>,
}

/// Where something is asked: a server, and the token of an administrator there.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) url: &'a str,
    pub(crate) token: &'a str,
}

impl Storm {
    /// Remembers what is shown now, if nothing happens meanwhile.
    pub(crate) async fn remember_moment(&self, serving: &Serving) {
        let place = self.place(serving);
        let last = async || self.last_position(place).await;
        let position = last().await;
        let shown = self.shown(place).await;
        if last().await == position {
            self.moments.borrow_mut().push(Moment { position, shown });
        }
    }

    async fn last_position(&self, place: Place<'_>) -> u64 {
        let newest = self.ask_at(place, "/events?limit=1&order=newest").await;
        let position = &newest["data"][0]["position"];
        let digits = position.as_str().map_or_else(|| position.to_string(), ToOwned::to_owned);
        digits.parse().unwrap_or_else(|error| panic!("{error}: {newest}"))
    }

    /// Looks back from the end, when nothing happens any more.
    /// Tells how much was looked at.
    pub(crate) async fn look_back(&self, serving: &Serving, history: &History, mut chances: Chances) -> String {
        let erased: BTreeSet<String> = history
            .streams
            .keys()
            .filter_map(|stream| stream.strip_prefix("user#"))
            .filter(|id| history.standing(id, None).is_deleted)
            .map(ToOwned::to_owned)
            .collect();
        let answers = self.look_back_at_answers(serving, &erased, &mut chances).await;
        let mut moments = self.moments.take();
        let mut chosen = Vec::new();
        while !moments.is_empty() && chosen.len() < MOMENTS {
            chosen.push(moments.swap_remove(chances.place(moments.len())));
        }
        for moment in &chosen {
            self.look_back_at_people(serving, moment, &erased).await;
        }
        for moment in chosen.iter().take(COPIES) {
            self.look_at_copy(moment, &erased).await;
        }
        assert!(answers > 0 && !chosen.is_empty(), "there is nothing to look back at: {answers} answers");
        format!("{answers} answers and {} moments looked back at", chosen.len())
    }

    /// What was answered of a person is what the log says of that version, every field.
    async fn look_back_at_answers(&self, serving: &Serving, erased: &BTreeSet<String>, chances: &mut Chances) -> usize {
        let mut answers: Vec<Value> = {
            let memory = self.memory.borrow();
            let answers = memory.requests.iter().filter_map(|request| request.answer.as_ref());
            let answers = answers.filter(|answer| answer.is_success()).map(|answer| answer.body.clone());
            answers.filter(|body| body["role"].is_string() && body["version"].is_u64()).collect()
        };
        let looked_at = ANSWERS.min(answers.len());
        for _ in 0..looked_at {
            let then = answers.swap_remove(chances.place(answers.len()));
            let id = then["id"].as_str().expect("an id");
            let path = format!("/users/{id}?as_of={}", then["version"]);
            let told = self.ask_at(self.place(serving), &path).await;
            assert_eq!(lasting(&told, erased), lasting(&then, erased), "{path}, against what was answered then");
        }
        looked_at
    }

    /// Each person as of a moment's position is what was shown at that moment.
    async fn look_back_at_people(&self, serving: &Serving, moment: &Moment, erased: &BTreeSet<String>) {
        for then in moment.shown.iter().filter(|shown| shown["role"].is_string()) {
            let path = format!("/users/{}?as_of=position:{}", then["id"].as_str().expect("an id"), moment.position);
            let told = self.ask_at(self.place(serving), &path).await;
            assert_eq!(lasting(&told, erased), lasting(then, erased), "{path}, against what was shown then");
        }
    }

    /// A copy of the deployment as it was shows what was shown.
    async fn look_at_copy(&self, moment: &Moment, erased: &BTreeSet<String>) {
        let (folder, position) = (tempfile::tempdir().unwrap(), format!("position:{}", moment.position));
        let copy = folder.path().join("copy");
        let into = copy.to_str().unwrap();
        let (well, text) = self.deployment.run("", &["events", "replay", "--as-of", &position, "--into", into]);
        assert!(well, "{position}: {text}");
        let mut command = support::permitd();
        command.args(["serve", "--read-only", "--json", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
        command.arg("--data").arg(&copy).env("PERMITD_LOG_FILTER", "warn");
        command.env("PERMITD_HTTP_CONNECTIONS_MAX", "1000");
        let find = |line: &str| serde_json::from_str::<Value>(line).ok();
        let (_process, ready) = support::Process::start(&mut command, find);
        let text = |name: &str| ready[name].as_str().expect("a text");
        let shown = self.shown(Place { url: text("url"), token: text("admin_token") }).await;
        let all = |shown: &[Value]| shown.iter().map(|one| lasting(one, erased)).collect::<Vec<_>>();
        assert_eq!(all(&shown), all(&moment.shown), "a copy as of {position}, against what was shown then");
    }
}

/// What is told of then at any later time: without what was erased since, and what is beside the log.
fn lasting(document: &Value, erased: &BTreeSet<String>) -> Value {
    match document {
        Value::Array(all) => all.iter().map(|one| lasting(one, erased)).collect(),
        Value::Object(fields) => {
            let is_erased = ["id", "user"]
                .iter()
                .any(|name| fields.get(*name).and_then(Value::as_str).is_some_and(|id| erased.contains(id)));
            let kept = fields.iter().filter(|(name, _)| {
                let name = name.as_str();
                !(BESIDE_THE_LOG.contains(&name) || is_erased && PERSONAL.contains(&name))
            });
            kept.map(|(name, value)| (name.clone(), lasting(value, erased))).collect::<serde_json::Map<_, _>>().into()
        }
        other => json!(other),
    }
}
