use contracts::{CancellationTerms, LineSold, PlannedLine};
use money::{Conversion, Currency, Money, Percent, UnitPrice};

use super::*;

const AT: &str = "2026-07-01T12:00:00Z";

fn eur(text: &str) -> Money {
    Money::parse(text, Currency::EUR).unwrap()
}

fn percent(percent: u16) -> Percent {
    Percent::new(percent).unwrap()
}

fn place(sku: &str, number: u64) -> Place {
    Place { sku: sku.parse().unwrap(), number }
}

fn sold(sku: &str, price: &str) -> PlannedLine {
    let unit_price = UnitPrice::parse(price, Currency::EUR).unwrap();
    let sold = LineSold { sku: sku.parse().unwrap(), quantity: money::Quantity::new(1).unwrap(), unit_price };
    PlannedLine {
        sold,
        is_limited: true,
        voucher_percent: Percent::ZERO,
        cancellation: CancellationTerms::default(),
        service_date: None,
    }
}

/// A loose purchase, all or nothing, in one currency.
fn plan(lines: &[PlannedLine], total: &str) -> PurchasePlan {
    PurchasePlan {
        customer: "1".parse().unwrap(),
        occurred_at: AT.parse().unwrap(),
        total: eur(total),
        charged: eur(total),
        conversion: Conversion::Same,
        is_strict: false,
        partial: false,
        lines: lines.to_vec(),
    }
}

fn two_nights() -> PurchasePlan {
    plan(&[sold("H:1", "80.00"), sold("H:2", "70.00")], "150.00")
}

fn decided(line: u32, step: u32, decision: Decision) -> PurchaseEvent {
    PurchaseEvent::Decided(vec![LineDecision { line, step, decision }])
}

fn held(line: u32, step: u32, sku: &str, number: u64) -> PurchaseEvent {
    decided(line, step, Decision::Held(place(sku, number)))
}

fn refused(line: u32) -> PurchaseEvent {
    decided(line, 0, Decision::Refused)
}

fn cancelled(plan: &PurchasePlan) -> PurchaseEvent {
    PurchaseEvent::Cancelled(plan.clone(), AT.parse().unwrap())
}

/// What follows, one text for each action.
fn apply(state: &mut Settlement, event: PurchaseEvent) -> Vec<String> {
    let text = |action| match action {
        Action::Release(Place { sku, number }) => format!("release {sku} {number}"),
        Action::Charge(paid) => format!("charge {} of {}", paid.charged, paid.total),
        Action::Finish(status, None) => status.to_string(),
        Action::Finish(status, Some(reason)) => format!("{status} {}", reason.code),
        Action::Refund(Refund { credit, voucher: None, reason, .. }) => format!("refund {credit} {}", reason.code),
        Action::Refund(Refund { credit, voucher: Some(voucher), reason, .. }) => {
            format!("refund {credit} {} voucher {voucher}", reason.code)
        }
    };
    state.apply(event).unwrap().into_iter().map(text).collect()
}

/// Applies the events, and compares what follows from each.
fn check(events: &[(PurchaseEvent, &[&str])]) -> Settlement {
    let mut state = Settlement::default();
    for (at, (event, expected)) in events.iter().enumerate() {
        assert_eq!(&apply(&mut state, event.clone()), expected, "event {at}: {event:?}");
    }
    state
}

#[test]
fn a_loose_purchase_with_a_refused_line_is_compensated() {
    let placed = PurchaseEvent::Placed(two_nights());
    let ends: &[&str] = &["release H:1 4", "compensated sold_out", "refund 150.00 EUR sold_out"];
    // In whatever order the events arrive, the last one decides.
    let state = check(&[
        (placed.clone(), &[]),
        (held(0, 0, "H:1", 4), &[]),
        (PurchaseEvent::PaymentPosted, &[]),
        (refused(1), ends),
        (decided(0, 0, Decision::Gone), &[]),
    ]);
    assert_eq!(state.paid, Some(Paid { charged: eur("0.00"), total: eur("0.00") }));
    check(&[(refused(1), &[]), (PurchaseEvent::PaymentPosted, &[]), (held(0, 0, "H:1", 4), &[]), (placed, ends)]);
}

#[test]
fn an_upgraded_line_is_cancelled_where_it_is() {
    let plan = plan(&[sold("STD", "80.00")], "80.00");
    let state = check(&[
        (PurchaseEvent::Placed(plan.clone()), &[]),
        (PurchaseEvent::PaymentPosted, &[]),
        (held(0, 1, "DLX", 9), &["settled"]),
        (cancelled(&plan), &["release DLX 9", "refund 80.00 EUR cancelled"]),
    ]);
    assert_eq!(state.cancellation, Some(Cancellation::Applied));
    let mut state = state;
    assert!(apply(&mut state, decided(0, 1, Decision::Gone)).is_empty());
    assert_eq!(state.cancellation, Some(Cancellation::Completed));
    assert!(apply(&mut state, cancelled(&plan)).is_empty());
}

#[test]
fn a_recall_that_refunds_may_race_a_cancellation() {
    let plan = plan(&[sold("STD", "80.00")], "80.00");
    let settled: [(PurchaseEvent, &[&str]); 3] = [
        (PurchaseEvent::Placed(plan.clone()), &[]),
        (held(0, 0, "STD", 3), &[]),
        (PurchaseEvent::PaymentPosted, &["settled"]),
    ];
    // The recall is known first: nothing is left to cancel.
    let recalled = (decided(0, 0, Decision::Refused), &["refund 80.00 EUR stock_lost"] as &[&str]);
    let state = check(&[&settled[..], &[recalled, (cancelled(&plan), &[])]].concat());
    assert_eq!(state.cancellation, Some(Cancellation::Rejected));
    // The cancellation is known first: the lost stock needs no release any more.
    let cancels = (cancelled(&plan), &["release STD 3", "refund 80.00 EUR cancelled"] as &[&str]);
    let state = check(&[&settled[..], &[cancels, (decided(0, 0, Decision::Refused), &[])]].concat());
    assert_eq!(state.cancellation, Some(Cancellation::Completed));
}

#[test]
fn a_recall_that_upgrades_may_race_a_cancellation() {
    let plan = plan(&[sold("STD", "80.00")], "80.00");
    let state = check(&[
        (PurchaseEvent::Placed(plan.clone()), &[]),
        (held(0, 0, "STD", 3), &[]),
        (PurchaseEvent::PaymentPosted, &["settled"]),
        (cancelled(&plan), &["release STD 3", "refund 80.00 EUR cancelled"]),
        // The recall had moved the line before the release came, so what it got there is given back as well.
        (held(0, 1, "DLX", 5), &["release DLX 5"]),
    ]);
    assert_eq!(state.cancellation, Some(Cancellation::Applied));
    let mut state = state;
    assert!(apply(&mut state, decided(0, 1, Decision::Gone)).is_empty());
    assert_eq!(state.cancellation, Some(Cancellation::Completed));
}

#[test]
fn a_decision_that_was_overtaken_changes_nothing() {
    let plan = plan(&[sold("STD", "80.00")], "80.00");
    let state = check(&[
        (PurchaseEvent::Placed(plan), &[]),
        (held(0, 1, "DLX", 5), &[]),
        (held(0, 0, "STD", 3), &[]),
        (PurchaseEvent::PaymentPosted, &["settled"]),
    ]);
    assert_eq!(state.lines[&0].stock, LineStock::Held(place("DLX", 5)));
}

#[test]
fn a_back_order_may_be_served_while_it_is_cancelled() {
    let plan = plan(&[sold("STD", "80.00")], "80.00");
    let state = check(&[
        (PurchaseEvent::Placed(plan.clone()), &[]),
        (PurchaseEvent::PaymentPosted, &[]),
        (decided(0, 0, Decision::Queued(place("STD", 3))), &["settled"]),
        (cancelled(&plan), &["release STD 3", "refund 80.00 EUR cancelled"]),
        // It was served before the release came; the one release gives it back.
        (held(0, 0, "STD", 3), &[]),
        (decided(0, 0, Decision::Gone), &[]),
    ]);
    assert_eq!(state.cancellation, Some(Cancellation::Completed));
}

#[test]
fn a_refused_payment_beats_the_stock() {
    let reason = Reason { code: ReasonCode::PaymentRefused, detail: String::new() };
    let state = check(&[
        (PurchaseEvent::Placed(two_nights()), &[]),
        (held(0, 0, "H:1", 4), &[]),
        (PurchaseEvent::PaymentRefused(reason), &[]),
        (held(1, 0, "H:2", 6), &["release H:1 4", "release H:2 6", "rejected payment_refused"]),
        (cancelled(&two_nights()), &[]),
    ]);
    assert_eq!((state.paid, state.cancellation), (None, Some(Cancellation::Rejected)));
}

#[test]
fn a_strict_purchase_is_charged_once_its_stock_is_held() {
    let strict = PurchasePlan { is_strict: true, ..two_nights() };
    check(&[
        (PurchaseEvent::Placed(strict.clone()), &[]),
        (held(0, 0, "H:1", 4), &[]),
        (held(1, 0, "H:2", 6), &["charge 150.00 EUR of 150.00 EUR"]),
        (PurchaseEvent::PaymentPosted, &["settled"]),
    ]);
    check(&[
        (PurchaseEvent::Placed(strict), &[]),
        (held(0, 0, "H:1", 4), &[]),
        (refused(1), &["release H:1 4", "rejected sold_out"]),
    ]);
}

#[test]
fn a_strict_partial_purchase_is_charged_for_what_it_gets() {
    let strict = PurchasePlan { is_strict: true, partial: true, ..two_nights() };
    let state = check(&[
        (PurchaseEvent::Placed(strict.clone()), &[]),
        (refused(1), &[]),
        (held(0, 0, "H:1", 4), &["charge 80.00 EUR of 80.00 EUR"]),
        (PurchaseEvent::PaymentPosted, &["settled"]),
        (cancelled(&strict), &["release H:1 4", "refund 80.00 EUR cancelled"]),
    ]);
    assert_eq!(state.dropped[&1], Dropped::Refused);
    check(&[(PurchaseEvent::Placed(strict), &[]), (refused(0), &[]), (refused(1), &["rejected sold_out"])]);
}

#[test]
fn a_loose_partial_purchase_gets_the_money_of_the_refused_lines_back() {
    let mut partial = PurchasePlan { partial: true, ..two_nights() };
    partial.lines[1].voucher_percent = percent(10);
    let state = check(&[
        (PurchaseEvent::Placed(partial), &[]),
        (PurchaseEvent::PaymentPosted, &[]),
        (held(0, 0, "H:1", 4), &[]),
        (refused(1), &["settled", "refund 70.00 EUR sold_out voucher 7.00 EUR"]),
        // The rest is lost as well: the percentage of this line, which promises none.
        (decided(0, 0, Decision::Refused), &["refund 80.00 EUR stock_lost"]),
    ]);
    assert_eq!(state.paid, Some(Paid { charged: eur("0.00"), total: eur("0.00") }));
}

#[test]
fn a_lost_line_takes_the_others_with_it() {
    let mut both = two_nights();
    both.lines[0].voucher_percent = percent(20);
    check(&[
        (PurchaseEvent::Placed(both), &[]),
        (PurchaseEvent::PaymentPosted, &[]),
        (held(0, 0, "H:1", 4), &[]),
        (held(1, 0, "H:2", 6), &["settled"]),
        (decided(0, 0, Decision::Refused), &["release H:2 6", "refund 150.00 EUR stock_lost voucher 30.00 EUR"]),
        (decided(1, 0, Decision::Gone), &[]),
    ]);
}

#[test]
fn a_late_cancellation_returns_its_share_and_rounds_once() {
    let mut plan = plan(&[sold("H:1", "33.33"), sold("H:2", "0.05")], "33.38");
    for line in &mut plan.lines {
        line.service_date = Some("2026-07-03".parse().unwrap());
        line.cancellation = CancellationTerms {
            refund_percent: Percent::ALL,
            until_s_before: 2 * 86_400,
            late_refund_percent: percent(50),
        };
    }
    check(&[
        (PurchaseEvent::Placed(plan.clone()), &[]),
        (PurchaseEvent::PaymentPosted, &[]),
        (held(0, 0, "H:1", 4), &[]),
        (held(1, 0, "H:2", 6), &["settled"]),
        (cancelled(&plan), &["release H:1 4", "release H:2 6", "refund 16.69 EUR cancelled"]),
    ]);
}

#[test]
fn a_purchase_without_limited_stock_is_cancelled_at_once() {
    let mut plan = two_nights();
    plan.lines.iter_mut().for_each(|line| line.is_limited = false);
    let mut state = Settlement::of_outcome(&plan, Status::Settled);
    assert_eq!(apply(&mut state, cancelled(&plan)), ["refund 150.00 EUR cancelled"]);
    assert_eq!(state.cancellation, Some(Cancellation::Completed));
    let mut state = Settlement::of_outcome(&plan, Status::Rejected);
    assert!(apply(&mut state, cancelled(&plan)).is_empty());
    assert_eq!(state.cancellation, Some(Cancellation::Rejected));
}

#[test]
fn a_cancellation_waits_for_the_outcome() {
    let plan = two_nights();
    let state = check(&[
        (cancelled(&plan), &[]),
        (PurchaseEvent::PaymentPosted, &[]),
        (held(0, 0, "H:1", 4), &[]),
        (held(1, 0, "H:2", 6), &["settled", "release H:1 4", "release H:2 6", "refund 150.00 EUR cancelled"]),
        (PurchaseEvent::Placed(plan.clone()), &[]),
    ]);
    assert_eq!(state.cancellation, Some(Cancellation::Applied));
}
