//! The lives of servers over one deployment: how each begins and ends, and what is looked at in between.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    chances::Chances,
    deployment::{Deployment, Serving},
    history::History,
    looking_back::{Moment, Place},
    memory::{KnownKey, Memory},
    script::{CLIENTS, FILES_ROWS, Fate, PLANS, QUOTAS, Script},
    support::Process,
};

/// Commands that are answered at least, for it to have been a storm.
const ANSWERED_MIN: usize = 10;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server is given to come to its failpoint.
const DEATH_WITHIN: Duration = Duration::from_millis(1500);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Lives between two verifications of the whole log.
const LIVES_PER_VERIFICATION: u64 = 5;
/// The default of `admission.grant_ttl_ms`, and what the answer of a reading may take.
const GRANT_LIFE: Duration = Duration::from_millis(1100);
const AUDITOR: &str = "auditor@storm.example";

/// A storm over one deployment.
pub(crate) struct Storm {
    pub(crate) deployment: Deployment,
    pub(crate) script: RefCell<Script>,
    pub(crate) memory: RefCell<Memory>,
    pub(crate) client: reqwest::Client,
    /// Files to import, by their rows.
    pub(crate) files: BTreeMap<u64, PathBuf>,
    /// Set when the life is over: whoever acts stops.
    pub(crate) is_over: Cell<bool>,
    is_aws: bool,
    /// Where servers say what they have to say.
    log: PathBuf,
    /// Somebody whom the storm leaves alone.
    auditor: KnownKey,
    /// What the log held before the storm.
    setup: BTreeSet<(String, u64)>,
    /// The log as it was seen last.
    seen: RefCell<History>,
    /// What was shown at moments of peace.
    pub(crate) moments: RefCell<Vec<Moment>>,
}

impl Storm {
    /// Prepares a deployment: plans, a data set, files to import.
    pub(crate) async fn begin(deployment: Deployment, script: Script, is_aws: bool, log: PathBuf) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let files = FILES_ROWS.map(|rows| (rows, deployment.sample(rows))).into_iter().collect();
        let (well, text) = deployment.import("", FILES_ROWS[0]);
        assert!(well, "{text}");
        let auditor = KnownKey { id: String::new(), owner: String::new(), text: String::new() };
        let mut storm = Self {
            deployment,
            script: RefCell::new(script),
            memory: RefCell::default(),
            client,
            files,
            is_over: Cell::new(false),
            is_aws,
            log,
            auditor,
            setup: BTreeSet::new(),
            seen: RefCell::default(),
            moments: RefCell::default(),
        };
        let serving = storm.serve(0, "").expect("a first server");
        for plan in PLANS {
            let limits = json!({ "rate_per_s": 500, "burst": 200, "quota_per_day": QUOTAS[0] });
            storm.define(&serving, plan, limits).await;
        }
        // Whatever servers that die take along, something is left.
        let plenty = json!({ "rate_per_s": 1_000_000, "burst": 1_000_000, "quota_per_day": 1_000_000_000 });
        storm.define(&serving, "auditor", plenty).await;
        storm.invite_auditor(&serving).await;
        let history = History::of(&storm.whole(&serving, "/events").await);
        let commits = history.commits_by_request().into_values().flatten();
        storm.setup = commits.map(|(stream, version)| (stream.to_owned(), version)).collect();
        drop(serving);
        storm
    }

    async fn define(&self, serving: &Serving, plan: &str, limits: Value) {
        let path = format!("/plans/{plan}");
        let (status, told) = self.deployment.admin(serving, Method::PUT, &path, "", Some(limits)).await.unwrap();
        assert!((200..300).contains(&status), "{status} {told}");
    }

    async fn invite_auditor(&mut self, serving: &Serving) {
        let admin = async |path: &str, body: Value| {
            let (status, told) = self.deployment.admin(serving, Method::POST, path, "", Some(body)).await.unwrap();
            assert_eq!(status, 201, "{told}");
            told
        };
        let user = admin("/users", json!({ "email": AUDITOR, "plan": "auditor" })).await;
        let owner = user["id"].as_str().expect("an id").to_owned();
        let key = admin(&format!("/users/{owner}/keys"), json!({})).await;
        let text = |name: &str| key[name].as_str().expect("a text").to_owned();
        let auditor = KnownKey { id: text("id"), owner, text: text("key") };
        self.auditor = auditor;
    }

    pub(crate) fn auditor(&self) -> &KnownKey {
        &self.auditor
    }

    /// How much later than its answer the end of a key is in force everywhere.
    pub(crate) fn grant_life(&self) -> Duration {
        if self.is_aws { GRANT_LIFE } else { Duration::ZERO }
    }

    pub(crate) fn is_of_the_setup(&self, (stream, version): &(&str, u64)) -> bool {
        self.setup.contains(&((*stream).to_owned(), *version))
    }

    fn command(&self, machine: usize, failpoints: &str) -> Command {
        let mut command = self.deployment.command_of(machine, failpoints);
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        command.args(["serve", "--json"]).stderr(log);
        command
    }

    /// A server; none when it died before it was ready.
    fn serve(&self, machine: usize, failpoints: &str) -> Option<Serving> {
        let find = |line: &str| serde_json::from_str::<Value>(line).ok();
        let (process, ready) = Process::try_start(&mut self.command(machine, failpoints), find).ok()?;
        Some(Serving { process, url: ready["url"].as_str().expect("an address").to_owned() })
    }

    /// One life, and what has to hold after it; false when the script is at its end.
    pub(crate) async fn live(&self, life: u64) -> bool {
        let Some(fate) = self.script.borrow_mut().fate(life) else { return false };
        if let Fate::KilledEarly { after_ms } = fate {
            let mut child = self.command(0, "").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            child.kill().unwrap();
            child.wait().unwrap();
        } else {
            // In AWS there are two at a time, of which one dies; here one.
            let machines: &[usize] =
                if !self.is_aws { &[0] } else { [[1, 2], [2, 1]][usize::from(life.is_multiple_of(2))].as_slice() };
            let victim = self.serve(machines[0], &fate.failpoints());
            let others: Vec<Serving> = machines[1..].iter().filter_map(|machine| self.serve(*machine, "")).collect();
            if let Some(victim) = victim {
                self.act_until_death(life, &fate, victim, &others).await;
            }
        }
        self.deployment.let_leases_end().await;
        self.look(life.is_multiple_of(LIVES_PER_VERIFICATION)).await;
        true
    }

    async fn act_until_death(&self, life: u64, fate: &Fate, mut victim: Serving, others: &[Serving]) {
        let urls: Vec<String> = [&victim].into_iter().chain(others).map(|serving| serving.url.clone()).collect();
        self.is_over.set(false);
        let acting = join_all((0..CLIENTS).map(|client| self.act(life, client, &urls)));
        let dying = async {
            match fate {
                Fate::Killed { after_ms } | Fate::KilledEarly { after_ms } => {
                    tokio::time::sleep(Duration::from_millis(*after_ms)).await;
                    victim.process.kill();
                }
                Fate::Dies { .. } => {
                    let began = Instant::now();
                    while !victim.process.has_ended() && began.elapsed() < DEATH_WITHIN {
                        tokio::time::sleep(LOOK_INTERVAL).await;
                    }
                    victim.process.kill();
                }
                Fate::Stopped { after_ms } => {
                    tokio::time::sleep(Duration::from_millis(*after_ms)).await;
                    self.stop(&mut victim).await;
                }
            }
            self.is_over.set(true);
        };
        tokio::join!(acting, dying);
    }

    async fn stop(&self, serving: &mut Serving) {
        let sent = Command::new("kill").args(["-TERM", &serving.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.deployment.until("the server to stop", async || serving.process.has_ended()).await;
        let status = serving.process.ended();
        assert_eq!(status.code(), Some(0), "a server that is asked to stop ends with {status}");
    }

    /// Compares what was answered, what is in the log, and what a server without failpoints does.
    async fn look(&self, verifies: bool) {
        let serving = self.serve(0, "").expect("a server starts after whatever was before");
        let history = self.learn(&serving).await;
        history.check_grown_from(&self.seen.borrow());
        self.check_log(&history);
        self.check_records(&serving, &history).await;
        if !self.is_aws {
            // There a dead node's grants live for a moment.
            self.check_admission(&serving, &history).await;
        }
        self.seen.replace(history);
        self.remember_moment(&serving).await;
        if verifies {
            self.deployment.verify();
        }
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(!log.contains("panicked at"), "a server has panicked");
    }

    /// Lets everything come to rest and looks a last time; what there was.
    pub(crate) async fn end(self, chances: Chances) -> String {
        let serving = self.serve(0, "").expect("a last server");
        self.check_invitations(&serving).await;
        tokio::time::sleep(self.grant_life()).await;
        let history = self.learn(&serving).await;
        history.check_grown_from(&self.seen.borrow());
        self.check_log(&history);
        self.check_admission(&serving, &history).await;
        self.deployment.verify();
        self.deployment
            .until("a rebuild of the views while nothing happens", async || self.is_rebuilt_in_peace(&serving).await)
            .await;
        self.deployment.verify();
        let looked_back = self.look_back(&serving, &history, chances).await;
        drop(serving);
        let memory = self.memory.borrow();
        let answered = memory.requests.iter().filter(|request| request.answer.is_some()).count();
        assert!(answered >= ANSWERED_MIN && !memory.readings.is_empty(), "that was no storm: {answered} answers");
        let events: usize = history.streams.values().map(Vec::len).sum();
        format!(
            "{answered} of {} commands answered, {} readings, {} people, {} mails, {} imports, {events} events, {looked_back}",
            memory.requests.len(),
            memory.readings.len(),
            memory.people.len(),
            memory.mails.len(),
            memory.imported.len(),
        )
    }

    /// Rebuilds the views, which must not change them; false when something happened meanwhile, such as a message of a process
    /// that died and only now was received again.
    async fn is_rebuilt_in_peace(&self, serving: &Serving) -> bool {
        let before = self.whole(serving, "/events").await.len();
        let live = self.shown(self.place(serving)).await;
        let (well, text) = self.deployment.run("", &["events", "replay"]);
        assert!(well, "{text}");
        let rebuilt = self.shown(self.place(serving)).await;
        if self.whole(serving, "/events").await.len() != before {
            return false;
        }
        assert_eq!(rebuilt, live, "a rebuild of the views has changed them");
        true
    }

    /// All views, as the administrator sees them.
    pub(crate) async fn shown(&self, place: Place<'_>) -> Vec<Value> {
        let mut shown = self.whole_at(place, "/users").await;
        for user in shown.clone() {
            let path = format!("/users/{}/keys", user["id"].as_str().expect("an id"));
            shown.push(self.ask_at(place, &path).await);
        }
        for path in ["/plans", "/imports"] {
            shown.push(self.ask_at(place, path).await);
        }
        shown
    }
}
