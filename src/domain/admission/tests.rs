mod books;

use proptest::prelude::*;

use super::*;
use crate::domain::plan::Limits;

const LIFE_NS: i64 = SECOND_NS;
const START_NS: i64 = 20_000 * DAY_NS;

fn limits(rate_per_s: f64, burst: u32, quota_per_day: u64) -> Bucket {
    Bucket::of(&Limits { rate_per_s, burst, quota_per_day })
}

/// A node that spends grants like the gate.
struct SpendingNode {
    grant: Option<(Grant, i64)>,
    want: u64,
    writes: u64,
}

fn asked(bucket: Bucket, now_ns: i64, want: u64) -> Asked {
    Asked { bucket, now_ns, life_ns: LIFE_NS, want, need: 1, returned: None, kept: 0 }
}

impl SpendingNode {
    fn new() -> Self {
        Self { grant: None, want: WANT_MIN, writes: 0 }
    }

    fn ask(&mut self, row: &mut LedgerRow, bucket: Bucket, now_ns: i64) -> Verdict {
        self.ask_as(row, bucket, now_ns, 1)
    }

    fn ask_as(&mut self, row: &mut LedgerRow, bucket: Bucket, now_ns: i64, cost: u64) -> Verdict {
        for _ in 0..8 {
            if let Some((grant, expires_ns)) = &mut self.grant
                && now_ns < *expires_ns
            {
                match grant.admit_as(now_ns, cost) {
                    Verdict::Renew => self.want = next_want(self.want, 0, true),
                    verdict => return verdict,
                }
            }
            let returned = self.grant.take().map(|(grant, _)| grant.into_return());
            self.writes += 1;
            let asked = Asked { need: cost, returned, ..asked(bucket, now_ns, self.want) };
            self.grant = Some((row.renew(&asked).0, now_ns + LIFE_NS));
        }
        panic!("a fresh grant asks to be renewed for ever");
    }
}

#[test]
fn a_burst_then_the_rate_then_the_quota() {
    let (bucket, mut row, mut node) = (limits(5.0, 10, 1000), LedgerRow::default(), SpendingNode::new());
    let mut admitted = 0;
    for tick in 0..400_i64 {
        let now_ns = START_NS + tick * SECOND_NS;
        let mut at_once = 0;
        while node.ask(&mut row, bucket, now_ns) == Verdict::Admit {
            at_once += 1;
        }
        let expected = if tick == 0 { 10 } else { 5_u64.min(1000 - admitted) };
        assert_eq!(at_once, expected, "second {tick}");
        admitted += at_once;
    }
    assert_eq!(admitted, 1000);
    let refused = node.ask(&mut row, bucket, START_NS + 400 * SECOND_NS);
    let Verdict::Refuse { quota: true, rate: false, retry_after_ns } = refused else { panic!("{refused:?}") };
    assert_eq!(retry_after_ns, DAY_NS - 400 * SECOND_NS);
    assert_eq!(node.ask(&mut row, bucket, START_NS + DAY_NS), Verdict::Admit);
}

#[test]
fn a_fast_plans_grant_outlives_the_ledgers_answer() {
    for rate_per_s in [1_000.0, 100_000.0, 10_000_000.0] {
        let bucket = limits(rate_per_s, 10_000_000, 1_000_000_000);
        let mut grant = LedgerRow::default().renew(&asked(bucket, START_NS, WANT_MIN)).0;
        for answered_after_ms in [0, 5, 50] {
            assert_eq!(grant.admit(START_NS + answered_after_ms * 1_000_000), Verdict::Admit, "{rate_per_s}");
        }
    }
}

proptest! {
    /// For any number of nodes, asked in any order at any times, some of which crash: neither limit is exceeded. The rate is checked by its
    /// definition: no window admits more than the burst plus the inflow.
    #[test]
    fn no_limit_is_exceeded(
        rate in prop_oneof![0.02f64..1.0, 1.0f64..50.0], burst in 1u32..20, quota in 1u64..200,
        steps in prop::collection::vec((0usize..3, 0i64..2_000_000_000, 0u8..20), 1..300),
    ) {
        let bucket = limits(rate, burst, quota);
        let mut row = LedgerRow::default();
        let mut nodes = [SpendingNode::new(), SpendingNode::new(), SpendingNode::new()];
        let mut now_ns = START_NS + DAY_NS - 30 * SECOND_NS;
        let mut passed: Vec<i64> = Vec::new();
        for (node, wait_ns, fate) in steps {
            now_ns += wait_ns / (1 + i64::from(fate));
            if fate == 0 {
                nodes[node] = SpendingNode::new();
            }
            if nodes[node].ask(&mut row, bucket, now_ns) == Verdict::Admit {
                passed.push(now_ns);
            }
        }
        for day in [day_of(START_NS), day_of(START_NS) + 1] {
            prop_assert!(passed.iter().filter(|at| day_of(**at) == day).count() as u64 <= quota);
        }
        for (first, from_ns) in passed.iter().enumerate() {
            for (last, to_ns) in passed.iter().enumerate().skip(first) {
                let most = bucket.burst + (to_ns - from_ns) / bucket.interval_ns;
                prop_assert!((last - first + 1) as i64 <= most);
            }
        }
    }

    /// One node that does not crash admits exactly what a plain token bucket would.
    #[test]
    fn one_node_admits_all_that_is_allowed(
        rate in prop_oneof![0.02f64..1.0, 1.0f64..50.0], burst in 1u32..20, quota in 1u64..200,
        waits in prop::collection::vec(0i64..1_500_000_000, 1..300),
    ) {
        let bucket = limits(rate, burst, quota);
        let (mut row, mut node) = (LedgerRow::default(), SpendingNode::new());
        let (mut plain_tat_ns, mut plain_used, mut now_ns) = (0i64, 0u64, START_NS);
        for wait_ns in waits {
            now_ns += wait_ns / 7;
            let tat_ns = plain_tat_ns.max(now_ns);
            let plain = tat_ns + bucket.interval_ns <= now_ns + bucket.interval_ns * bucket.burst && plain_used < quota;
            if plain {
                plain_tat_ns = tat_ns + bucket.interval_ns;
                plain_used += 1;
            }
            prop_assert_eq!(node.ask(&mut row, bucket, now_ns) == Verdict::Admit, plain);
            let standing = node.grant.as_ref().unwrap().0.standing(now_ns);
            prop_assert_eq!(standing.quota_left, quota - plain_used);
        }
    }

    /// Requests that come back after a failure of the server may be asked for again; no others may.
    #[test]
    fn refunds_return_to_the_quota(quota in 1u64..50, refunds in 0u64..10) {
        let bucket = limits(1_000_000.0, 1_000_000, quota);
        let mut row = LedgerRow::default();
        let mut grant = row.renew(&asked(bucket, START_NS, 10)).0;
        let mut passed = 0;
        while grant.admit(START_NS) == Verdict::Admit {
            passed += 1;
        }
        let refunds = refunds.min(passed);
        (0..refunds).for_each(|_| grant.refund(day_of(START_NS), 1));
        grant.refund(day_of(START_NS) - 1, 1);
        row.take_back(&grant.into_return());
        prop_assert_eq!(row.used, passed - refunds);
    }
}

#[test]
fn a_clock_that_goes_back_brings_no_quota_back() {
    let (bucket, mut row) = (limits(1_000_000.0, 1000, 100), LedgerRow::default());
    let mut node = SpendingNode::new();
    while node.ask(&mut row, bucket, START_NS + DAY_NS) == Verdict::Admit {}
    row.take_back(&node.grant.unwrap().0.into_return());
    let mut earlier = row.renew(&asked(bucket, START_NS, 1000)).0;
    assert!(matches!(earlier.admit(START_NS), Verdict::Refuse { quota: true, .. }));
}

/// A client that keeps to half the rate, alternating between nodes as a load balancer does, is never refused, and each node writes about
/// once in a grant's life.
#[test]
fn several_nodes_share_a_slow_key() {
    for nodes_count in 1..=4_usize {
        let bucket = limits(5.0, 10, 100_000);
        let mut row = LedgerRow::default();
        let mut nodes: Vec<SpendingNode> = (0..nodes_count).map(|_| SpendingNode::new()).collect();
        for request in 0..1000_usize {
            let now_ns = START_NS + i64::try_from(request).unwrap() * SECOND_NS * 2 / 5;
            let verdict = nodes[request % nodes_count].ask(&mut row, bucket, now_ns);
            assert_eq!(verdict, Verdict::Admit, "request {request} through {nodes_count} nodes");
        }
        let most = 400 + 20;
        assert!(
            nodes.iter().all(|node| node.writes <= most),
            "{:?}",
            nodes.iter().map(|n| n.writes).collect::<Vec<_>>()
        );
    }
}

/// The same for faster plans, whose grants hold many requests.
#[test]
fn several_nodes_share_a_fast_key() {
    const SECONDS: u64 = 100;
    for (rate_per_s, burst) in [(20_u32, 40), (100, 200), (1000, 2000), (50, 200)] {
        for (part, nodes_count) in (1..=4_usize).flat_map(|nodes| [10, 4, 2].map(|part| (part, nodes))) {
            let bucket = limits(f64::from(rate_per_s), burst, 100_000_000);
            let per_s = u64::from(rate_per_s) / part;
            let mut row = LedgerRow::default();
            let mut nodes: Vec<SpendingNode> = (0..nodes_count).map(|_| SpendingNode::new()).collect();
            for (request, node) in (0..per_s * SECONDS).zip((0..nodes_count).cycle()) {
                let now_ns = START_NS + i64::try_from(request * 1_000_000_000 / per_s).unwrap();
                let verdict = nodes[node].ask(&mut row, bucket, now_ns);
                assert_eq!(verdict, Verdict::Admit, "{rate_per_s}/s: request {request} through {nodes_count} nodes");
            }
            let writes: Vec<u64> = nodes.iter().map(|node| node.writes).collect();
            let most = SECONDS + 5;
            assert!(writes.iter().all(|writes| *writes <= most), "{per_s} of {rate_per_s}/s: {writes:?}");
        }
    }
}

/// A bucket shallower than the inflow in a grant's life is shared, too: nodes take turns in short stretches, and the first does not keep
/// the second out.
#[test]
fn several_nodes_share_a_shallow_bucket() {
    for (rate_per_s, burst) in [(1000_u32, 10), (100, 20), (50, 10), (5, 5)] {
        for nodes_count in 1..=3_usize {
            let bucket = limits(f64::from(rate_per_s), burst, 100_000_000);
            let mut row = LedgerRow::default();
            let mut nodes: Vec<SpendingNode> = (0..nodes_count).map(|_| SpendingNode::new()).collect();
            let per_s = u64::from(rate_per_s) / 5;
            let mut refused = 0;
            for (request, node) in (0..per_s * 60).zip((0..nodes_count).cycle()) {
                let now_ns = START_NS + i64::try_from(request * 1_000_000_000 / per_s).unwrap();
                refused += u64::from(nodes[node].ask(&mut row, bucket, now_ns) != Verdict::Admit);
            }
            assert_eq!(refused, 0, "{rate_per_s}/s, {burst}, {nodes_count} nodes");
        }
    }
}

/// A node that asks for more than the rate allows does not keep others out while it may not be the only one.
#[test]
fn a_busy_node_leaves_places_of_a_shallow_bucket() {
    let bucket = limits(1000.0, 10, 100_000_000);
    let (mut row, mut busy, mut other) = (LedgerRow::default(), SpendingNode::new(), SpendingNode::new());
    let (mut waited, mut longest) = (0, 0);
    for tick in 0..20_000_i64 {
        let now_ns = START_NS + tick * SECOND_NS / 1000;
        busy.ask(&mut row, bucket, now_ns);
        busy.ask(&mut row, bucket, now_ns);
        waited = if other.ask(&mut row, bucket, now_ns) == Verdict::Admit { 0 } else { waited + 1 };
        longest = longest.max(waited);
    }
    assert!(longest <= 50, "it waited {longest} ms");
}

/// For any plan and any cost: a request that waits until the bucket is full is admitted, although it is decided a little later than the
/// grant was asked for.
#[test]
fn a_full_bucket_admits_all_that_it_holds_however_slow_the_plan_is() {
    for (rate_per_s, burst) in
        [(0.5, 1), (0.9, 1), (0.5, 3), (0.5, 10), (0.1, 5), (0.001, 1), (1.0, 1), (2.0, 3), (2.0, 10), (5.0, 10)]
    {
        for (life_ns, late_ns) in [(SECOND_NS, 1), (SECOND_NS, 400_000_000), (SECOND_NS * 3 / 10, 1_000)] {
            for cost in [1, u64::from(burst)] {
                let bucket = limits(rate_per_s, burst, 1000);
                let (mut row, mut returned, mut now_ns) = (LedgerRow::default(), None, START_NS);
                for round in 0..4 {
                    let mut answers = std::iter::repeat_with(|| {
                        let asked = Asked { life_ns, need: cost, returned, ..asked(bucket, now_ns, WANT_MIN) };
                        let mut grant = row.renew(&asked).0;
                        now_ns += late_ns;
                        let verdict = grant.admit_as(now_ns, cost);
                        returned = Some(grant.into_return());
                        verdict
                    });
                    // A short stretch that comes too late is followed by a longer one.
                    let verdict = answers.by_ref().take(3).find(|verdict| *verdict != Verdict::Renew);
                    assert_eq!(verdict, Some(Verdict::Admit), "{rate_per_s}/s, {burst}: {cost} in round {round}");
                    now_ns += bucket.interval_ns * i64::from(burst) + SECOND_NS;
                }
            }
        }
    }
}

/// If the ledger's answer takes longer than a short stretch, the next stretch is longer.
#[test]
fn a_short_stretch_that_came_too_late_is_followed_by_a_longer_one() {
    let bucket = limits(10_000_000.0, 10, 100_000_000);
    let (mut row, mut returned, mut now_ns, mut tries) = (LedgerRow::default(), None, START_NS, 0);
    loop {
        let mut grant = row.renew(&Asked { returned, ..asked(bucket, now_ns, WANT_MIN) }).0;
        now_ns += SECOND_NS / 20;
        tries += 1;
        match grant.admit(now_ns) {
            Verdict::Admit => break,
            verdict => assert_eq!((verdict, tries < 5), (Verdict::Renew, true)),
        }
        returned = Some(grant.into_return());
    }
}

/// Any node may admit the first requests of a burst.
#[test]
fn a_burst_is_admitted_through_two_nodes() {
    let bucket = limits(5.0, 10, 100_000);
    let (mut row, mut nodes) = (LedgerRow::default(), [SpendingNode::new(), SpendingNode::new()]);
    for request in 0..6 {
        assert_eq!(nodes[request % 2].ask(&mut row, bucket, START_NS), Verdict::Admit, "request {request}");
    }
}

/// Several nodes under overload together admit nearly all that the plan allows.
#[test]
fn two_busy_nodes_use_up_the_rate() {
    let bucket = limits(5.0, 10, 100_000);
    let (mut row, mut nodes) = (LedgerRow::default(), [SpendingNode::new(), SpendingNode::new()]);
    let mut admitted = 0;
    for tick in 0..10_000 {
        let now_ns = START_NS + tick * SECOND_NS / 100;
        for node in &mut nodes {
            admitted += u32::from(node.ask(&mut row, bucket, now_ns) == Verdict::Admit);
        }
    }
    assert!((490..=510).contains(&admitted), "100 s allow 510, admitted were {admitted}");
}

/// A slow plan's TAT far ahead does not delay a faster plan.
#[test]
fn a_tat_out_of_reach_is_corrected() {
    let mut row =
        LedgerRow { tat_ns: START_NS + 10_000 * SECOND_NS, day: day_of(START_NS), used: 0, ..LedgerRow::default() };
    let bucket = limits(5.0, 10, 1000);
    let (mut grant, step) = row.renew(&asked(bucket, START_NS, 10));
    assert_eq!(step, TatStep::Corrected);
    assert!(matches!(grant.admit(START_NS), Verdict::Refuse { rate: true, .. }));
    let later_ns = START_NS + LIFE_NS + SECOND_NS / 5;
    assert_eq!(row.renew(&asked(bucket, later_ns, 10)).0.admit(later_ns), Verdict::Admit, "no debt of hours");
}
