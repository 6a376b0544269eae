//! Sealing the log, and proving by its checkpoints that it is what it was.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use permitd::{
    domain::{
        checkpoint::{CheckpointKey, CheckpointLeaf, Covered, LogCheckpoint, SignedCheckpoint},
        event::Event,
        plan::{KeyRules, Limits},
    },
    sealing::{self, Forgery, SealOutcome, SealingError, TrustedKeys, VersionDigests, expected, passes, prove_log},
    store::{KeptCheckpoint, LogOrder, Stores},
};

use crate::backend::{Backend, Stream, beginning, invited};

/// One version of a data set.
struct OneVersion(u64);

#[async_trait]
impl VersionDigests for OneVersion {
    async fn of_new_versions(&self, covered: &Covered) -> Vec<CheckpointLeaf> {
        let version = (1..=self.0).filter(|version| !covered.has_version("permits", *version));
        version.map(|version| CheckpointLeaf::DataSet("permits".to_owned(), version, [7; 32])).collect()
    }
}

fn key() -> CheckpointKey {
    CheckpointKey::from_seed(&[5; 32])
}

/// When everything is settled, in any store, that was recorded up to so many seconds after the beginning.
fn settled(after: i64) -> Timestamp {
    beginning() + SignedDuration::from_mins(20) + SignedDuration::from_secs(after)
}

async fn seal(stores: &Stores, versions: u64, at: Timestamp) -> Result<SealOutcome, SealingError> {
    sealing::seal(stores, &OneVersion(versions), &key(), at).await
}

async fn sealed(stores: &Stores, versions: u64, at: Timestamp) -> KeptCheckpoint {
    match seal(stores, versions, at).await.unwrap() {
        SealOutcome::New(kept) => kept,
        other => panic!("{other:?}"),
    }
}

/// What is found, in passes over this many parts.
async fn found(stores: &Stores, elsewhere: &[SignedCheckpoint], parts: u64) -> Vec<Forgery> {
    assert_eq!(passes(&*stores.checkpoints, None).await.unwrap(), 1);
    let mut found = Vec::new();
    for part in 0..parts {
        let (trusted, keep) = (TrustedKeys::new(), &mut |forgery| found.push(forgery));
        let of = &*stores.checkpoints;
        let expected = expected(of, (None, None), (&trusted, elsewhere), (part, parts), keep).await.unwrap();
        let transfer = std::sync::Arc::clone(&stores.transfer);
        let part = actix_web::rt::task::spawn_blocking(move || {
            let (mut expected, mut found) = (expected, Vec::new());
            let mut source = transfer.log_source(LogOrder::Streams).unwrap();
            prove_log(&mut *source, &mut expected, &mut |_| {}, &mut |forgery| found.push(forgery)).unwrap();
            found
        });
        found.extend(part.await.unwrap());
    }
    found
}

fn defined(quota_per_day: u64) -> Event {
    Event::PlanDefined { limits: Limits { quota_per_day, ..Limits::default() }, rules: KeyRules::default() }
}

fn said(kept: &KeptCheckpoint) -> LogCheckpoint {
    kept.signed.checked().unwrap()
}

pub(crate) async fn a_log_is_sealed_again_and_again_and_is_what_it_was<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    assert_eq!(seal(&stores, 0, settled(0)).await.unwrap(), SealOutcome::Nothing(None));
    let (mut plan, mut ana) = (Stream::plan("a"), Stream::user(1));
    for number in 1..=3 {
        plan.write(&stores, vec![defined(number)], beginning()).await;
    }
    ana.write(&stores, vec![invited("ana@example.org")], beginning() + SignedDuration::from_secs(1)).await;
    let first = sealed(&stores, 1, settled(2)).await;
    let of_first = said(&first);
    assert_eq!((of_first.number, of_first.leaves, of_first.previous), (1, 3, None));
    let [proof] = first.proofs.as_slice() else { panic!("{first:?}") };
    assert_eq!(proof.root(3), Some(of_first.root), "a mirror can check the version that came in");
    assert_eq!(seal(&stores, 1, settled(3)).await.unwrap(), SealOutcome::Nothing(Some(first.clone())));

    // A person is erased, a stream grows, another begins, a clock is late.
    ana.write(&stores, vec![Event::UserDeleted], beginning() + SignedDuration::from_secs(9)).await;
    plan.write(&stores, vec![defined(4)], beginning() + SignedDuration::from_secs(5)).await;
    plan.write(&stores, vec![defined(5)], beginning() + SignedDuration::from_secs(4)).await;
    Stream::plan("b").write(&stores, vec![defined(1)], beginning() + SignedDuration::from_secs(5)).await;
    let other = backend.stores_of_another_process();
    let second = sealed(&other, 2, settled(20)).await;
    assert_eq!((said(&second).number, said(&second).leaves, second.proofs.len()), (2, 5, 1));
    assert_eq!(said(&second).previous, Some(permitd::domain::checkpoint::hash_of(&first.signed.text)));
    plan.write(&stores, vec![defined(6)], settled(30)).await;
    for parts in [1, 3] {
        assert_eq!(found(&stores, &[first.signed.clone(), second.signed.clone()], parts).await, []);
    }
    let all = stores.checkpoints.checkpoints(None, 10).await.unwrap();
    assert_eq!(all, [second.clone(), first.clone()], "the latest first");
    assert_eq!(stores.checkpoints.checkpoints(Some(2), 10).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(stores.checkpoints.leaves(3).await.unwrap(), None);
    assert!(!stores.checkpoints.keep(first.clone(), vec![1]).await.unwrap(), "a number is given once");
    assert_eq!(stores.checkpoints.mailed().await.unwrap(), None);
    for (noted, mailed) in [(2, 2), (1, 2), (3, 3), (3, 3)] {
        stores.checkpoints.note_mailed(noted).await.unwrap();
        assert_eq!(stores.checkpoints.mailed().await.unwrap(), Some(mailed));
    }
    assert_eq!(found(&stores, &[], 1).await, [], "and the other one did no harm");

    // One that somebody else keeps, of another log under the same key; and one that this log does not have.
    let alone = B::new();
    Stream::plan("a").write(&alone.stores(), vec![defined(9)], beginning()).await;
    let stranger = sealed(&alone.stores(), 0, settled(0)).await;
    assert_eq!(found(&stores, std::slice::from_ref(&stranger.signed), 1).await, [Forgery::Other { number: 1 }]);
    assert_eq!(found(&alone.stores(), &[second.signed], 1).await, [Forgery::Gone { number: 2 }]);
}

pub(crate) async fn what_does_not_follow_is_not_signed<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut plan = Stream::plan("a");
    plan.write(&stores, vec![defined(1)], beginning()).await;
    sealed(&stores, 0, settled(0)).await;
    // Somebody with other eyes on the stream, whose commit follows on what never was.
    plan.head = permitd::domain::chain::ChainHash::START;
    plan.write(&stores, vec![defined(2)], beginning() + SignedDuration::from_secs(1)).await;
    let refused = seal(&stores, 0, settled(5)).await;
    assert!(matches!(refused, Err(SealingError::Broken { version: 2, .. })), "{refused:?}");
    let found = found(&stores, &[], 1).await;
    assert!(matches!(found.as_slice(), [Forgery::Chain(_)]), "{found:?}");
}
