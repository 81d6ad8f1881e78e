//! The three stages of a purchase with limited stock, with deliveries in any order.

mod step;
mod world;

use contracts::{AllocationState, Status};
use proptest::prelude::*;

use self::step::{Step, bring_back, buy, cancel, offer, partially, recall};
use self::world::World;

/// Runs the steps, delivers everything, and compares the shown purchases.
fn check(partitions: u16, steps: &[Step], expected: &[&str]) -> World {
    let mut world = World::new(partitions);
    for step in steps {
        world.submit(step);
        world.deliver_all();
    }
    world.check_quiet();
    assert_eq!(world.shown(), expected);
    world
}

#[test]
fn overbooking_is_compensated() {
    let steps = [
        offer("room", r#"{"capacity":1,"overbooking_percent":100}"#),
        buy("a", "1", "1 room"),
        buy("b", "2", "1 room"),
        buy("c", "3", "1 room"),
    ];
    // Its stock could be seen to be gone.
    check(2, &steps, &["a settled held", "b settled held", "c rejected sold_out"]);
}

#[test]
fn what_could_not_be_seen_is_put_right() {
    let mut world = World::new(2);
    let buys = ["a", "b"].map(|id| buy(id, "1", "1 room"));
    let limited = offer("room", r#"{"capacity":1,"voucher_percent":10}"#);
    [limited].iter().chain(&buys).for_each(|step| world.submit(step));
    world.deliver_all();
    world.check_quiet();
    assert_eq!(world.shown(), ["a settled held", "b compensated refused back 10.00 EUR voucher 1.00 EUR"]);
    assert_eq!(world.balance("1"), "-9.00 EUR");
}

#[test]
fn a_strict_purchase_is_never_charged_for_what_it_does_not_get() {
    let steps =
        [offer("room", r#"{"capacity":1,"constraint":"strict"}"#), buy("a", "1", "1 room"), buy("b", "2", "1 room")];
    let world = check(2, &steps, &["a settled held", "b rejected sold_out refused"]);
    assert_eq!((world.balance("1").as_str(), world.balance("2").as_str()), ("-10.00 EUR", "0.00 EUR"));
}

#[test]
fn a_ladder_is_tried_step_by_step() {
    let ladder = r#"{"capacity":1,"compensation":["upgrade:suite","back_order","refund"]}"#;
    let steps = [
        offer("suite", r#"{"capacity":1}"#),
        offer("room", ladder),
        buy("a", "1", "1 room"),
        buy("b", "2", "1 room"),
        buy("c", "3", "1 room"),
        cancel("a"),
    ];
    let served = ["a settled released back 10.00 EUR cancelled", "b settled upgraded suite", "c settled held"];
    for partitions in [1, 2, 8] {
        check(partitions, &steps[..5], &["a settled held", "b settled upgraded suite", "c settled queued"]);
        check(partitions, &steps, &served);
    }
}

#[test]
fn a_raised_capacity_serves_who_waits_in_order() {
    let wait = |capacity: u64| offer("room", &format!(r#"{{"capacity":{capacity},"compensation":["back_order"]}}"#));
    let steps = [wait(2), buy("a", "1", "1 room"), buy("b", "2", "2 room"), buy("c", "3", "1 room"), wait(3), wait(4)];
    // Nobody overtakes: c would fit, but b is first.
    check(2, &steps[..4], &["a settled held", "b settled queued", "c settled queued"]);
    check(2, &steps[..5], &["a settled held", "b settled held", "c settled queued"]);
    check(2, &steps, &["a settled held", "b settled held", "c settled held"]);
}

#[test]
fn a_recall_puts_the_newest_right_in_strict_offers_too() {
    let steps = [
        offer("room", r#"{"capacity":3,"constraint":"strict","voucher_percent":50}"#),
        buy("a", "1", "1 room"),
        buy("b", "2", "2 room"),
        recall("r", "room", 1),
    ];
    let world = check(2, &steps, &["a settled held", "b settled lost back 20.00 EUR voucher 10.00 EUR"]);
    assert_eq!(world.stock("room"), "1 of 2");
}

#[test]
fn more_allocations_than_one_fact_looks_at_are_recalled_and_served() {
    let wait = |capacity: u64| offer("room", &format!(r#"{{"capacity":{capacity},"compensation":["back_order"]}}"#));
    let mut steps = vec![wait(200)];
    steps.extend((0..200).map(|number| buy(&format!("p{number:03}"), "1", "1 room")));
    steps.push(recall("r", "room", 150));
    let mut world = World::new(2);
    steps.iter().for_each(|step| world.submit(step));
    world.deliver_all();
    world.check_quiet();
    assert_eq!((world.stock("room").as_str(), world.count(AllocationState::Queued)), ("50 of 50", 150));
    world.submit(&wait(190));
    world.deliver_all();
    world.check_quiet();
    assert_eq!((world.stock("room").as_str(), world.count(AllocationState::Queued)), ("190 of 190", 10));
}

#[test]
fn a_payment_that_is_refused_gives_the_stock_back() {
    let steps = [offer("room", r#"{"capacity":1}"#), buy("a", "poor", "1 room"), buy("b", "2", "1 room")];
    let world = check(2, &steps, &["a rejected payment_refused released", "b settled held"]);
    assert_eq!(world.balance("poor"), "0.00 EUR");
}

#[test]
fn a_group_that_must_be_whole_takes_nothing_it_cannot_keep() {
    let steps = [
        offer("x", r#"{"capacity":5,"compensation":["back_order","refund"]}"#),
        offer("y", r#"{"capacity":1,"constraint":"strict"}"#),
        buy("a", "1", "2 x,2 y"),
        partially(buy("b", "2", "2 x,2 y")),
    ];
    // In one partition it is known at once; over two partitions one line holds its stock for a moment.
    for partitions in [1, 3] {
        let shown = ["a rejected sold_out released refused", "b settled held refused"];
        let world = check(partitions, &steps, &shown);
        assert_eq!(world.stock("x"), "2 of 5");
        assert_eq!(world.balance("2"), "-20.00 EUR");
    }
}

#[test]
fn a_purchase_without_limited_stock_is_cancelled_by_the_terms_of_its_offers() {
    let steps =
        [offer("book", r#"{"cancellation":{"refund_percent":50}}"#), buy("a", "1", "3 book"), cancel("a"), cancel("a")];
    let world = check(2, &steps, &["a settled released back 15.00 EUR cancelled"]);
    assert_eq!(world.balance("1"), "-15.00 EUR");
}

#[test]
fn nothing_is_left_to_cancel_of_a_purchase_that_was_rejected() {
    let steps = [offer("room", r#"{"capacity":0}"#), buy("a", "1", "1 room"), cancel("a")];
    check(2, &steps, &["a rejected sold_out cancellation rejected"]);
}

#[test]
fn a_return_is_refunded_and_leaves_stock_and_purchases_as_they_are() {
    let steps = [
        offer("room", r#"{"capacity":1}"#),
        buy("a", "1", "1 room"),
        bring_back("a", "1", "1 room", "EUR"),
        bring_back("a", "1", "1 room", "EUR"),
        bring_back("b", "2", "3 room", "GBP"),
        bring_back("c", "2", "1 nothing", "GBP"),
    ];
    for partitions in [1, 3] {
        let world = check(partitions, &steps, &["a settled held"]);
        assert_eq!(world.stock("room"), "1 of 1");
        assert_eq!((world.balance("1").as_str(), world.balance("2").as_str()), ("0.00 EUR", "25.44 GBP"));
    }
}

fn any_offer() -> impl Strategy<Value = Step> {
    let ladders =
        ["", "refund", "back_order", "upgrade:x back_order refund", "upgrade:y refund", "upgrade:z back_order"];
    let terms = (0..4_u64, 0..2_u32, proptest::bool::weighted(0.3), 0..ladders.len(), 0..2_u32);
    (0..3_usize, terms).prop_map(move |(sku, (capacity, overbooking, strict, ladder, voucher))| {
        let sku = ["x", "y", "z"][sku];
        let steps: Vec<_> =
            ladders[ladder].split_whitespace().filter(|step| *step != format!("upgrade:{sku}")).collect();
        let steps = if steps.is_empty() { vec!["refund"] } else { steps };
        let terms = serde_json::json!({
            "capacity": (capacity < 3).then_some(capacity * 2),
            "overbooking_percent": overbooking * 50,
            "constraint": if strict { "strict" } else { "loose" },
            "compensation": steps,
            "voucher_percent": voucher * 30,
            "cancellation": { "refund_percent": 100 - voucher * 33 },
        });
        offer(sku, &terms.to_string())
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let lines = prop::collection::vec((1..3_u32, 0..3_usize), 1..4);
    let buys = (0..4_u32, lines, any::<bool>(), any::<bool>()).prop_map(|(customer, lines, partial, pounds)| {
        let lines: Vec<_> =
            lines.into_iter().map(|(pieces, sku)| format!("{pieces} {}", ["x", "y", "z"][sku])).collect();
        let customer = if customer == 0 { "poor".to_owned() } else { customer.to_string() };
        let Step::Buy { id, customer, lines, .. } = buy("", &customer, &lines.join(",")) else { unreachable!() };
        Step::Buy { id, customer, lines, partial, pay_in: if pounds { "GBP" } else { "EUR" } }
    });
    prop_oneof![
        1 => any_offer(),
        6 => buys,
        2 => (0..40_usize).prop_map(Step::CancelNumber),
        1 => (0..3_usize, 1..4_u64).prop_map(|(sku, pieces)| recall("", ["x", "y", "z"][sku], pieces)),
        2 => (0..4_u32, 0..3_usize, any::<bool>()).prop_map(|(customer, sku, pounds)| {
            let line = format!("2 {}", ["x", "y", "z"][sku]);
            bring_back("", &customer.to_string(), &line, if pounds { "GBP" } else { "EUR" })
        }),
        8 => (0..64_usize, 1..4_usize).prop_map(|(from, frames)| Step::Deliver { from, frames }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_in_whatever_order_everything_is_put_right(
        partitions in 1..4_u16,
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut world = World::new(partitions);
        for sku in ["x", "y", "z"] {
            world.submit(&offer(sku, r#"{"capacity":2}"#));
        }
        for step in &steps {
            world.submit(step);
        }
        world.deliver_all();
        world.check_quiet();
        prop_assert!(world.statuses().iter().all(|status| *status != Status::Accepted));
    }
}
