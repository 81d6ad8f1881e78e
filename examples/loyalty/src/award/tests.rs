use std::collections::BTreeMap;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::json;
use stage::{Partition, PartitionCount};
use stage_harness::{StageHarness, cut, event};

use super::*;

fn bought(purchase: &str, customer: &str, pieces: &[u32]) -> Event<AwardInput> {
    let line =
        |pieces: &u32| json!({"sku": "tea", "quantity": pieces, "unit_price": {"amount": "1.00", "currency": "EUR"}});
    let fact = json!({
        "purchase": purchase, "customer": customer, "occurred_at": "2026-01-01T00:00:00Z",
        "total": {"amount": "1.00", "currency": "EUR"}, "charged": {"amount": "1.00", "currency": "EUR"},
        "conversion": "same", "lines": pieces.iter().map(line).collect::<Vec<_>>(),
    });
    of(purchase, AwardInput::PurchaseConfirmed(serde_json::from_value(fact).unwrap()))
}

fn paid(purchase: &str) -> Event<AwardInput> {
    of(
        purchase,
        AwardInput::PaymentPosted(PaymentPosted { purchase: RequestId(purchase.to_owned()), is_limited: false }),
    )
}

fn of(purchase: &str, fact: AwardInput) -> Event<AwardInput> {
    event(purchase, DateTime::UNIX_EPOCH, fact)
}

fn award() -> StageHarness<Award> {
    StageHarness::new(Award, Partition(1), PartitionCount::new(2).unwrap())
}

/// Reads batches of facts, and expects the emitted facts, `customer +points =total`.
fn check(batches: &[&[Event<AwardInput>]], expected: &[&str]) {
    let mut harness = award();
    for batch in batches {
        for (stream, facts) in by_stream(batch) {
            harness.read_facts(stream, &facts).unwrap();
        }
    }
    let shown = |event: &Event<PointsFact>| {
        let PointsFact::PointsAwarded(PointsAwarded { customer, points, total, .. }) = &event.fact;
        format!("{customer} +{points} ={total}")
    };
    assert_eq!(harness.emitted(&POINTS).unwrap().iter().map(shown).collect::<Vec<_>>(), expected);
    assert_eq!(harness.replay(Award).unwrap(), *harness.state());
}

/// The facts, each with the stream that contains it. Neighbours of one stream are read as one batch.
fn by_stream(facts: &[Event<AwardInput>]) -> Vec<(&'static Stream, Vec<Event<AwardInput>>)> {
    let stream = |fact: &AwardInput| match fact {
        AwardInput::PurchaseConfirmed(_) => &PURCHASES,
        AwardInput::PaymentPosted(_) | AwardInput::Other(_) => &OUTCOMES,
    };
    let mut parts: Vec<(&Stream, Vec<_>)> = Vec::new();
    for event in facts {
        match parts.last_mut() {
            Some((last, facts)) if last.name == stream(&event.fact).name => facts.push(event.clone()),
            _ => parts.push((stream(&event.fact), vec![event.clone()])),
        }
    }
    parts
}

#[test]
fn a_paid_purchase_earns_a_point_for_each_piece() {
    check(&[&[bought("p1", "ann", &[2, 3]), paid("p1")]], &["ann +5 =5"]);
    check(
        &[&[bought("p1", "ann", &[1]), bought("p2", "ann", &[4])], &[paid("p2"), paid("p1")]],
        &["ann +4 =4", "ann +1 =5"],
    );
}

#[test]
fn the_order_of_the_two_facts_does_not_matter() {
    check(&[&[paid("p1")], &[bought("p1", "ann", &[2])]], &["ann +2 =2"]);
    check(&[&[paid("p1"), bought("p1", "ann", &[2])]], &["ann +2 =2"]);
}

#[test]
fn an_unpaid_purchase_earns_nothing() {
    check(&[&[bought("p1", "ann", &[2])], &[paid("p2")]], &[]);
}

proptest! {
    #[test]
    fn points_are_the_pieces_of_all_paid_purchases_in_any_order(
        purchases in prop::collection::vec((0..3_u8, 1..9_u32, any::<bool>()), 1..20),
        order in prop::collection::vec(any::<prop::sample::Index>(), 40),
        sizes in prop::collection::vec(1..6_usize, 1..4),
    ) {
        let mut facts = Vec::new();
        let mut expected = BTreeMap::<String, u64>::new();
        for (number, (customer, pieces, is_paid)) in purchases.iter().enumerate() {
            let (id, customer) = (format!("p{number}"), format!("c{customer}"));
            facts.push(bought(&id, &customer, &[*pieces]));
            if *is_paid {
                facts.push(paid(&id));
                *expected.entry(customer).or_default() += u64::from(*pieces);
            }
        }
        let count = facts.len();
        (0..count).for_each(|index| facts.swap(index, order[index].index(count)));
        let mut harness = award();
        for (stream, facts) in cut(facts, &sizes).iter().flat_map(|batch| by_stream(batch)) {
            harness.read_facts(stream, &facts).unwrap();
        }
        let rows = harness.rows::<PointsRow>().unwrap();
        let found: BTreeMap<_, _> = rows.into_iter().map(|row| (row.customer.to_string(), row.total)).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(&harness.replay(Award).unwrap(), harness.state());
    }
}
