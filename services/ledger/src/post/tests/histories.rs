//! Properties of random histories of purchases, returns, claims and transfers.

use proptest::prelude::*;

use super::facts::{FEE, NONE, REFUSE, bought, claimed, claimed_with_daily_limit, rejected, returned, transfer};
use super::ledger::Ledger;
use super::*;

fn any_purchase() -> impl Strategy<Value = (u8, bool, String, String)> {
    let money = || {
        let (gbp, jpy) = ((0..100_000_u32).prop_map(|n| format!("{}.{:02} GBP", n / 100, n % 100)), 0..100_000_u32);
        let eur = (0..100_000_u32).prop_map(|n| format!("{}.{:02} EUR", n / 100, n % 100));
        prop_oneof![gbp, eur, jpy.prop_map(|n| format!("{n} JPY"))]
    };
    (0..6_u8, prop::bool::weighted(0.1), money(), money())
}

/// A purchase that is charged its total if both are in one currency; every fourth is a return.
fn purchase(number: usize, (customer, refused, total, charged): &(u8, bool, String, String)) -> Event<PostInput> {
    let (request_id, customer) = (format!("r{number:03}"), customer.to_string());
    let same = total.rsplit(' ').next() == charged.rsplit(' ').next();
    match refused {
        true => rejected(&request_id, &customer),
        false if number % 4 == 3 => returned(&request_id, &customer, total, if same { total } else { charged }),
        false => bought(&request_id, &customer, total, if same { total } else { charged }),
    }
}

fn confirmed(purchases: &[Event<PostInput>]) -> Vec<RequestId> {
    let confirmed = purchases.iter().filter(|event| matches!(event.fact, PostInput::PurchaseConfirmed(_)));
    confirmed.map(|event| event.cause.request_id.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn money_is_always_conserved_and_nothing_stays_in_transit(
        purchases in prop::collection::vec(any_purchase(), 1..24),
        partitions in 1..9_u16,
        sizes in prop::collection::vec(1..6_usize, 1..4),
        deliveries in prop::collection::vec((0..8_u16, 0..32_usize, 1..4_usize, 0..3_usize), 0..80),
    ) {
        let purchases: Vec<_> = purchases.iter().enumerate().map(|(number, one)| purchase(number, one)).collect();
        let mut ledger = Ledger::new(partitions, &purchases, &sizes);
        for (partition, from, frames, again) in deliveries {
            ledger.deliver(Partition(partition % partitions), from, frames, again);
        }
        ledger.deliver_all();
        ledger.quiet();
        let mut one_by_one = Ledger::new(1, &purchases, &[1]);
        one_by_one.deliver_all();
        prop_assert_eq!(ledger.balances(), one_by_one.balances());
        prop_assert_eq!(ledger.paid(), confirmed(&purchases));
    }

    /// In any order of the deliveries, no limit is exceeded, each crossing costs a fee, and each request is decided.
    #[test]
    fn limits_always_hold_and_each_request_is_decided(
        moves in prop::collection::vec((0..5_usize, 0..5_usize, 1..12_000_u32, 0..4_u8), 1..40),
        partitions in 1..9_u16,
        sizes in prop::collection::vec(1..6_usize, 1..4),
        deliveries in prop::collection::vec((0..8_u16, 0..32_usize, 1..4_usize, 0..3_usize), 0..80),
    ) {
        const ACCOUNTS: [&str; 5] = ["alice", "bob", "carol", "customer:1", "merchant"];
        let mut facts = vec![claimed("c1", "alice", REFUSE), claimed("c2", "bob", FEE)];
        facts.push(claimed_with_daily_limit("c3", "carol", REFUSE, "70.00 EUR"));
        facts.push(claimed("c4", "customer:1", FEE));
        for (number, (from, to, cents, kind)) in moves.iter().enumerate() {
            let (id, amount) = (format!("r{number:03}"), format!("{}.{:02} EUR", cents / 100, cents % 100));
            facts.push(match kind {
                0 => bought(&id, "1", &amount, &amount),
                1 => claimed(&id, ACCOUNTS[*to], NONE),
                _ if from == to => continue,
                _ => transfer(&id, ACCOUNTS[*from], ACCOUNTS[*to], &amount),
            });
        }
        let asked = facts.iter().filter(|event| !matches!(event.fact, PostInput::PurchaseConfirmed(_))).count();
        let bought = facts.len() - asked;
        let mut ledger = Ledger::new(partitions, &facts, &sizes);
        for (partition, from, frames, again) in deliveries {
            ledger.deliver(Partition(partition % partitions), from, frames, again);
        }
        ledger.deliver_all();
        ledger.quiet();
        prop_assert_eq!(ledger.decisions().len(), asked);
        let emitted: Vec<_> = ledger.posts.iter().flat_map(|post| post.emitted(&OUTCOMES).unwrap()).collect();
        prop_assert_eq!(emitted.len(), asked + bought);
    }
}
