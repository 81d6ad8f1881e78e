use chrono::DateTime;
use stage::{Partition, PartitionCount, RequestId};
use stage_harness::{StageHarness, event};

use super::*;

fn awarded(customer: &str, total: u64) -> Event<PointsFact> {
    let fact = PointsAwarded {
        purchase: RequestId(format!("{customer}-{total}")),
        customer: customer.parse().unwrap(),
        points: 1,
        total,
    };
    event(customer, DateTime::UNIX_EPOCH, PointsFact::PointsAwarded(fact))
}

/// Reads each award in a batch of its own, and expects the tiers, `customer tier`.
fn check(awards: &[(&str, u64)], expected: &[&str]) {
    let mut harness = StageHarness::new(GrantTier, Partition(1), PartitionCount::new(2).unwrap());
    for (customer, total) in awards {
        harness.read_facts(&POINTS, &[awarded(customer, *total)]).unwrap();
    }
    let rows = harness.rows::<TierRow>().unwrap();
    let shown: Vec<_> = rows.iter().map(|row| format!("{} {}", row.customer, row.tier)).collect();
    assert_eq!(shown, expected);
    assert_eq!(harness.replay(GrantTier).unwrap(), *harness.state());
}

#[test]
fn the_tier_follows_from_the_points() {
    check(&[("ann", 9)], &[]);
    check(&[("ann", 9), ("ann", 10), ("bob", 99)], &["ann silver", "bob silver"]);
    check(&[("ann", 99), ("ann", 100), ("bob", 3)], &["ann gold"]);
}
