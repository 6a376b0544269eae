//! `permitd serve`: the server.

use std::{
    io::Write,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    CommandAnswer, Common, Exit, Failure,
    open::Definitions,
    output::{counted, facts},
    people::{noted, notes},
};
use crate::{
    app::{self, Listeners, Node, Purpose, Server},
    clock::SystemClock,
    config::Settings,
    secrets::SystemEntropy,
    telemetry,
};

/// How long the process takes to leave its runtime in order after a stop, before it ends without.
const LEAVE_PATIENCE: Duration = Duration::from_millis(500);

/// Serve the API
///
/// Prints once, when it is ready, where it listens; log lines go to standard error. At its first start it makes the
/// administrator's token and prints it: only a hash is kept (`permitd admin-tokens new` makes another).
///
/// With --read-only it shows a data directory as it stands, or a copy that `permitd events replay --into` made: no file is changed, and
/// there is neither queue nor mailer nor server secret. Keys answer as at that moment, limits are counted from what was used by then, and in
/// memory only. For the administrator's pages it prints a link that works as long as it runs, if it listens on this machine alone.
///
/// SIGTERM or SIGINT: finishes the requests in flight and ends within http.shutdown_timeout_s; a second one ends it at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd serve
  permitd serve --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0      any free ports; the output says which
  permitd serve --datasets definitions                             also reads the definitions of that folder
  permitd serve --read-only --data permitd-copy                    shows a copy, and changes nothing
  permitd serve --data /var/lib/permitd --config /etc/permitd.toml

Exit codes:
  0  it was stopped, and stopped in order
  5  it cannot begin for now: the address is taken, the disk full
  130  a second signal ended it before it had stopped in order")]
pub(super) struct Serve {
    #[command(flatten)]
    addresses: Addresses,
    #[command(flatten)]
    definitions: Definitions,
    /// Only show the data directory as it stands, or the copy that it is: nothing is changed, sent or published
    #[arg(long)]
    read_only: bool,
    /// With --read-only: print the link for the administrator's pages also where others can reach this server
    #[arg(long, requires = "read_only")]
    admin_link: bool,
}

/// Where to listen.
#[derive(Debug, Args)]
pub(super) struct Addresses {
    /// The API's address [variable: PERMITD_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The address of health and metrics [variable: PERMITD_OPS_LISTEN] [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS:PORT")]
    ops_listen: Option<String>,
}

impl Addresses {
    /// The settings that they are.
    pub(super) fn flags(&self) -> [(&'static str, Option<String>); 2] {
        [("listen", self.listen.clone()), ("ops.listen", self.ops_listen.clone())]
    }
}

impl Serve {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let [listen, ops_listen] = self.addresses.flags();
        let settings = common.settings(&[listen, ops_listen, self.definitions.flag()])?;
        telemetry::init(&settings.log)?;
        app::block_on(async {
            let mut signals = Signals::listen()?;
            let purpose = if self.read_only { Purpose::Rehearse } else { Purpose::Serve };
            let (mut server, bound) = start(settings, purpose).await?;
            if self.read_only && !self.admin_link && !bound.public.ip().is_loopback() {
                drop(server.take_first_admin_token());
            }
            announce(&ready(&mut server, bound), common.json)?;
            signals.next().await;
            stop(server, signals).await
        })
    }
}

/// The addresses that are listened on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) public: SocketAddr,
    pub(super) ops: SocketAddr,
}

/// Opens the node and serves it.
pub(super) async fn start(settings: Settings, purpose: Purpose) -> Result<(Server, Bound), Failure> {
    let system = |error: std::io::Error| Failure::unavailable(format!("the system refuses to serve: {error}"));
    app::raise_limit();
    let listeners = Listeners::bind(&settings)?;
    let (public, ops) = (listeners.public_address().map_err(system)?, listeners.ops_address().map_err(system)?);
    let node = Node::open(settings, SystemClock::shared(), Arc::new(SystemEntropy), purpose, public, None).await?;
    Ok((Server::start(node, listeners).map_err(system)?, Bound { public, ops }))
}

/// The link that signs an administrator in. The token stands behind the `#`, which browsers do not send.
pub(super) fn sign_in_url(public_url: &str, token: &str) -> String {
    format!("{public_url}/admin#token={token}")
}

fn ready(server: &mut Server, Bound { public, ops }: Bound) -> CommandAnswer {
    let token = server.take_first_admin_token();
    let node = server.node();
    let (url, ops_url) = (&node.service.public_url, format!("http://{ops}"));
    let (served, notes) = (served(node), notes(node));
    let mut document = json!({ "url": url, "ops_url": ops_url, "data": node.service.settings.data, "datasets": served, "notes": notes });
    let mut lines = vec![("API", url.clone()), ("health, metrics", ops_url), ("data sets", told(&served))];
    let mut note = "";
    if let (Some(shown), Some(fields)) = (&node.service.rehearsed, document.as_object_mut()) {
        let copy = format!("of {} as of {}, read-only", shown.of, shown.as_of);
        lines.insert(0, ("copy", copy));
        fields.insert("copy".to_owned(), json!({ "of": shown.of, "as_of": shown.as_of, "read_only": true }));
    }
    if let (Some(token), Some(fields)) = (token, document.as_object_mut()) {
        let sign_in = sign_in_url(url, &token);
        lines.push(("sign in", sign_in.clone()));
        lines.push(("admin token", token.to_string()));
        note = match node.service.rehearsed {
            Some(_) => "The token works for as long as this process runs, and is stored nowhere.\n",
            None => "The token is shown this once: only its hash is kept. `permitd admin-tokens new` makes another.\n",
        };
        fields.insert("admin_token".to_owned(), token.as_str().into());
        fields.insert("sign_in_url".to_owned(), sign_in.into());
    }
    CommandAnswer::new(
        document,
        format!("permitd listens on http://{public}\n{}{note}{}", facts(&lines), noted(&notes)),
    )
}

/// The data sets that are served, and how many records each has; those that a definition names and nothing was imported into have
/// none.
fn served(node: &Node) -> Vec<Value> {
    let present = node.service.records.data_sets();
    let is_absent = |name: &str| present.iter().all(|data_set| data_set.definition.name != name);
    let with_records =
        present.iter().map(|data_set| json!({ "name": data_set.definition.name, "records": data_set.records }));
    let without = node.definitions.iter().map(|definition| &definition.name).filter(|name| is_absent(name));
    with_records.chain(without.map(|name| json!({ "name": name, "records": null }))).collect()
}

fn told(served: &[Value]) -> String {
    let shown = |data_set: &Value| {
        let name = data_set.get("name").and_then(Value::as_str)?;
        Some(format!("/{name} ({})", counted(data_set.get("records")?.as_u64()?, "record")))
    };
    let shown: Vec<String> = served.iter().filter_map(shown).collect();
    match shown.is_empty() {
        true => "none yet: `permitd import FILE --dataset NAME`, also beside this server".to_owned(),
        false => shown.join(", "),
    }
}

/// Prints what a server says when it is ready, at once.
pub(super) fn announce(ready: &CommandAnswer, json: bool) -> Result<(), Failure> {
    ready.print(json)
}

/// The signals that ask a server to stop.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen for them.
    pub(super) fn listen() -> Result<Self, Failure> {
        let on = |kind| {
            signal(kind).map_err(|error| Failure::unavailable(format!("signals cannot be listened for: {error}")))
        };
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    /// Returns with the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Stops a server in order and within its time; a second signal ends it at once. Who calls this leaves its runtime next, and
/// ends: work that blocks a thread, such as an import, would hold that up for as long as it takes, so that the process ends
/// without it after a moment. It is made good at the next start.
pub(super) async fn stop(server: Server, mut signals: Signals) -> Result<CommandAnswer, Failure> {
    let patience = Duration::from_secs(server.node().service.settings.http.shutdown_timeout_s);
    tracing::info!("stopping");
    let exit = tokio::select! {
        stopped = tokio::time::timeout(patience, server.stop()) => {
            if stopped.is_err() {
                tracing::warn!("not everything had ended after http.shutdown_timeout_s");
            }
            Exit::Done
        }
        () = signals.next() => Exit::Interrupted,
    };
    end_within(if exit == Exit::Done { LEAVE_PATIENCE } else { Duration::ZERO }, exit)?;
    Ok(CommandAnswer { exit, ..CommandAnswer::new(Value::Null, "") })
}

/// Ends the process after `patience`, should it still be there. `exit` runs the destructors of the calling thread's locals,
/// and the runtime of the main thread may be used by workers that are just ending: one that wakes a task there after the
/// locals are gone would abort the process. So a thread that has no runtime calls it.
fn end_within(patience: Duration, exit: Exit) -> Result<(), Failure> {
    let ending = std::thread::Builder::new().name("exit".to_owned()).spawn(move || {
        let until = Instant::now() + patience;
        // Nobody unparks this thread, but it may wake by itself.
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        // Standard output may be closed by now, which does no harm.
        std::io::stdout().flush().ok();
        telemetry::flush();
        std::process::exit(i32::from(exit as u8));
    });
    ending.map(drop).map_err(|error| Failure::unavailable(format!("the system gives no thread to end by: {error}")))
}
