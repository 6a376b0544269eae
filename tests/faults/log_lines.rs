//! Each line of the log that is written for a request says for which, also where an actor's task of its own writes it.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::SignedDuration;
use permitd::{
    actors::{
        account::AccountCommand,
        hashing::HashingPool,
        leaks::Leaks,
        sign_in::{SignInPolicy, SignIns},
        tokens::Tokens,
    },
    domain::{
        attempts::Slowing,
        bounds::KeyChange,
        email::Email,
        key::PresentedKey,
        leak::{Suspect, SuspectKind},
        sign_in::Bounds,
    },
    passwords::PasswordHashing,
};
use tokio::sync::Notify;
use tracing::{
    Event, Instrument, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use crate::{faults::Fault, world::World};

const ANA: &str = "ana@example.org";
/// More than a commit is tried.
const TRIES_MAX: usize = 50;
const PATIENCE: Duration = Duration::from_secs(180);

/// What this thread logs: each line with the request that it says it is of.
#[derive(Default)]
struct Lines {
    all: Mutex<Vec<(String, Option<String>)>>,
    has_come: Notify,
}

struct Listener(Arc<Lines>);

struct RequestOf(String);

/// Reads one field.
struct Read<'f>(&'f str, Option<String>);

impl Visit for Read<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == self.0 {
            self.1 = Some(format!("{value:?}"));
        }
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut read = Read("request_id", None);
        attributes.record(&mut read);
        if let (Some(span), Some(request)) = (context.span(id), read.1) {
            span.extensions_mut().insert(RequestOf(request));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !event.metadata().target().starts_with("permitd") {
            return;
        }
        let mut read = Read("message", None);
        event.record(&mut read);
        let mut spans = context.event_scope(event).into_iter().flatten();
        let request = spans.find_map(|span| Some(span.extensions().get::<RequestOf>()?.0.clone()));
        self.0.all.lock().unwrap().push((read.1.unwrap_or_default(), request));
        self.0.has_come.notify_waiters();
    }
}

impl Lines {
    /// Hears what this thread logs for as long as the guard is there. Its tasks run on it.
    fn listen() -> (Arc<Self>, DefaultGuard) {
        let lines = Arc::new(Self::default());
        let subscriber = tracing_subscriber::registry().with(Listener(Arc::clone(&lines)));
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// Waits for a line that begins so, and says which request it is of.
    async fn request_of(&self, beginning: &str) -> Option<String> {
        let waiting = async {
            loop {
                let next = self.has_come.notified();
                let found = self.all.lock().unwrap().iter().find(|(line, _)| line.starts_with(beginning)).cloned();
                if let Some((_, request)) = found {
                    return request;
                }
                next.await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("no line {beginning:?} among {:?}", self.all.lock().unwrap()))
    }
}

fn sign_ins(world: &World) -> Arc<SignIns> {
    let pool = HashingPool::new(PasswordHashing::new(16, 1, 1).unwrap(), Arc::clone(&world.committer.entropy), 1, 8);
    let policy = SignInPolicy {
        reset_link: SignedDuration::from_hours(1),
        resets_per_hour: 5,
        session: SignedDuration::from_hours(24),
        idle_s: 3600,
        bounds: Bounds { sessions: 5, sessions_per_hour: 50 },
        slowing: Slowing { free: 4, window_us: 60_000_000, first_wait_us: 1_000_000, wait_max_us: 60_000_000 },
        password_chars_min: 12,
    };
    Arc::new(SignIns::new(Arc::clone(&world.committer), pool, policy, Arc::clone(&world.book)))
}

/// As the edge has it around all that a request does.
async fn request<T>(id: &str, work: impl Future<Output = T>) -> T {
    work.instrument(tracing::info_span!("request", request_id = %id)).await
}

#[actix_web::test]
async fn what_an_actor_logs_for_a_request_says_for_which() {
    let (lines, _listening) = Lines::listen();
    let world = World::new().await;
    let published_later = "not published at once";

    world.faults.add("send", Fault::Before);
    request("inviting", world.try_invite(ANA, world.once())).await.unwrap();
    assert_eq!(lines.request_of(published_later).await.as_deref(), Some("inviting"));
    world.settle().await;
    let key = world.mailbox.keys_to(ANA).remove(0);

    lines.all.lock().unwrap().clear();
    world.faults.add("send", Fault::Before);
    let user = world.stores.views.user_by_email(ANA).await.unwrap().unwrap().id;
    let issue = AccountCommand::IssueApiKey(KeyChange::default());
    request("issuing", world.perform(user, issue)).await.unwrap();
    assert_eq!(lines.request_of(published_later).await.as_deref(), Some("issuing"));

    request("sweeping", async {
        world.faults.add("unpublished", Fault::Before);
        world.relay.sweep().await.unwrap_err();
    })
    .await;
    assert_eq!(lines.request_of("a sweep of unpublished commits").await.as_deref(), Some("sweeping"));

    // What is done after the answer.
    world.faults.add_many("append", TRIES_MAX, || Fault::Before);
    assert_eq!(request("first request", world.request(&key)).await, 200);
    let use_unknown = "it could not be written down that a person has made requests";
    assert_eq!(lines.request_of(use_unknown).await.as_deref(), Some("first request"));
    world.faults.clear();

    let sign_ins = sign_ins(&world);
    world.faults.add_many("append", TRIES_MAX, || Fault::Before);
    let email = Email::parse(ANA).ok();
    request("reset", async { sign_ins.ask_for_reset(email, world.once()) }).await.unwrap();
    assert_eq!(lines.request_of("a link for a new password").await.as_deref(), Some("reset"));
    world.faults.clear();

    let tokens = Tokens::start(Arc::clone(&world.committer), 4, PATIENCE);
    let leaks = Leaks::start(Arc::clone(&world.committer), world.accounts.clone(), tokens, 4);
    let presented = PresentedKey::parse(key.as_bytes()).unwrap();
    let suspect = Suspect { id: presented.id(), hash: presented.hash(), kind: SuspectKind::ApiKey };
    request("report", async { leaks.report(vec![suspect], world.once()) }).await.unwrap();
    assert_eq!(lines.request_of("something was reported as leaked").await.as_deref(), Some("report"));
}
