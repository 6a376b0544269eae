//! The released events: their schemas never change, what was stored is read for ever, and what is emitted is what the
//! schemas say. `PERMITD_BLESS=1 cargo test --test events` writes the files of events that are new; it never changes one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "support/faults.rs"]
mod faults;
mod support;
#[path = "support/world.rs"]
mod world;

use std::{
    collections::BTreeSet,
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::SignedDuration;
use permitd::{
    actors::{
        account::AccountCommand,
        commit::Envelope,
        hashing::HashingPool,
        import::{FoundDefinition, ImportSettings, Imports, Order, WantedImport},
        person::user_in,
        sign_in::{Credentials, Entering, SignInPolicy, SignIns},
        tokens::{TokenOrder, Tokens},
    },
    dataset::{Definition, reader, sample},
    domain::{
        admin_token::Others,
        attempts::Slowing,
        bounds::{DataAction, KeyBounds, KeyChange, KeyScopes},
        email::Email,
        event::{BounceKind, Event, ImportCounts, Origin, Recorded, RevocationReason, Role},
        guard::{Excess, ExcessKind, GuardLimits},
        id::{CommandId, StreamId, UserId, Who},
        key::{ApiKey, KeyId},
        link::{LinkPlace, LinkPurpose, PresentedLink},
        notice::{ChosenNotices, Notice, NoticeChoice},
        permission::{Permission, Permissions},
        persisted::{self, NewEvent, StoredCommit},
        personal::{Personal, PersonalKey},
        plan::{KeyRules, Limits},
        sign_in::{Bounds, SessionEnd, SignInEvent, SignInMethod},
        totp,
        user::{LeakedAccess, UserChanges},
        view::State,
    },
    passwords::PasswordHashing,
    store::{
        records::Retention,
        sqlite::records::{ColumnSettings, FileRole, SqliteRecordSettings as Settings, SqliteRecordStore},
    },
};
use serde_json::Value;
use uuid::Uuid;
use world::World;

const MODE: support::backend::Mode = support::backend::Mode::Sqlite;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/events")
}

/// The file's text; with `PERMITD_BLESS=1` a file that is not there yet is written first.
fn released(path: &Path, new: impl FnOnce() -> String) -> String {
    if !path.exists() && std::env::var_os("PERMITD_BLESS").is_some_and(|bless| bless == "1") {
        fs::write(path, new()).unwrap();
    }
    let how = "a new event's files are written by PERMITD_BLESS=1 cargo test --test events";
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}; {how}", path.display()))
}

fn pretty(document: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(document).unwrap())
}

/// The files of a folder that end in `.json`, without that end.
fn names(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.filter_map(|name| name.strip_suffix(".json").map(ToOwned::to_owned)).collect()
}

#[test]
fn released_schemas_are_those_of_the_types() {
    for (name, schema) in persisted::schemas() {
        let path = folder().join(format!("{name}.json"));
        let schema = serde_json::to_value(schema).unwrap();
        let released: Value = serde_json::from_str(&released(&path, || pretty(&schema))).unwrap();
        assert_eq!(released, schema, "{name} is released and must not change: give the event a new version");
    }
    let known: BTreeSet<String> = persisted::schemas().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names(&folder()), known, "a released event never goes");
}

/// An event of every type and version, as it was stored when that was released.
fn released_events() -> Vec<(&'static str, Event)> {
    let (invitation, import) = (Uuid::from_u128(0xa1), Uuid::from_u128(0xb2));
    let (key_id, new_id) = (KeyId::from_random([1; 12]), KeyId::from_random([2; 12]));
    let key = ApiKey::new(key_id, &[3; 24]);
    let limits = Limits { rate_per_s: 2.5, burst: 10, quota_per_day: 1000 };
    let counts = ImportCounts { inserted: 5, updated: 4, unchanged: 3, removed: 2, rejected: 1 };
    let known = |text: &str| Personal::Known(text.to_owned());
    let issued = |bounds: KeyBounds| Event::ApiKeyIssued {
        key_id,
        hash: key.hash(),
        last_four: "oqmJ".to_owned(),
        secret_version: 1,
        invitation: Some(invitation),
        label: Some(known("laptop")),
        bounds,
    };
    let bounds = || KeyBounds {
        expires_at: Some("2027-03-01T12:00:00Z".parse().unwrap()),
        allowed_ips: Some(known("192.0.2.0/24 2001:db8::1")),
        scopes: KeyScopes { datasets: Some(vec!["permits".to_owned()]), actions: vec![DataAction::Read] },
    };
    let rules = KeyRules { key_max_age_days: Some(90), datasets: Some(vec!["permits".to_owned()]), keys_max: Some(3) };
    let expiring = Notice::KeyExpiring { key_id, days: 30 };
    let failed =
        |class: &str| Event::MailFailed { invitation, class: class.to_owned(), reason: known("550 no such mailbox") };
    let invited = |role| Event::UserInvited {
        email: known("ana@example.org"),
        name: Some(known("Ana Núñez")),
        role,
        plan: "default".to_owned(),
        invitation,
    };
    vec![
        ("UserInvited.v1", invited(Role::Reader)),
        ("InvitationResent.v1", Event::InvitationResent { invitation }),
        ("UserDisabled.v1", Event::UserDisabled),
        ("UserEnabled.v1", Event::UserEnabled),
        ("UserDeleted.v1", Event::UserDeleted),
        ("UserInvited.v2", invited(Role::Manager)),
        ("RoleChanged.v1", Event::RoleChanged { role: Role::Admin }),
        ("RoleChanged.v2", Event::RoleChanged { role: Role::Manager }),
        (
            "AdminTokenIssued.v1",
            Event::AdminTokenIssued {
                token: key_id,
                name: "nightly import".to_owned(),
                hash: key.hash(),
                permissions: Permissions::of(&[Permission::Data, Permission::Events]).only_reading(true),
                expires_at: Some("2026-06-02T12:00:00Z".parse().unwrap()),
            },
        ),
        ("AdminTokenRevoked.v1", Event::AdminTokenRevoked { token: key_id }),
        ("PlanAssigned.v1", Event::PlanAssigned { plan: "large".to_owned() }),
        ("ApiKeyIssued.v1", issued(KeyBounds::default())),
        ("ApiKeyIssued.v2", issued(KeyBounds::default())),
        ("ApiKeyIssued.v3", issued(bounds())),
        ("ApiKeyChanged.v1", Event::ApiKeyChanged { key_id, label: Some(known("laptop")), bounds: bounds() }),
        ("ApiKeyExpiring.v1", Event::ApiKeyExpiring { key_id, days: 30 }),
        ("QuotaReached.v1", Event::QuotaReached { day: 20_000, percent: 80 }),
        ("NoticesChosen.v1", Event::NoticesChosen { choice: NoticeChoice { quota: false, ..NoticeChoice::default() } }),
        ("NoticeMailed.v1", Event::NoticeMailed { notice: expiring, message_id: "notice-1".to_owned() }),
        (
            "NoticeFailed.v1",
            Event::NoticeFailed {
                notice: Notice::QuotaReached { day: 20_000, percent: 100 },
                class: "550, refused the address".to_owned(),
                reason: known("550 no such mailbox"),
            },
        ),
        ("ApiKeyMailed.v1", Event::ApiKeyMailed { key_id, invitation, message_id: "invitation-1".to_owned() }),
        (
            "ApiKeyRotated.v1",
            Event::ApiKeyRotated {
                key_id,
                replaced_by: new_id,
                valid_until: "2026-03-02T12:00:00.123456Z".parse().unwrap(),
            },
        ),
        ("ApiKeyRevoked.v1", Event::ApiKeyRevoked { key_id, reason: RevocationReason::UserDeleted }),
        ("ApiKeyRevoked.v2", Event::ApiKeyRevoked { key_id, reason: RevocationReason::Leaked }),
        ("LeakNoticeMailed.v1", Event::LeakNoticeMailed { key_id, to: UserId(Uuid::from_u128(0xe5)), refused: None }),
        ("MailFailed.v1", failed("refused for good")),
        ("MailFailed.v2", failed("550, refused the address")),
        (
            "MailBounced.v1",
            Event::MailBounced {
                kind: BounceKind::Permanent,
                class: "Permanent/General 5.1.1".to_owned(),
                reason: known("smtp; 550 5.1.1 user unknown <ana@example.org>"),
                message_id: Some("invitation-1".to_owned()),
            },
        ),
        (
            "MailComplained.v1",
            Event::MailComplained {
                class: "complaint: abuse".to_owned(),
                reason: known("complaint: abuse"),
                message_id: None,
            },
        ),
        ("MailAllowed.v1", Event::MailAllowed),
        ("InvitationAccepted.v1", Event::InvitationAccepted),
        (
            "LinkIssued.v1",
            Event::SignIn(SignInEvent::LinkIssued {
                number: 1,
                purpose: LinkPurpose::Invitation,
                mail: invitation,
                hash: key.hash(),
                secret_version: 1,
                expires_at: "2026-03-08T12:00:00Z".parse().unwrap(),
            }),
        ),
        ("LinkMailed.v1", Event::SignIn(SignInEvent::LinkMailed { number: 1, message_id: "link-1".to_owned() })),
        ("LinkUsed.v1", Event::SignIn(SignInEvent::LinkUsed { number: 1 })),
        (
            "PasswordSet.v1",
            Event::SignIn(SignInEvent::PasswordSet {
                phc: known("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA"),
                session: Some(key_id),
            }),
        ),
        ("PasswordRehashed.v1", Event::SignIn(SignInEvent::PasswordRehashed { phc: known("$argon2id$v=19") })),
        (
            "SessionStarted.v1",
            Event::SignIn(SignInEvent::SessionStarted {
                session: key_id,
                hash: key.hash(),
                expires_at: "2026-03-15T12:00:00Z".parse().unwrap(),
                idle_s: 86_400,
                method: SignInMethod::PasswordAndCode,
                network: known("192.0.2.1"),
            }),
        ),
        (
            "SessionStarted.v2",
            Event::SignIn(SignInEvent::SessionStarted {
                session: new_id,
                hash: key.hash(),
                expires_at: "2026-03-15T12:00:00Z".parse().unwrap(),
                idle_s: 86_400,
                method: SignInMethod::ProviderAndItsFactor,
                network: known("192.0.2.1"),
            }),
        ),
        ("SessionSeen.v1", Event::SignIn(SignInEvent::SessionSeen { session: key_id })),
        (
            "SessionEnded.v1",
            Event::SignIn(SignInEvent::SessionEnded { session: key_id, reason: SessionEnd::SignedOut }),
        ),
        ("SessionEnded.v2", Event::SignIn(SignInEvent::SessionEnded { session: key_id, reason: SessionEnd::Leaked })),
        ("LinkVoided.v1", Event::SignIn(SignInEvent::LinkVoided { number: 1 })),
        ("SecondFactorBegun.v1", Event::SignIn(SignInEvent::SecondFactorBegun { secret: known("JBSWY3DPEHPK3PXP") })),
        (
            "SecondFactorConfirmed.v1",
            Event::SignIn(SignInEvent::SecondFactorConfirmed { step: 59_000_000, recovery: known("[\"00ff\"]") }),
        ),
        (
            "SecondFactorUsed.v1",
            Event::SignIn(SignInEvent::SecondFactorUsed { step: Some(59_000_001), recovery: None }),
        ),
        ("SecondFactorRemoved.v1", Event::SignIn(SignInEvent::SecondFactorRemoved)),
        ("PlanDefined.v1", Event::PlanDefined { limits, rules: KeyRules::default() }),
        ("PlanDefined.v2", Event::PlanDefined { limits, rules }),
        ("PlanRetired.v1", Event::PlanRetired),
        (
            "ImportStarted.v1",
            Event::ImportStarted {
                import,
                file_name: "December2016Issued.xlsx".to_owned(),
                definition: "00112233".to_owned(),
                replace: true,
            },
        ),
        ("ImportCompleted.v1", Event::ImportCompleted { import, dataset_version: 7, counts }),
        ("ImportFailed.v1", Event::ImportFailed { import, reason: "the file holds no header".to_owned() }),
        (
            "ImportHeld.v1",
            Event::ImportHeld {
                import,
                dataset_version: 6,
                counts,
                why: vec![Excess {
                    kind: ExcessKind::Nulled,
                    column: Some("height".to_owned()),
                    count: 8,
                    of: 9,
                    percent_max: 5,
                }],
                node: "a-machine".to_owned(),
            },
        ),
        ("ImportApproved.v1", Event::ImportApproved { import }),
        (
            "ImportDiscarded.v1",
            Event::ImportDiscarded { import, reason: Some("nobody approved of it within 7 days".to_owned()) },
        ),
        ("ImportCancelled.v1", Event::ImportCancelled { import }),
        ("DataSetWithdrawn.v1", Event::DataSetWithdrawn),
        ("DataSetRestored.v1", Event::DataSetRestored),
        ("DataSetRemoved.v1", Event::DataSetRemoved { dataset_version: 7 }),
        ("DataSetRenamed.v1", Event::DataSetRenamed { to: "trees".to_owned(), dataset_version: 7 }),
        (
            "DataSetTakenOver.v1",
            Event::DataSetTakenOver {
                import,
                from: "tree".to_owned(),
                definition: "00112233".to_owned(),
                dataset_version: 7,
                records: 5,
            },
        ),
    ]
}

/// The key that seals what is personal in the golden files.
fn personal_key() -> PersonalKey {
    PersonalKey::from_bytes([9; 32])
}

fn origin() -> Origin {
    Origin {
        who: Who("admin:1".to_owned()),
        correlation_id: "request-1".to_owned(),
        causation_id: Some("c".to_owned()),
    }
}

fn stored(events: String) -> StoredCommit {
    StoredCommit {
        stream: StreamId::User(UserId(Uuid::from_u128(0xc3))),
        version: 4,
        position: 12,
        command: CommandId::stored("once:1"),
        request_hash: None,
        recorded_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        events,
        marked: false,
        hash: None,
    }
}

#[test]
fn what_was_stored_is_read_for_ever() {
    let id = Uuid::from_u128(0xd4);
    let golden = folder().join("golden");
    let mut known = BTreeSet::new();
    for (name, event) in released_events() {
        let encoded = || {
            let new = NewEvent { id, origin: origin(), event: event.clone() };
            let commit: Value =
                serde_json::from_str(&persisted::encode(&[new], Some(&personal_key())).unwrap()).unwrap();
            pretty(&commit[0])
        };
        let text = released(&golden.join(format!("{name}.json")), encoded);
        let commit = stored(format!("[{text}]"));
        let read = persisted::decode(&commit, Some(&personal_key())).unwrap_or_else(|e| panic!("{name}: {e}"));
        let expected = Recorded {
            id,
            stream: commit.stream.clone(),
            version: 4,
            index: 0,
            recorded_at: commit.recorded_at,
            origin: origin(),
            event,
        };
        assert_eq!(read, [expected], "{name}");
        known.insert(name.to_owned());
    }
    assert_eq!(names(&golden), known, "every released event has a golden file, and every golden file an event");
    assert_eq!(names(&folder()), known, "every schema has a golden file");
}

/// Folds a commit as a replay does, and as everything else does; both must come to the same.
fn folded(commit: &StoredCommit) -> Result<String, String> {
    let key = personal_key();
    let (mut at_once, mut one_by_one) = (State::empty(&commit.stream), State::empty(&commit.stream));
    let folded = persisted::fold(commit.encoded(), Some(&key), &mut at_once).map_err(|error| error.to_string());
    let decoded = persisted::decode(commit, Some(&key)).map_err(|error| error.to_string());
    let decoded = decoded.map(|events| events.iter().map(|event| one_by_one.apply(event)).count() as u64);
    assert_eq!(folded, decoded, "{}", commit.events);
    assert_eq!(format!("{at_once:?}"), format!("{one_by_one:?}"), "{}", commit.events);
    folded.map(|_| format!("{at_once:?}"))
}

#[test]
fn a_replay_reads_what_everybody_else_reads() {
    let new = |(_, event): (&str, Event)| NewEvent { id: Uuid::from_u128(0xd4), origin: origin(), event };
    let all: Vec<NewEvent> = released_events().into_iter().map(new).collect();
    for events in all.chunks(1).chain([&all[..9]]) {
        let text = persisted::encode(events, Some(&personal_key())).unwrap();
        let state = folded(&stored(text.clone())).unwrap();
        // Whoever stores events may write their members in another order, and spread out.
        let mut documents: Vec<Value> = serde_json::from_str(&text).unwrap();
        for document in &mut documents {
            *document =
                document.as_object().unwrap().clone().into_iter().rev().collect::<serde_json::Map<_, _>>().into();
        }
        let reversed = serde_json::to_string_pretty(&documents).unwrap();
        assert_eq!(folded(&stored(reversed)).unwrap(), state);
        for (right, wrong) in [
            ("\"schema_version\":", "\"schema_version\":7"),
            ("\"type\":\"", "\"type\":\"Not"),
            ("\"data\":{", "\"data\":{\"more\":1,"),
            ("\"data\":", "\"date\":"),
            ("\"id\":\"", "\"id\":\"x"),
            ("]", ""),
        ] {
            let broken = text.replacen(right, wrong, 1).replace("1,}", "1}");
            assert!(folded(&stored(broken)).is_err(), "{wrong}: {text}");
        }
    }
}

#[test]
fn personal_data_without_its_key_reads_as_erased() {
    let text = fs::read_to_string(folder().join("golden/UserInvited.v1.json")).unwrap();
    assert!(!text.contains("ana@") && !text.contains("Ana"), "golden files are sealed like the log");
    let read = persisted::decode(&stored(format!("[{text}]")), None).unwrap();
    let Event::UserInvited { email, name, .. } = &read[0].event else { panic!("{read:?}") };
    assert_eq!((email, name), (&Personal::Erased, &Some(Personal::Erased)));
    for version in ["v1", "v2"] {
        let golden = |name: &str| fs::read_to_string(folder().join(format!("golden/{name}.{version}.json"))).unwrap();
        let texts = [golden("ApiKeyIssued"), golden("MailFailed")];
        let is_plain = texts.iter().any(|text| text.contains("laptop") || text.contains("no such mailbox"));
        assert_eq!(is_plain, version == "v1", "what strangers said is sealed since version 2");
        let read = persisted::decode(&stored(format!("[{},{}]", texts[0], texts[1])), None).unwrap();
        let Event::ApiKeyIssued { label, .. } = &read[0].event else { panic!("{read:?}") };
        let Event::MailFailed { reason, .. } = &read[1].event else { panic!("{read:?}") };
        assert_eq!((label, reason), (&Some(Personal::Erased), &Personal::Erased), "and shown to nobody in either");
    }
    for name in ["ApiKeyIssued.v3", "ApiKeyChanged.v1"] {
        let text = fs::read_to_string(folder().join(format!("golden/{name}.json"))).unwrap();
        assert!(
            !text.contains("laptop") && !text.contains("192.0.2"),
            "{name}: what a key is called and where it is used"
        );
        let read = persisted::decode(&stored(format!("[{text}]")), None).unwrap();
        let (Event::ApiKeyIssued { bounds, .. } | Event::ApiKeyChanged { bounds, .. }) = &read[0].event else {
            panic!("{read:?}")
        };
        assert_eq!(bounds.allowed_ips, Some(Personal::Erased));
    }
}

/// Everything that can happen, at least once.
async fn whole_life() -> World {
    let world = World::new().await;
    world.plan("large", Limits { burst: 100, ..Limits::default() }).await;
    let (ana, _) = world.member("ana@example.org").await;
    world.inviting.resend(ana, world.once()).await.unwrap();
    world.mailers.drain().await.unwrap();
    world.perform(ana, AccountCommand::ChangeRole(Role::Manager)).await.unwrap();
    world.perform(ana, AccountCommand::AssignPlan("large".to_owned())).await.unwrap();
    let issued = world.perform(ana, AccountCommand::IssueApiKey(KeyChange::labelled("laptop"))).await.unwrap();
    let key = issued.key.expect("a key").id();
    let end = world.now().checked_add(jiff::SignedDuration::from_hours(31 * 24)).unwrap();
    let change = KeyChange { expires_at: Some(Some(end)), ..KeyChange::default() };
    world.perform(ana, AccountCommand::ChangeApiKey { key, change }).await.unwrap();
    world.advance(std::time::Duration::from_secs(2 * 86_400));
    assert_eq!(world.notices.sweep().await.unwrap(), 1);
    world.notices.has_made_requests(ana).await.unwrap();
    world.notices.quota_reached(ana, 20_000, 80).await.unwrap();
    world.mailers.drain().await.unwrap();
    let chosen = ChosenNotices { expiry: Some(false), ..ChosenNotices::default() };
    let changes = UserChanges { notices: Some(chosen), ..UserChanges::default() };
    world.perform(ana, AccountCommand::ChangeUser(changes)).await.unwrap();
    let rotated = world.perform(ana, AccountCommand::RotateApiKey { key, grace_s: 60 }).await.unwrap();
    let key = rotated.key.expect("a key").id();
    world.perform(ana, AccountCommand::RevokeApiKey { key }).await.unwrap();
    let leaked =
        world.perform(ana, AccountCommand::IssueApiKey(KeyChange::default())).await.unwrap().key.expect("a key");
    let leak = AccountCommand::RevokeLeakedApiKey { key: leaked.id(), hash: leaked.hash() };
    world.perform(ana, leak).await.unwrap();
    world.mailers.drain().await.unwrap();
    signs_in(&world, ana).await;
    world.perform(ana, AccountCommand::DisableUser).await.unwrap();
    world.perform(ana, AccountCommand::EnableUser).await.unwrap();
    world.accounts.retire_plan("large".to_owned(), world.once()).await.unwrap();
    *world.mailbox.refuse.lock().unwrap() = Some("550 no such mailbox".to_owned());
    world.invite("ben@example.org").await;
    world.notices.quota_reached(ana, 20_000, 100).await.unwrap();
    world.mailers.drain().await.unwrap();
    for what in [
        r#"{"eventType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":[{"emailAddress":"ana@example.org"}],"feedbackId":"1"},"mail":{"messageId":"1"}}"#,
        r#"{"eventType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"ana@example.org"}],"feedbackId":"2"},"mail":{"messageId":"1"}}"#,
    ] {
        world.mailers.take_feedback(what).await.unwrap();
    }
    world.perform(ana, AccountCommand::AllowMail).await.unwrap();
    world.perform(ana, AccountCommand::DeleteUser).await.unwrap();
    world.settle().await;
    imports(&world).await;
    tokens(&world).await;
    world
}

/// All that can happen to how somebody signs in.
async fn signs_in(world: &World, ana: UserId) {
    let committer = &world.committer;
    let signing = |memory_kib| {
        let hashing = PasswordHashing::new(memory_kib, 1, 1).unwrap();
        let pool = HashingPool::new(hashing, Arc::clone(&committer.entropy), 1, 8);
        let policy = SignInPolicy {
            reset_link: SignedDuration::from_hours(1),
            resets_per_hour: 5,
            session: SignedDuration::from_hours(24),
            idle_s: 3600,
            bounds: Bounds { sessions: 5, sessions_per_hour: 50 },
            slowing: Slowing { free: 4, window_us: 60_000_000, first_wait_us: 1_000_000, wait_max_us: 60_000_000 },
            password_chars_min: 12,
        };
        SignIns::new(Arc::clone(committer), pool, policy, Arc::clone(&world.book))
    };
    let (signing, costlier) = (signing(16), signing(32));
    signing.mail_reset(ana, None, &world.once()).await.unwrap();
    world.mailers.drain().await.unwrap();
    let place = LinkPlace { user: ana, number: 1 };
    let token = committer.secrets.link_token(committer.secrets.current_version(), place).unwrap();
    let link = PresentedLink::parse(token.reveal()).unwrap();
    let password = "correct horse";
    signing.redeem(link, Some(password), &world.once()).await.unwrap_or_else(|error| panic!("{error}"));
    let given = |code: Option<String>| Credentials {
        email: Email::parse("ana@example.org").ok(),
        password: password.to_owned().into(),
        code,
        network: "192.0.2.1".to_owned(),
    };
    let started = costlier.start(given(None), &world.once()).await.unwrap_or_else(|error| panic!("{error}"));
    world.clock.advance(std::time::Duration::from_secs(1000));
    let (id, hash) = (started.token.id(), started.token.hash());
    let who = signing.signed_in(id, &hash, &world.once()).await.unwrap().expect("signed in");
    let secret = signing.begin_second_factor(ana, &world.once()).await.unwrap();
    let code = || totp::code(&totp::unbase32(&secret).unwrap(), totp::step_at(world.clock.shared().now())).unwrap();
    signing.confirm_second_factor(&who, &code(), &world.once()).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(60));
    let started = signing.start(given(Some(code())), &world.once()).await.unwrap_or_else(|error| panic!("{error}"));
    signing.end(ana, started.token.id(), SessionEnd::SignedOut, &world.once()).await.unwrap();
    signing.drop_second_factor(ana, &world.once()).await.unwrap();
    let (session, network) = (KeyId::from_random([9; 12]), "192.0.2.1".to_owned());
    let entering = Entering { user: Some(ana), role: None, has_factor: false, code: None, session, network };
    signing.start_by_provider(entering, &world.once()).await.unwrap_or_else(|error| panic!("{error}"));
    let token = committer.secrets.session_token(session);
    let leaked = LeakedAccess::Session { id: session, hash: token.hash() };
    world.perform(ana, AccountCommand::EndLeaked(leaked)).await.unwrap();
    let asked = signing.mail_reset(ana, None, &world.once()).await.unwrap();
    let number = user_in(&asked.state).unwrap().sign_in.links_issued;
    let token =
        committer.secrets.link_token(committer.secrets.current_version(), LinkPlace { user: ana, number }).unwrap();
    let leaked = LeakedAccess::Link(PresentedLink::parse(token.reveal()).unwrap());
    world.perform(ana, AccountCommand::EndLeaked(leaked)).await.unwrap();
    world.mailers.drain().await.unwrap();
}

async fn tokens(world: &World) {
    let tokens = Tokens::start(Arc::clone(&world.committer), 4, std::time::Duration::from_secs(60));
    let order = TokenOrder { name: None, permissions: Permissions::ALL, expires_at: None };
    let made = tokens.issue(order, Others::MustBeNone, world.once()).await.unwrap().expect("the first");
    tokens.revoke(made.id, world.once()).await.unwrap();
}

async fn imports(world: &World) {
    let settings = Settings {
        role: FileRole::Truth,
        directory: world.place.data().join("records"),
        cache_bytes: 1 << 20,
        find_threads: 1,
        find_waiting_max: 8,
        find_timeout_ms: 10_000,
        retention: Retention::default(),
        exports_max: 2,
        export_timeout_ms: 60_000,
        columns: ColumnSettings::NONE,
        export_stall_ms: 10_000,
        workbook_bytes_max: 1 << 30,
    };
    let records = SqliteRecordStore::open(settings, world.clock.shared()).unwrap();
    let rejects = world.place.data().join("rejects");
    let committer = Arc::clone(&world.committer);
    let settings = ImportSettings {
        limits: reader::ReadLimits::default(),
        guard: GuardLimits::default(),
        rejects,
        spool: world.place.data().join("imports"),
        node: "here".to_owned(),
        held_for: SignedDuration::from_hours(24),
        kept_for: SignedDuration::from_hours(24),
        file_bytes_max: 1 << 24,
        free_bytes_min: 0,
        uploads_max: 4,
        uploads_per_caller_max: 4,
        definitions: Arc::new(|name| {
            let known = Definition::builtin().map_err(|error| error.to_string())?;
            let found = |definition| FoundDefinition { definition: Arc::new(definition), is_in_file: false };
            Ok(known.into_iter().find(|definition| definition.name == name).map(found))
        }),
        defined: Arc::new(|| Ok(Vec::new())),
        mailbox_capacity: 4,
    };
    let imports = Imports::start(committer, Arc::new(records), settings);
    let definition = Definition::builtin().unwrap().into_iter().find(|definition| definition.name == "permits");
    let definition = Arc::new(definition.expect("permits"));
    let order = |file: Vec<u8>| Order {
        file: Box::new(Cursor::new(file)),
        file_name: "december.csv".to_owned(),
        definition: Arc::clone(&definition),
        reading: Arc::clone(&definition),
        replace: false,
        confirmed: true,
        keep_absent: None,
        staged: None,
        dry_run: false,
        origin: origin(),
        progress: Arc::default(),
    };
    let mut rows = Cursor::new(Vec::new());
    sample::generate(20, 1, sample::SampleFormat::Csv, &mut rows).unwrap();
    imports.import(order(rows.into_inner())).await.unwrap();
    imports.import(order(b"this,is\nno,report\n".to_vec())).await.expect_err("no header is recognised");
    // A file that is sent and exceeds the guard: approved, discarded, cancelled.
    let envelope = |number: u128| Envelope::new(CommandId::unique(Uuid::from_u128(number)), origin());
    let send = async |number: u128, rows: u64| {
        let mut file = Cursor::new(Vec::new());
        sample::generate(rows, 1, sample::SampleFormat::Csv, &mut file).unwrap();
        let mut upload = imports.receive("permits", &origin().who, None, None).unwrap();
        upload.write(file.get_ref()).unwrap();
        let wanted = WantedImport {
            dataset: "permits".to_owned(),
            replace: true,
            dry_run: false,
            keep_absent: false,
            options: Vec::new(),
            file_name: "few.csv".to_owned(),
            definition: None,
            redefines: None,
        };
        imports.accept(upload, wanted, &envelope(number)).await.unwrap()
    };
    let becomes = async |import: Uuid, status: &str| {
        for _ in 0..2000 {
            if imports.status(import).await.unwrap().unwrap().status == status {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{:?}", imports.status(import).await);
    };
    let (first, second) = (send(1, 3).await, send(2, 4).await);
    becomes(first, "held").await;
    becomes(second, "held").await;
    imports.discard(second, &envelope(3)).await.unwrap();
    imports.approve(first, envelope(4)).await.unwrap();
    becomes(first, "completed").await;
    let third = send(5, 10_000).await;
    while world.committer.stores.views.import(third).await.unwrap().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    imports.cancel(third, origin()).await.unwrap();
    becomes(third, "cancelled").await;
    imports.withdraw("permits", true, &envelope(6)).await.unwrap();
    imports.withdraw("permits", false, &envelope(7)).await.unwrap();
    imports.rename("permits", "issued", origin()).await.unwrap();
    imports.remove("issued", &envelope(8)).await.unwrap();
}

#[actix_web::test]
async fn every_event_that_is_emitted_is_what_its_schema_says() {
    let world = whole_life().await;
    world.verify().await;
    let mut emitted = BTreeSet::new();
    for document in world.documents().await {
        let name = format!("{}.v{}", document["type"].as_str().unwrap(), document["schema_version"]);
        let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let problems: Vec<String> = validator.iter_errors(&document["data"]).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{name}: {problems:?} in {}", document["data"]);
        let mut foreign = document["data"].clone();
        foreign["unheard_of"] = 1.into();
        assert!(!validator.is_valid(&foreign), "{name}: another field is refused");
        emitted.insert(name);
    }
    // What an earlier version wrote is read, but not written any more.
    let superseded =
        ["ApiKeyIssued.v1", "ApiKeyIssued.v2", "MailFailed.v1", "PlanDefined.v1", "RoleChanged.v1", "UserInvited.v1"]
            .map(ToOwned::to_owned);
    assert!(emitted.is_disjoint(&superseded.clone().into()), "{emitted:?}");
    emitted.extend(superseded);
    assert_eq!(emitted, names(&folder()), "the life holds every event");
}
