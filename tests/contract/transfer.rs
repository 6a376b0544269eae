//! The log as a whole: out of each store, and into each.

use std::{collections::BTreeSet, path::Path};

use jiff::SignedDuration;
use permitd::{
    domain::{
        chain::ChainHash,
        checkpoint::{LeafProof, SignedCheckpoint},
        event::Event,
        id::CommandId,
        persisted::StoredCommit,
    },
    replay,
    secrets::SecretMark,
    store::{
        AdministratorsChange, Append, AppendError, DeploymentMark, KeptCheckpoint, LogOrder, MoveStep, Moving,
        NewAnswer, Room, Stores, sqlite::Database,
    },
    transfer::{
        Exported, FileHead, FileKeys, FileLock, GivenSecret, Imported, LogExportOrder, LogFile, LogImportOrder,
        TransferError, export, import,
    },
};
use uuid::Uuid;

use crate::{
    backend::{Backend, Stream, beginning, invited, issued, key, take},
    replay::{FROM_THE_FUTURE, unreadable},
};

/// A log with a bit of everything; its people are `ana`, who has a key, and `ben`, who is erased.
async fn fill(stores: &Stores) {
    let mut ana = Stream::user(1);
    let (append, state) = ana.commit(vec![invited("ana@example.org")], beginning());
    let asked = Append {
        command: CommandId::stored("idem:invite"),
        request_hash: Some("mark".to_owned()),
        claims: vec![take("email#ana", &ana.user_id().to_string())],
        administrators: Some(AdministratorsChange { seen: None, now: vec![ana.user_id()] }),
        publishes: true,
        ..append
    };
    (ana.head, ana.state, ana.version) = (asked.hash(), state, stores.log.append(asked).await.unwrap());
    ana.write(stores, vec![issued(&key(1))], beginning() + SignedDuration::from_secs(1)).await;
    let mut ben = Stream::user(2);
    // Two commits of one microsecond, and one whose clock went back.
    ben.write(stores, vec![invited("ben@example.org")], beginning() + SignedDuration::from_secs(1)).await;
    ben.write(stores, vec![Event::UserDisabled, Event::UserEnabled], beginning()).await;
    ben.write(stores, vec![Event::UserDeleted], beginning() + SignedDuration::from_secs(9)).await;
    stores.upkeep.add_secret_marks(vec![SecretMark { version: 1, fingerprint: "f1".to_owned() }]).await.unwrap();
    let answer = NewAnswer {
        command: CommandId::stored("idem:nothing"),
        request_hash: "other mark".to_owned(),
        answer: "{\"answer\":\n1}".to_owned(),
        instead_of: None,
        now: beginning(),
        expires_at: beginning() + SignedDuration::from_hours(24),
    };
    assert!(stores.answers.keep(answer).await.unwrap());
    // Leaves of several parts.
    for (number, bytes) in [(1, 10), (2, 700_000)] {
        assert!(stores.checkpoints.keep(kept(number), vec![u8::try_from(number).unwrap(); bytes]).await.unwrap());
    }
}

/// A checkpoint, as far as a store minds.
fn kept(number: u64) -> KeptCheckpoint {
    let signed =
        SignedCheckpoint { text: format!("text {number}"), signature: "s".to_owned(), public_key: "k".to_owned() };
    let proofs = vec![LeafProof { leaf: "dataset permits 1 00".to_owned(), index: 0, path: vec!["00".to_owned()] }];
    KeptCheckpoint { number, signed, proofs }
}

fn exported(stores: &Stores, to: &Path) -> Exported {
    let head = FileHead {
        form: 1,
        id: Uuid::from_u128(5),
        permitd: "test".to_owned(),
        made_at: beginning(),
        with_personal_keys: true,
        with_secret: true,
    };
    let secret = Some("{\"current\":1}".to_owned().into());
    let checkpoint_key = Some("{\"ed25519\":1}".to_owned().into());
    export(&*stores.transfer, LogExportOrder { to, lock: FileLock::Open, head, secret, checkpoint_key }, &mut |_| {})
        .unwrap()
}

fn imported(stores: &Stores, from: &Path) -> Result<Imported, TransferError> {
    let file = LogFile::check(from, FileKeys::default(), &mut |_| {})?;
    let mut kept = Vec::new();
    let mut keep_secret = |secret: GivenSecret<'_>| {
        kept.push(match secret {
            GivenSecret::Server(json) | GivenSecret::CheckpointKey(json) => json.to_owned(),
        });
        Ok(())
    };
    let done = import(LogImportOrder { file: &file, stores, keep_secret: &mut keep_secret }, &mut |_| {})?;
    assert_eq!(kept, ["{\"current\":1}", "{\"ed25519\":1}"]);
    Ok(done)
}

/// The lines of an exported file but its end: those of the log as they come, and those beside it, whose order is each store's own.
fn lines_of(file: &Path) -> (Vec<String>, BTreeSet<String>) {
    let bytes = zstd::decode_all(std::fs::File::open(file).unwrap()).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("{\"end\":")).map(str::to_owned);
    let (beside, log): (Vec<String>, Vec<String>) = lines.partition(|line| line.starts_with("{\"beside\":"));
    assert!(log.len() > 5 && beside.len() > 5, "{text}");
    (log, beside.into_iter().collect())
}

/// Runs what blocks away from the thread that the store's own work may need.
async fn away<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    actix_web::rt::task::spawn_blocking(work).await.unwrap()
}

/// Asserts that a deployment has all that [`fill`] wrote.
async fn assert_whole(stores: Stores) {
    let ana = Stream::user(1);
    let row = stores.views.user(ana.user_id()).await.unwrap().expect("ana");
    assert_eq!(row.email.as_deref(), Some("ana@example.org"));
    assert!(stores.views.key(key(1).id()).await.unwrap().is_some());
    assert!(stores.ledger.terms(key(1).id(), 0).await.unwrap().is_ok(), "her key works");
    let ben = Stream::user(2).user_id();
    assert_eq!(stores.views.user(ben).await.unwrap().expect("ben").email, None, "who was erased stays erased");
    assert!(stores.log.personal_key(ben).await.unwrap().is_none());
    let commit = stores.answers.find(&CommandId::stored("idem:invite"), "mark", beginning()).await.unwrap();
    assert!(commit.is_some(), "a repeated command gets its answer");
    let text = stores.answers.find(&CommandId::stored("idem:nothing"), "other mark", beginning()).await.unwrap();
    assert!(format!("{text:?}").contains("answer"), "{text:?}");
    assert_eq!(stores.log.administrators().await.unwrap(), Some(vec![ana.user_id()]));
    assert_eq!(stores.checkpoints.checkpoints(None, 10).await.unwrap(), [kept(2), kept(1)]);
    assert_eq!(stores.checkpoints.leaves(2).await.unwrap(), Some(vec![2; 700_000]));
    let unpublished = stores.log.unpublished(None, 10).await.unwrap();
    assert_eq!(unpublished.len(), 1, "what was not published will be");
    // A name and a key that are taken stay taken; and the chain goes on.
    let mut eve = Stream::user(3);
    let (append, _) = eve.commit(vec![invited("eve@example.org")], beginning());
    let taken = stores.log.append(Append { claims: vec![take("email#ana", "eve")], ..append.clone() }).await;
    assert!(matches!(taken, Err(AppendError::ClaimTaken { .. })), "{taken:?}");
    eve.write(&stores, vec![invited("eve@example.org")], beginning() + SignedDuration::from_secs(20)).await;
    let (again, _) = eve.commit(vec![issued(&key(1))], beginning());
    assert!(matches!(stores.log.append(again).await, Err(AppendError::KeyIssued { .. })));
    let last = stores.log.read_back(None, 1).await.unwrap();
    assert_eq!(last[0].stream, eve.id, "a new commit comes after those that were moved");
    away(move || {
        let mut space = stores.replay.replay_space().unwrap();
        let found = replay::verify(&mut *space, &mut |difference| panic!("{difference:?}"), &mut |_| {}).unwrap();
        assert_eq!(found.differences, 0);
    })
    .await;
}

fn embedded() -> (tempfile::TempDir, Stores) {
    let folder = tempfile::tempdir().unwrap();
    let stores = Database::open(folder.path()).unwrap().stores();
    (folder, stores)
}

pub(crate) async fn a_log_moves_into_either_store_and_back_byte_for_byte<B: Backend>() {
    let (from, there, folder) = (B::new(), B::new(), tempfile::tempdir().unwrap());
    let (_place, here) = embedded();
    fill(&from.stores()).await;
    let files = [1, 2, 3].map(|number| folder.path().join(format!("{number}.zst")));
    let stores = [from.stores(), here.clone(), there.stores()];
    let [first, second, third] = files.clone();
    away(move || {
        exported(&stores[0], &first);
        imported(&stores[1], &first).unwrap();
        exported(&stores[1], &second);
        let done = imported(&stores[2], &second).unwrap();
        assert_eq!((done.chains.streams, done.chains.commits, done.chains.unchained), (2, 5, 0));
        exported(&stores[2], &third);
    })
    .await;
    // Every line is the same: commits with their positions, times, commands and hashes, and all that is beside them.
    let [first, second, third] = files.map(|file| lines_of(&file));
    assert_eq!(first, second);
    assert_eq!(second, third);
    for stores in [here, there.stores()] {
        assert_whole(stores).await;
    }
}

pub(crate) async fn an_import_goes_on_where_it_was_and_nothing_starts_before_it_is_complete<B: Backend>() {
    let (there, folder) = (B::new(), tempfile::tempdir().unwrap());
    let (_place, here) = embedded();
    fill(&here).await;
    let path = folder.path().join("log.zst");
    let stores = there.stores();
    let interrupted = there.stores();
    let file = path.clone();
    let commits: Vec<StoredCommit> = here.log.read(0, 10).await.unwrap();
    away(move || {
        exported(&here, &file);
        let mut target = interrupted.transfer.log_target().unwrap();
        assert_eq!(target.room().unwrap(), Room::Empty);
        target.begin(Uuid::from_u128(5)).unwrap();
        target.put(&commits[..2]).unwrap();
        // The process died before the last batch was noted: it is written again.
        drop(target);
        let mut target = interrupted.transfer.log_target().unwrap();
        assert_eq!(target.room().unwrap(), Room::Filling { source: Uuid::from_u128(5), commits: 2 });
    })
    .await;
    let mark = stores.upkeep.mark().await.unwrap().expect("it is marked");
    assert_eq!(mark, DeploymentMark::Filling { source: Uuid::from_u128(5), commits: 2 });
    let of_there = there.stores();
    let (went_on, other, again) = away(move || {
        let stores = of_there;
        let other = {
            let (_place, elsewhere) = embedded();
            let mut target = elsewhere.transfer.log_target().unwrap();
            target.begin(Uuid::from_u128(6)).unwrap();
            drop(target);
            imported(&elsewhere, &path).unwrap_err()
        };
        let done = imported(&stores, &path).unwrap();
        (done.resumed_after, other, imported(&stores, &path).unwrap_err())
    })
    .await;
    assert_eq!(went_on, 2);
    assert!(matches!(other, TransferError::OtherFile { .. }), "{other}");
    assert!(matches!(again, TransferError::Taken), "{again}");
    assert_eq!(stores.upkeep.mark().await.unwrap(), None);
    assert_whole(stores).await;
}

pub(crate) async fn commits_without_a_hash_get_it_when_they_are_imported<B: Backend>() {
    let there = B::new();
    let (_place, here) = embedded();
    fill(&here).await;
    let mut commits = here.log.read(0, 10).await.unwrap();
    let hashes: Vec<Option<ChainHash>> = commits.iter().map(|commit| commit.hash).collect();
    for commit in &mut commits {
        commit.hash = None;
    }
    let stores = there.stores();
    let found = away(move || {
        let mut target = stores.transfer.log_target().unwrap();
        target.begin(Uuid::from_u128(1)).unwrap();
        target.put(&commits).unwrap();
        target.settle().unwrap();
        let mut source = stores.transfer.log_source(LogOrder::Positions).unwrap();
        source.next().unwrap().commits
    })
    .await;
    assert_eq!(found.iter().map(|commit| commit.hash).collect::<Vec<_>>(), hashes);
}

pub(crate) async fn a_deployment_is_marked_for_every_process<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    assert_eq!(stores.upkeep.mark().await.unwrap(), None);
    let moved = DeploymentMark::Moved { to: "elsewhere".to_owned(), at: beginning(), address: None };
    stores.upkeep.set_mark(Some(moved.clone())).await.unwrap();
    assert_eq!(backend.stores_of_another_process().upkeep.mark().await.unwrap(), Some(moved));
    stores.upkeep.set_mark(None).await.unwrap();
    assert_eq!(backend.stores_of_another_process().upkeep.mark().await.unwrap(), None);
    Stream::user(1).write(&stores, vec![invited("ana@example.org")], beginning()).await;
}

pub(crate) async fn a_stream_in_quarantine_moves_as_it_is<B: Backend>() {
    let (from, there, folder) = (B::new(), B::new(), tempfile::tempdir().unwrap());
    let stores = from.stores();
    fill(&stores).await;
    let mut ana = Stream::user(1);
    let last = stores.log.load(&ana.id, 0, 10).await.unwrap().pop().unwrap();
    (ana.version, ana.head) = (last.version, last.hash.unwrap());
    unreadable(&stores, &mut ana, FROM_THE_FUTURE).await;
    let stopped = {
        let (stores, file, target) = (stores.clone(), folder.path().join("unnamed.zst"), B::new());
        away(move || {
            exported(&stores, &file);
            imported(&target.stores(), &file).unwrap_err().to_string()
        })
        .await
    };
    assert!(stopped.contains("UserPromoted"), "what cannot be read and is not named stops the import: {stopped}");
    let who = ("cli:test", beginning());
    let aside = replay::quarantine(&stores, &ana.id, who, "after the rollback").await.unwrap();
    let (file, target) = (folder.path().join("named.zst"), there.stores());
    away(move || {
        exported(&stores, &file);
        imported(&target, &file).unwrap();
    })
    .await;
    let stores = there.stores();
    assert_eq!(stores.quarantines.fresh().await.unwrap().of(&ana.id), Some(&aside));
    let row = stores.views.user(ana.user_id()).await.unwrap().expect("ana");
    assert_eq!(row.email.as_deref(), Some("ana@example.org"), "as far as her stream can be read");
    let last = stores.log.load(&ana.id, 0, 10).await.unwrap().pop().unwrap();
    assert_eq!((last.version, last.events.as_str()), (ana.version, FROM_THE_FUTURE));
}

pub(crate) async fn a_mark_is_replaced_only_if_it_is_the_expected_one_and_closes_the_deployment<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let moving = |step| {
        let moving =
            Moving { id: Uuid::from_u128(7), to: "elsewhere".to_owned(), at: beginning(), address: None, step };
        Some(DeploymentMark::Moving(moving))
    };
    let [first, second] = [moving(MoveStep::Quiet), moving(MoveStep::Log)];
    let swap = async |from: &Option<DeploymentMark>, to: &Option<DeploymentMark>| {
        stores.upkeep.swap_mark(from.clone(), to.clone()).await.unwrap()
    };
    assert!(!swap(&first, &second).await, "there is none");
    assert!(swap(&None, &first).await);
    assert!(swap(&None, &first).await, "an earlier try whose answer was lost");
    assert!(!swap(&None, &second).await);
    assert!(swap(&first, &second).await);
    assert!(!swap(&first, &None).await, "who gave it up stopped");
    assert_eq!(stores.upkeep.mark().await.unwrap(), second);
    // Another process, which has not seen it before.
    let other = backend.stores_of_another_process();
    let (append, _) = Stream::user(1).commit(vec![invited("ana@example.org")], beginning());
    let refused = other.log.append(append.clone()).await;
    assert!(
        matches!(&refused, Err(AppendError::Store(error)) if error.to_string().contains("being moved to")),
        "{refused:?}"
    );
    assert!(swap(&second, &None).await);
    other.log.append(append).await.expect("it is open again");
}
