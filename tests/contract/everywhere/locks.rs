//! The lock of an import between machines whose clocks do not agree: who renews it has it, whatever the clocks say.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use permitd::{
    clock::{Clock as _, ManualClock},
    store::{
        dynamodb::{records::DynamoRecordStore, schema},
        records::{ImportOrder, RecordImports, RecordStore, RecordStoreError},
    },
};
use uuid::Uuid;

use super::{
    TODAY, Tables, beginning,
    dynamodb::{DAY_US, SECOND_US, records},
    put_all,
    samples::definition,
    wait,
};

/// Which clock is wrong by how much: the holder's, that of whoever looks.
const WRONG: [(i64, i64); 4] = [(DAY_US, 0), (-DAY_US, 0), (0, DAY_US), (0, -DAY_US)];
const LEASE_US: i64 = 60 * SECOND_US;
/// How often a heart beats: far more often than anybody's patience lasts.
const BEAT: Duration = Duration::from_millis(20);

fn clock(wrong_us: i64) -> Arc<ManualClock> {
    let clock = ManualClock::at(beginning());
    clock.shift_wall_us(wrong_us);
    clock
}

impl Tables {
    fn patient_store(&self, clock: Arc<ManualClock>, patience: Duration) -> Arc<DynamoRecordStore> {
        let (dynamo, settings) = (self.dynamo.clone(), self.settings(super::Retention::default()));
        let open = DynamoRecordStore::open_patient_for(patience, dynamo, settings, clock);
        Arc::new(wait(async move { open.await.unwrap() }))
    }

    /// Writes the lock down, or renews it: held until then, by the holder's clock.
    fn hold(&self, holder: Uuid, until_us: i64) {
        let request = self.dynamo.client().put_item().table_name(self.dynamo.table(schema::STATE));
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |number: i64| AttributeValue::N(number.to_string());
        let item = [
            ("k", text("import")),
            ("r", text("things")),
            ("holder", text(&holder.to_string())),
            ("epoch", number(1)),
            ("until", number(until_us)),
        ];
        let item: HashMap<_, _> = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        wait(async move { request.set_item(Some(item)).send().await.unwrap() });
    }
}

#[test]
fn whoever_died_under_a_wrong_clock_keeps_nobody_away() {
    for (holders_us, readers_us) in WRONG {
        let case = format!("holder {holders_us}, reader {readers_us}");
        let tables = Tables::new(&definition());
        let readers = clock(readers_us);
        let patience = Duration::from_millis(50);
        let store = tables.patient_store(readers.clone(), patience);
        tables.hold(Uuid::from_u128(7), clock(holders_us).now().as_microsecond() + LEASE_US);
        assert!(store.is_importing("things").unwrap(), "{case}: nobody knows yet");
        readers.advance_us(i64::try_from(patience.as_micros()).unwrap());
        assert!(!store.is_importing("things").unwrap(), "{case}: it was not renewed");
        // One that has not looked before waits for as long.
        let other: Arc<dyn RecordStore> = tables.patient_store(clock(readers_us), patience);
        let mut session = other.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap();
        put_all(&mut *session, &records(5, "filed"));
        assert_eq!(session.commit().unwrap().inserted, 5, "{case}");
    }
}

#[test]
fn whoever_lives_under_a_wrong_clock_is_not_taken_for_dead() {
    for (holders_us, readers_us) in WRONG {
        let case = format!("holder {holders_us}, reader {readers_us}");
        let tables = Tables::new(&definition());
        let (holders, readers) = (clock(holders_us), clock(readers_us));
        let patience = Duration::from_secs(2);
        let store: Arc<dyn RecordStore> = tables.patient_store(readers.clone(), patience);
        let (holder, until_us) = (Uuid::from_u128(7), holders.now().as_microsecond() + LEASE_US);
        tables.hold(holder, until_us);
        for beat in 1..4 {
            assert!(store.is_importing("things").unwrap(), "{case}");
            readers.advance_us(i64::try_from(patience.as_micros()).unwrap());
            tables.hold(holder, until_us + beat);
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // A heart that beats while the other one waits.
                for beat in 4.. {
                    tables.hold(holder, until_us + beat);
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                    std::thread::park_timeout(BEAT);
                }
            });
            let refused = store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).err();
            done.store(true, Ordering::SeqCst);
            assert!(matches!(refused, Some(RecordStoreError::ImportRunning { .. })), "{case}: {refused:?}");
        });
    }
}

#[test]
fn what_was_ended_by_hand_is_taken_at_once() {
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.patient_store(clock(0), Duration::from_secs(3600));
    tables.hold(Uuid::from_u128(7), 0);
    assert!(!store.is_importing("things").unwrap());
    drop(store.begin_import(ImportOrder::new(&definition(), Uuid::now_v7(), TODAY, false)).unwrap());
    assert!(!store.is_importing("things").unwrap(), "it was given back");
}

/// A lease that has just run out may be one that lives, by a clock that is behind: nobody says that it died before it was silent.
#[test]
fn what_has_just_run_out_by_one_clock_is_not_said_to_have_died() {
    let clocks = clock(0);
    let tables = Tables::new(&definition());
    let store: Arc<dyn RecordStore> = tables.patient_store(clocks.clone(), Duration::from_secs(3600));
    tables.hold(Uuid::from_u128(7), clocks.now().as_microsecond() - SECOND_US);
    assert!(store.is_importing("things").unwrap());
}
