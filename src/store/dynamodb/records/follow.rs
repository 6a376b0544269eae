//! Brings replicas from version to version, on the follower's thread.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    copy,
    lists::{self, ChangeList, ListedChange, VersionItem},
    manifest::{self, DataSetManifest},
    row::Layout,
    shared::{RecordsShared, blocking, failed, table},
};
use crate::{
    dataset::Record,
    failpoint::crash_point,
    store::{
        StoreError,
        dynamodb::{BATCH_READS_MAX, fetch},
        records::{RecordCatalog, RecordStoreError, past::ChangeKind},
        sqlite::records::replica::{Follow, NextState, ReplicaPosition},
    },
};

/// The longest wait before checking again whether a copy has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Versions that are read at a time.
const VERSIONS_AT_A_TIME: u64 = 100;
/// Changes that are read at a time, without the later ones in memory.
const CHANGES_AT_A_TIME: usize = BATCH_READS_MAX * 8;

/// Reads the states of all data sets, and brings each replica up to date. A replica that cannot follow does not hold up the others:
/// the first trouble is returned at the end.
pub(super) async fn refresh(shared: &Arc<RecordsShared>) -> Result<(), RecordStoreError> {
    let asked_us = shared.clock.monotonic_us();
    let all = manifest::all(&shared.dynamo).await.map_err(|error| failed("read", "the list of data sets", error))?;
    let mut troubles = Vec::new();
    let mut present = Vec::new();
    for (name, manifest) in all {
        match manifest {
            Ok(manifest) => shared.nodes.hear(table(shared, &name), manifest, asked_us),
            Err(error) => troubles.push(failed("read", &name, error)),
        }
        present.push(name);
    }
    for name in shared.nodes.names().into_iter().filter(|name| !present.contains(name)) {
        // A data set that was created since the list was read is kept.
        match manifest::of(&shared.dynamo, &name).await {
            Ok(None) => troubles.extend(forget(shared, &name).await.err()),
            Ok(Some(_)) => {}
            Err(error) => troubles.push(failed("read", &name, error)),
        }
    }
    shared.nodes.heard_at(asked_us);
    for name in shared.nodes.names() {
        if let Err(error) = follow(shared, &name).await {
            let reason = error.to_string();
            if shared.nodes.trouble(&name).as_ref() != Some(&reason) {
                tracing::warn!(data_set = name, reason, "this node's copy of the records cannot follow");
            }
            shared.nodes.note_trouble(&name, Some(reason));
            troubles.push(error);
        }
    }
    troubles.into_iter().next().map_or(Ok(()), Err)
}

/// Forgets a removed data set, and removes its replica.
pub(super) async fn forget(shared: &Arc<RecordsShared>, name: &str) -> Result<(), RecordStoreError> {
    shared.nodes.forget(name);
    let (shared, name) = (Arc::clone(shared), name.to_owned());
    blocking(move || shared.engine.drop_replica(&name)).await
}

/// Brings a replica to the known state of its data set, or begins to make it.
pub(super) async fn follow(shared: &Arc<RecordsShared>, name: &str) -> Result<(), RecordStoreError> {
    let turn = shared.nodes.turn(name);
    let _turn = turn.lock().await;
    let Some(mut head) = shared.nodes.head(name) else { return Ok(()) };
    if shared.engine.was_damaged(name) {
        shared.nodes.distrust(name, "an export could not read it");
    }
    let mut position = match position(shared, name).await {
        Ok(position) => position,
        // An import on this machine holds the replica: its end is noticed later.
        Err(RecordStoreError::ImportRunning { .. }) => return Ok(()),
        Err(error @ RecordStoreError::Corrupt { .. }) => {
            shared.nodes.distrust(name, &error.to_string());
            None
        }
        Err(error) => {
            // No file can be served: this node is not ready.
            if shared.engine.data_set(name).is_none() {
                shared.nodes.refuse(name);
            }
            return Err(error);
        }
    };
    if position.as_ref().is_some_and(|position| position.epoch > head.epochs.visible()) {
        // Perhaps this node has not heard of the latest import.
        let read = manifest::of(&shared.dynamo, name).await.map_err(|error| failed("read", name, error))?;
        let Some(read) = read else { return Ok(()) };
        shared.nodes.hear(table(shared, name), read.clone(), shared.clock.monotonic_us());
        head = read;
    }
    loop {
        let Some(found) = position.filter(|found| goes_on(found, &head) && !shared.nodes.is_distrusted(name)) else {
            begin_copy(shared, name);
            return Ok(());
        };
        if is_at(&found, &head) {
            shared.nodes.show(&found.data_set, head.epochs.clone(), Arc::clone(&head.layout));
            return Ok(());
        }
        position = match advance(shared, &found, &head).await {
            Ok(()) => self::position(shared, name).await?,
            Err(RecordStoreError::ImportRunning { .. }) => return Ok(()),
            Err(error @ RecordStoreError::Corrupt { .. }) => {
                shared.nodes.distrust(name, &error.to_string());
                None
            }
            Err(error) => return Err(error),
        };
    }
}

/// Begins to make a replica, unless that is under way.
fn begin_copy(shared: &Arc<RecordsShared>, name: &str) {
    let begun_us = shared.clock.monotonic_us();
    let Some(copied) = shared.nodes.begin_copy(name, begun_us) else { return };
    let (shared, name) = (Arc::clone(shared), name.to_owned());
    tokio::spawn(async move {
        tracing::info!(data_set = name, "the records are copied to this node");
        let outcome = copy::make(&shared, &name, &copied).await;
        let trouble = match outcome {
            Ok(()) => {
                let took_ms = (shared.clock.monotonic_us() - begun_us) / 1_000;
                let records = copied.records.load(Ordering::Relaxed);
                tracing::info!(data_set = name, records, took_ms, "the records were copied to this node");
                None
            }
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(
                    data_set = name,
                    reason,
                    "the records could not be copied to this node: it is tried again"
                );
                Some(reason)
            }
        };
        let is_made = trouble.is_none();
        shared.nodes.end_copy(&name, trouble, shared.clock.monotonic_us());
        if is_made && let Err(error) = Box::pin(follow(&shared, &name)).await {
            tracing::warn!(data_set = name, %error, "the copy of the records cannot follow yet");
            shared.nodes.note_trouble(&name, Some(error.to_string()));
        }
    });
}

async fn position(shared: &Arc<RecordsShared>, name: &str) -> Result<Option<ReplicaPosition>, RecordStoreError> {
    let (shared, name) = (Arc::clone(shared), name.to_owned());
    blocking(move || shared.engine.position(&name)).await
}

/// Tells whether the kept changes lead a replica to a state.
fn goes_on(found: &ReplicaPosition, head: &DataSetManifest) -> bool {
    let (here, there) = (&found.data_set, &head.data_set);
    here.instance == there.instance
        && (there.changes_from..=there.version).contains(&here.version)
        && found.epoch >= head.born
        && found.epoch <= head.epochs.visible()
}

/// Tells whether a replica is at a state.
fn is_at(found: &ReplicaPosition, head: &DataSetManifest) -> bool {
    found.epoch == head.epochs.visible()
        && found.data_set.last_import == head.data_set.last_import
        && found.data_set.standing == head.data_set.standing
}

/// Brings a replica one or several versions further, or to a new state of its version.
async fn advance(
    shared: &Arc<RecordsShared>,
    found: &ReplicaPosition,
    head: &DataSetManifest,
) -> Result<(), RecordStoreError> {
    let name = &head.data_set.definition.name;
    let failed = |error: StoreError| failed("follow", name, error);
    let (from, to) = (found.data_set.version, head.data_set.version);
    let last = to.min(from.saturating_add(VERSIONS_AT_A_TIME));
    let mut versions = lists::versions_between(&shared.dynamo, name, from, last).await.map_err(failed)?;
    let torn = |reason: String| RecordStoreError::Corrupt { name: name.clone(), reason };
    let is_from =
        |version: &VersionItem| version.state.version == from && version.state.last_import.id == found.made_by;
    if !versions.first().is_some_and(is_from) {
        return Err(torn(format!("its version {from} is not the one that there is: the tables were restored since")));
    }
    versions.remove(0);
    if from == to {
        let next = NextState { data_set: (*head.data_set).clone(), epoch: head.epochs.visible(), at: None };
        return apply(shared, found, next, head, None).await.map(drop);
    }
    let mut found = found.clone();
    let generations = match versions.iter().all(|version| version.state.generation == head.data_set.generation) {
        true => Vec::new(),
        false => lists::generations(&shared.dynamo, name).await.map_err(failed)?,
    };
    for (expected, version) in (from + 1..=last).zip(versions.iter().map(Some).chain(std::iter::repeat(None))) {
        let Some(version) = version.filter(|version| version.state.version == expected) else {
            return Err(torn(format!("version {expected} is missing among the changes")));
        };
        let layout = layout_of(version, head, &generations)?;
        // An import that changed nothing may have followed: its state has the same version.
        let (epoch, is_head) = (version.epoch, version.epoch == head.epochs.visible());
        let data_set = match is_head {
            true => (*head.data_set).clone(),
            false => version.state.clone().with(Arc::clone(layout.definition()), None),
        };
        let next = NextState { data_set, epoch, at: Some(version.at) };
        if !apply(shared, &found, next, head, Some((version, &layout))).await? {
            return Ok(());
        }
        crash_point("replica-followed");
        match position(shared, name).await? {
            Some(shown) if shown.epoch == epoch => found = shown,
            _ => return Ok(()),
        }
        shared.nodes.show(&found.data_set, head.epochs.at(epoch), layout);
    }
    Ok(())
}

/// The layout of records at a version.
fn layout_of(
    version: &VersionItem,
    head: &DataSetManifest,
    generations: &[(u64, Arc<Layout>)],
) -> Result<Arc<Layout>, RecordStoreError> {
    let generation = version.state.generation;
    if generation == head.data_set.generation {
        return Ok(Arc::clone(&head.layout));
    }
    let found = generations.iter().find(|(number, _)| *number == generation);
    found.map(|(_, layout)| Arc::clone(layout)).ok_or_else(|| RecordStoreError::Corrupt {
        name: head.data_set.definition.name.clone(),
        reason: format!("the columns of generation {generation} are missing among the changes"),
    })
}

/// Brings a replica to a state, with the changes of its version if it is new. Returns whether the replica was still where it was
/// found: another process of this machine may have brought it further.
async fn apply(
    shared: &Arc<RecordsShared>,
    found: &ReplicaPosition,
    next: NextState,
    head: &DataSetManifest,
    version: Option<(&VersionItem, &Arc<Layout>)>,
) -> Result<bool, RecordStoreError> {
    let name = head.data_set.definition.name.clone();
    let (engine, from) = (Arc::clone(shared), found.clone());
    let Some(mut follow) = blocking(move || engine.engine.follow(&from, next)).await? else { return Ok(false) };
    if let Some((version, layout)) = version {
        let mut list = ChangeList::of(&name, version.epoch);
        while let Some(parts) = list.read(&shared.dynamo).await.map_err(|error| failed("follow", &name, error))? {
            for some in parts.listed.chunks(CHANGES_AT_A_TIME) {
                let some: Vec<(ListedChange, Option<Record>)> =
                    read(shared, &name, some, version.epoch, layout).await?;
                let layout = Arc::clone(layout);
                follow = blocking(move || take_in(follow, &layout, &some)).await?;
            }
        }
        crash_point("replica-following");
    }
    blocking(move || follow.commit()).await.map(|()| true)
}

/// The changes, with the records after them.
async fn read(
    shared: &RecordsShared,
    name: &str,
    some: &[ListedChange],
    epoch: u64,
    layout: &Layout,
) -> Result<Vec<(ListedChange, Option<Record>)>, RecordStoreError> {
    let failed = |error: StoreError| failed("follow", name, error);
    let left = some.iter().filter(|listed| listed.kind != ChangeKind::Removed);
    let keys = left.map(|listed| layout.key_of(&listed.key, &listed.id, epoch)).collect();
    let items = fetch::get_all(&shared.dynamo, &table(shared, name), keys).await.map_err(failed)?;
    let mut records: HashMap<(String, String), Record> = HashMap::with_capacity(items.len());
    for item in &items {
        let (id, _) = layout.place(item).map_err(failed)?;
        let record = layout.record(item).map_err(failed)?;
        let key = record.values.get(layout.definition().key).map(ToString::to_string).unwrap_or_default();
        records.insert((key, id.to_owned()), record);
    }
    let with = |listed: &ListedChange| {
        let record = records.remove(&(listed.key.clone(), listed.id.clone()));
        match (listed.kind, record) {
            (ChangeKind::Removed, _) => Ok((listed.clone(), None)),
            (_, Some(record)) => Ok((listed.clone(), Some(record))),
            (_, None) => Err(RecordStoreError::Unavailable {
                doing: format!("follow {name}"),
                reason: "a record that was changed is not there: it has been changed again meanwhile".to_owned(),
            }),
        }
    };
    some.iter().map(with).collect()
}

fn take_in(
    mut follow: Follow,
    layout: &Layout,
    some: &[(ListedChange, Option<Record>)],
) -> Result<Follow, RecordStoreError> {
    for (listed, record) in some {
        let id = layout.id_of(&listed.id).map_err(|error| failed("follow", &layout.definition().name, error))?;
        follow.change(listed.kind, &listed.key, &id, record.as_ref())?;
    }
    Ok(follow)
}

/// Waits until the known state of a data set can be queried, or returns why it cannot be.
pub(super) async fn caught_up(shared: &Arc<RecordsShared>, name: &str) -> Result<(), RecordStoreError> {
    loop {
        let changed = shared.nodes.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        follow(shared, name).await?;
        match shared.nodes.ready(name) {
            // Looks again after a while even without a notification.
            Some(Err(RecordStoreError::Copying { .. })) => {
                tokio::time::timeout(LOOK_EVERY, changed).await.ok();
            }
            Some(outcome) => return outcome,
            None => return Err(RecordStoreError::UnknownDataSet { name: name.to_owned() }),
        }
    }
}
