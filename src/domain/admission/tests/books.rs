//! A ledger in memory as the stores keep it, and nodes with wrong clocks and lost answers.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// A store's record of a key: its row, the counts of other days, and each node's last grant.
#[derive(Default)]
struct Book {
    row: LedgerRow,
    days: HashMap<i64, u64>,
    reservations: HashMap<u64, Reservation>,
}

impl Book {
    fn grant(&mut self, holder: GrantHolder, mut asked: Asked, unanswered_from: Option<u64>) -> Grant {
        let kept = self.reservations.get(&holder.node).copied();
        asked.returned = settled(holder.node, kept, asked.returned, unanswered_from);
        let day = self.row.day_at(asked.now_ns);
        if day != self.row.day {
            let mut ended = self.row;
            if let Some(returned) = &asked.returned {
                ended.take_back(returned);
            }
            self.days.insert(ended.day, ended.used);
            asked.kept = self.days.get(&day).copied().unwrap_or(0);
        }
        let (grant, _) = self.row.renew(&asked);
        self.reservations.insert(holder.node, grant.reservation(holder.serial));
        grant.held_by(holder)
    }
}

/// A node that behaves like the gate.
struct SimulatedGate {
    node: u64,
    serial: u64,
    skew_ns: i64,
    held: Option<(Grant, i64)>,
    owed: Option<Return>,
    unanswered_from: Option<u64>,
}

/// The fate of the ledger's next answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallOutcome {
    Answered,
    /// The request is carried out, but its answer is lost.
    Lost,
    /// The request is not carried out.
    Failed,
}

impl SimulatedGate {
    fn new(node: u64, skew_ns: i64) -> Self {
        Self { node, serial: 0, skew_ns, held: None, owed: None, unanswered_from: None }
    }

    fn now_ns(&self, true_ns: i64) -> i64 {
        true_ns + self.skew_ns
    }

    /// Whether a request is admitted, and the day to which it was counted.
    fn ask(
        &mut self,
        book: &mut Book,
        bucket: Bucket,
        true_ns: i64,
        cost: u64,
        fate: CallOutcome,
    ) -> Result<i64, Verdict> {
        let now_ns = self.now_ns(true_ns);
        for _ in 0..8 {
            if let Some((grant, expires_ns)) = &mut self.held
                && now_ns < *expires_ns
            {
                match grant.admit_as(now_ns, cost) {
                    Verdict::Renew => {}
                    Verdict::Admit => return Ok(grant.day()),
                    refused => return Err(refused),
                }
            }
            if let Some((grant, _)) = self.held.take() {
                self.owed = Some(grant.into_return());
            }
            self.serial += 1;
            let holder = GrantHolder { node: self.node, serial: self.serial };
            let request = Asked { need: cost, returned: self.owed, ..asked(bucket, now_ns, WANT_MIN) };
            match fate {
                CallOutcome::Answered => {
                    let grant = book.grant(holder, request, self.unanswered_from);
                    (self.owed, self.unanswered_from) = (None, None);
                    self.held = Some((grant, now_ns + LIFE_NS));
                }
                CallOutcome::Lost => {
                    book.grant(holder, request, self.unanswered_from);
                    self.unanswered_from.get_or_insert(self.serial);
                    return Err(Verdict::Renew);
                }
                CallOutcome::Failed => {
                    self.unanswered_from.get_or_insert(self.serial);
                    return Err(Verdict::Renew);
                }
            }
        }
        panic!("a fresh grant asks to be renewed for ever");
    }
}

fn fate(number: u8) -> CallOutcome {
    match number {
        0 => CallOutcome::Lost,
        1 => CallOutcome::Failed,
        _ => CallOutcome::Answered,
    }
}

proptest! {
    /// Lost answers and failed requests withhold nothing from a single node: until the quota is used up, it admits exactly what a plain
    /// counter would.
    #[test]
    fn errors_of_the_ledger_withhold_no_quota(
        quota in 1u64..400, fates in prop::collection::vec(0u8..6, 1..600),
    ) {
        let bucket = limits(1_000_000.0, 1000, quota);
        let (mut book, mut gate, mut passed) = (Book::default(), SimulatedGate::new(1, 0), 0);
        for (step, number) in fates.iter().enumerate() {
            let now_ns = START_NS + i64::try_from(step).unwrap() * SECOND_NS / 3;
            passed += u64::from(gate.ask(&mut book, bucket, now_ns, 1, fate(*number)).is_ok());
        }
        let now_ns = START_NS + 1000 * SECOND_NS;
        while gate.ask(&mut book, bucket, now_ns + i64::try_from(passed).unwrap() * 1000, 1, CallOutcome::Answered).is_ok() {
            passed += 1;
        }
        prop_assert_eq!(passed, quota);
    }

    /// For nodes with disagreeing clocks, lost answers and crashes: no day counts more than its quota, however wrong the clocks are. If the
    /// clocks differ by seconds, no day of the true time exceeds its quota, as long as no request comes while the clocks disagree about the
    /// day.
    #[test]
    fn no_day_has_more_than_its_quota_under_lying_clocks(
        quota in 1u64..100,
        skews in prop::collection::vec(prop_oneof![
            -5i64..=5,
            -2 * 86_400i64..=2 * 86_400,
            Just(4 * 365 * 86_400),
            Just(-4 * 365 * 86_400),
        ], 3),
        steps in prop::collection::vec((0usize..3, 0i64..20_000, 0u8..12, 1u64..4), 1..300),
    ) {
        let bucket = limits(1_000_000.0, 1000, quota);
        let mut book = Book::default();
        let mut gates: Vec<SimulatedGate> =
            skews.iter().zip(1..).map(|(skew_s, node)| SimulatedGate::new(node, skew_s * SECOND_NS)).collect();
        let (mut counted, mut by_true_day) = (HashMap::<i64, u64>::new(), HashMap::<i64, u64>::new());
        let (mut true_ns, mut next_node) = (START_NS, 10);
        let small = skews.iter().all(|skew_s| skew_s.abs() <= 5);
        for (gate, wait_s, number, cost) in steps {
            true_ns += wait_s * SECOND_NS;
            let of_day_ns = true_ns.rem_euclid(DAY_NS);
            if small && !(5 * SECOND_NS..DAY_NS - 5 * SECOND_NS).contains(&of_day_ns) {
                continue;
            }
            if number == 11 {
                gates[gate] = SimulatedGate::new(next_node, gates[gate].skew_ns);
                next_node += 1;
            }
            if let Ok(day) = gates[gate].ask(&mut book, bucket, true_ns, cost, fate(number)) {
                *counted.entry(day).or_default() += cost;
                *by_true_day.entry(day_of(true_ns)).or_default() += cost;
                let own = day_of(gates[gate].now_ns(true_ns));
                prop_assert!((own..=own + DAYS_AHEAD_MAX).contains(&day), "counted to {day} on {own}");
            }
        }
        prop_assert!(counted.values().all(|count| *count <= quota), "{counted:?}");
        prop_assert!(!small || by_true_day.values().all(|count| *count <= quota), "{by_true_day:?}");
    }

    /// When plans change every moment, no more requests pass than the new bucket holds beyond all that was consumed, deeper buckets before
    /// included.
    #[test]
    fn a_change_of_plan_gives_no_second_burst(
        rates in prop::collection::vec((prop_oneof![Just(0.001), Just(0.1), 1.0f64..100.0], 1u32..30), 2..8),
    ) {
        let (mut row, mut node) = (LedgerRow::default(), SpendingNode::new());
        let (mut now_ns, mut consumed) = (START_NS, 0_u64);
        for (rate, burst) in rates {
            let bucket = limits(rate, burst, 1_000_000);
            let mut passed = 0;
            while node.ask(&mut row, bucket, now_ns) == Verdict::Admit {
                passed += 1;
            }
            // Requests consumed and not refilled yet.
            prop_assert!(consumed + passed <= u64::from(burst).max(consumed), "{consumed} and {passed} of {burst}");
            consumed += passed;
            // The old plan's grant ends before any refill that would count.
            row.take_back(&node.grant.take().unwrap().0.into_return());
            now_ns += 1;
        }
    }
}

/// A bucket of 10 that was used up, made shallow and deep again, holds nothing; the debt runs out while the bucket is full.
#[test]
fn a_bucket_that_is_made_shallow_and_deep_again_gives_no_second_burst() {
    let [deep, shallow, other] = [(0.001, 10), (0.001, 1), (0.01, 5)].map(|(rate, burst)| limits(rate, burst, 1000));
    let (mut row, mut node) = (LedgerRow::default(), SpendingNode::new());
    let mut all = |bucket, now_ns| {
        let passed = std::iter::from_fn(|| (node.ask(&mut row, bucket, now_ns) == Verdict::Admit).then_some(()));
        let passed = passed.count();
        row.take_back(&node.grant.take().unwrap().0.into_return());
        passed
    };
    assert_eq!(all(deep, START_NS), 10);
    for (round, bucket) in [shallow, deep, other, deep, shallow, other, shallow, deep].into_iter().enumerate() {
        assert_eq!(all(bucket, START_NS + i64::try_from(round).unwrap() * SECOND_NS), 0, "{bucket:?}");
    }
    // The shallow bucket fills up in 1,000 s; 3,000 s later the debt is three requests smaller.
    assert_eq!(all(shallow, START_NS + 10 * SECOND_NS), 0);
    assert_eq!(all(shallow, START_NS + 4_100 * SECOND_NS), 1);
    let passed = all(deep, START_NS + 4_101 * SECOND_NS);
    assert!((2..=3).contains(&passed), "{passed}");
    assert_eq!(all(deep, START_NS + 30_000 * SECOND_NS), 10, "full again");
}

/// A bucket of 5/s and burst 10 is used up, then the plan becomes 1/s and burst 20: ten requests are left, and three that flow in.
#[test]
fn a_level_is_carried_over_to_another_plan() {
    let (mut row, mut node, fast, slow) =
        (LedgerRow::default(), SpendingNode::new(), limits(5.0, 10, 1000), limits(1.0, 20, 1000));
    let all = |node: &mut SpendingNode, row: &mut LedgerRow, bucket, now_ns| {
        let mut passed = 0;
        while node.ask(row, bucket, now_ns) == Verdict::Admit {
            passed += 1;
        }
        passed
    };
    assert_eq!(all(&mut node, &mut row, fast, START_NS), 10);
    row.take_back(&node.grant.take().unwrap().0.into_return());
    let mut passed = all(&mut node, &mut row, slow, START_NS);
    passed += all(&mut node, &mut row, slow, START_NS + 3 * SECOND_NS);
    assert_eq!(passed, 13);
}

/// A slow plan that was used up does not delay a fast plan.
#[test]
fn a_faster_plan_is_in_force_at_once() {
    let (mut row, mut node) = (LedgerRow::default(), SpendingNode::new());
    let (slow, fast) = (limits(0.01, 10, 1000), limits(1000.0, 10, 1000));
    while node.ask(&mut row, slow, START_NS) == Verdict::Admit {}
    let later_ns = START_NS + LIFE_NS;
    let refused = node.ask(&mut row, fast, later_ns);
    let Verdict::Refuse { rate: true, retry_after_ns, .. } = refused else { panic!("{refused:?}") };
    assert!(retry_after_ns <= SECOND_NS / 1000, "{retry_after_ns}");
    assert_eq!(node.ask(&mut row, fast, later_ns + retry_after_ns), Verdict::Admit);
}

/// A quota used up under a clock in 2030 is not missing today, and going there and back does not give today's quota twice.
#[test]
fn a_wrong_year_locks_nobody_out() {
    let bucket = limits(1_000_000.0, 1000, 100);
    let (mut book, mut gate) = (Book::default(), SimulatedGate::new(1, 0));
    let all = |gate: &mut SimulatedGate, book: &mut Book, now_ns| {
        let passed = std::iter::from_fn(|| gate.ask(book, bucket, now_ns, 1, CallOutcome::Answered).ok());
        passed.collect::<Vec<_>>().len()
    };
    for _ in 0..40 {
        gate.ask(&mut book, bucket, START_NS, 1, CallOutcome::Answered).unwrap();
    }
    let far_ns = START_NS + 1500 * DAY_NS;
    assert_eq!(all(&mut gate, &mut book, far_ns), 100);
    gate = SimulatedGate::new(2, 0);
    assert_eq!(gate.ask(&mut book, bucket, START_NS, 1, CallOutcome::Answered), Ok(day_of(START_NS)), "at once");
    // The first grant of that day held more than was spent when it ended, as after a crash.
    let rest = all(&mut gate, &mut book, START_NS + SECOND_NS);
    assert!((1..=59).contains(&rest), "{rest}");
    assert_eq!(all(&mut gate, &mut book, START_NS + 2 * SECOND_NS), 0);
    assert_eq!(all(&mut gate, &mut book, far_ns), 0, "the far day keeps its own count");
    gate = SimulatedGate::new(3, 0);
    let tomorrow_ns = START_NS + DAY_NS;
    assert_eq!(gate.ask(&mut book, bucket, tomorrow_ns, 1, CallOutcome::Answered), Ok(day_of(tomorrow_ns)));
    assert_eq!(all(&mut gate, &mut book, tomorrow_ns + SECOND_NS), 99, "the next day is whole");
}

/// A request refused under a clock that is a day behind the ledger learns when the ledger's day ends.
#[test]
fn a_refusal_names_the_end_of_the_day_that_counts() {
    const RETRY_NS: i64 = 2 * DAY_NS;
    let bucket = limits(1_000_000.0, 1000, 10);
    let (mut row, mut node) = (LedgerRow::default(), SpendingNode::new());
    while node.ask(&mut row, bucket, START_NS + DAY_NS) == Verdict::Admit {}
    let refused = SpendingNode::new().ask(&mut row, bucket, START_NS);
    assert!(matches!(refused, Verdict::Refuse { quota: true, retry_after_ns: RETRY_NS, .. }), "{refused:?}");
    assert_eq!(SpendingNode::new().ask(&mut row, bucket, START_NS + 2 * DAY_NS), Verdict::Admit);
}

proptest! {
    /// For requests of several costs, some of which are taken back: one node admits exactly what a plain bucket does, and a refusal's wait
    /// is true.
    #[test]
    fn costs_are_admitted_whole_or_not_at_all(
        rate in prop_oneof![0.02f64..1.0, 1.0f64..50.0], burst in 1u32..20, quota in 1u64..200,
        steps in prop::collection::vec((0i64..1_500_000_000, 1u64..20), 1..200),
    ) {
        let bucket = limits(rate, burst, quota);
        let (mut row, mut node) = (LedgerRow::default(), SpendingNode::new());
        let (mut plain_tat_ns, mut plain_used, mut now_ns) = (0i64, 0u64, START_NS);
        for (wait_ns, cost) in steps {
            let cost = cost.min(u64::from(burst));
            now_ns += wait_ns / 3;
            let width_ns = bucket.interval_ns * i64::try_from(cost).unwrap();
            let next_ns = plain_tat_ns.max(now_ns) + width_ns;
            let plain = next_ns <= now_ns + bucket.interval_ns * bucket.burst && plain_used + cost <= quota;
            if plain {
                (plain_tat_ns, plain_used) = (next_ns, plain_used + cost);
            }
            match node.ask_as(&mut row, bucket, now_ns, cost) {
                Verdict::Admit => prop_assert!(plain),
                Verdict::Refuse { quota: false, retry_after_ns, .. } => {
                    prop_assert!(!plain);
                    let mut other = SpendingNode::new();
                    let mut copy = row;
                    copy.take_back(&node.grant.as_ref().unwrap().0.into_return());
                    let early_ns = now_ns + retry_after_ns - 1;
                    prop_assert_ne!(other.ask_as(&mut copy.clone(), bucket, early_ns, cost), Verdict::Admit);
                    if plain_used + cost <= quota {
                        let then = SpendingNode::new().ask_as(&mut copy, bucket, now_ns + retry_after_ns, cost);
                        prop_assert_eq!(then, Verdict::Admit);
                    }
                }
                Verdict::Refuse { .. } => prop_assert!(!plain && plain_used + cost > quota),
                Verdict::Renew => prop_assert!(false, "a node renews by itself"),
            }
        }
    }

    /// Refunded quota is available at once, including the last request: one node admits exactly what a plain bucket and a plain count do.
    #[test]
    fn what_is_given_back_to_the_quota_is_had_again(
        rate in prop_oneof![1u32..50, Just(1000)], burst in 1u32..20, quota in 1u64..8,
        steps in prop::collection::vec((0i64..1_500_000_000, 0u8..6), 1..200),
    ) {
        let bucket = limits(f64::from(rate), burst, quota);
        let (mut row, mut node) = (LedgerRow::default(), SpendingNode::new());
        let (mut plain_tat_ns, mut plain_used, mut now_ns) = (0i64, 0u64, START_NS);
        for (wait_ns, fate) in steps {
            now_ns += if fate % 2 == 0 { wait_ns / 3 } else { 0 };
            let next_ns = plain_tat_ns.max(now_ns) + bucket.interval_ns;
            let by_rate = next_ns <= now_ns + bucket.interval_ns * bucket.burst;
            match node.ask(&mut row, bucket, now_ns) {
                Verdict::Admit => {
                    prop_assert!(by_rate && plain_used < quota);
                    (plain_tat_ns, plain_used) = (next_ns, plain_used + 1);
                    if fate > 0 {
                        let grant = &mut node.grant.as_mut().unwrap().0;
                        grant.refund(grant.day(), 1);
                        plain_used -= 1;
                    }
                }
                Verdict::Refuse { rate, quota: by_quota, .. } => {
                    prop_assert_eq!((rate, by_quota), (!by_rate, plain_used >= quota));
                }
                Verdict::Renew => prop_assert!(false, "a node renews by itself"),
            }
            prop_assert_eq!(node.grant.as_ref().unwrap().0.standing(now_ns).quota_left, quota - plain_used);
        }
    }

    /// A request taken back is as if it had not been made: never do more pass than the burst and the inflow, and an immediate take-back
    /// leaves everything unchanged.
    #[test]
    fn what_is_taken_back_gives_no_more_than_there_was(
        rate in 1u32..50, burst in 1u32..20,
        steps in prop::collection::vec((0i64..1_000_000_000, 1u64..10, 0u8..3), 1..200),
    ) {
        let bucket = limits(f64::from(rate), burst, 1_000_000);
        let mut grant = LedgerRow::default().renew(&Asked { life_ns: 1000 * DAY_NS, ..asked(bucket, START_NS, WANT_MAX) }).0;
        let (mut now_ns, mut passed, mut waiting) = (START_NS, Vec::<(i64, u64)>::new(), Vec::new());
        for (wait_ns, cost, fate) in steps {
            now_ns += wait_ns / 4;
            let cost = cost.min(u64::from(burst));
            let before = grant.standing(now_ns);
            if grant.admit_as(now_ns, cost) != Verdict::Admit {
                continue;
            }
            let slot = grant.last_slot(cost);
            match fate {
                0 => {
                    grant.undo(slot, 0, cost, now_ns);
                    let after = grant.standing(now_ns);
                    prop_assert_eq!((after.burst_left, after.quota_left), (before.burst_left, before.quota_left));
                }
                // The admission is taken back later.
                1 => waiting.push((slot, cost)),
                _ => passed.push((now_ns, cost)),
            }
            if waiting.len() > 3 {
                let (slot, cost) = waiting.remove(0);
                grant.undo(slot, 0, cost, now_ns);
            }
        }
        for (first, (from_ns, _)) in passed.iter().enumerate() {
            let mut sum = 0;
            for (to_ns, cost) in &passed[first..] {
                sum += i64::try_from(*cost).unwrap();
                prop_assert!(sum <= bucket.burst + (to_ns - from_ns) / bucket.interval_ns);
            }
        }
    }
}

/// Two requests that fail one after the other free one place if the clock is behind the first: the second had moved up.
#[test]
fn no_place_is_freed_twice() {
    let bucket = limits(1.0, 3, 1000);
    let mut grant = LedgerRow::default().renew(&Asked { life_ns: DAY_NS, ..asked(bucket, START_NS, WANT_MAX) }).0;
    let take = |grant: &mut Grant, now_ns| (grant.admit(now_ns) == Verdict::Admit).then(|| grant.last_slot(1));
    let slots: Vec<Slot> = (0..3).map(|_| take(&mut grant, START_NS).unwrap()).collect();
    grant.undo(slots[0], 0, 1, START_NS);
    // The second request is where the first was, and its place is over.
    let later_ns = START_NS + SECOND_NS;
    grant.undo(slots[1], 0, 1, later_ns);
    assert_eq!(grant.standing(later_ns).burst_left, 2, "the third one, and no more, is still to come");
}
