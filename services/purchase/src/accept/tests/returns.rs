//! Goods that come back.

use contracts::{ALLOCATIONS, LINES, ReturnRequest};

use super::*;

fn back_of(request_id: &str, lines: Vec<LineRequest>, pay_in: &str, occurred_at: Option<&str>) -> Step {
    let (customer, pay_in) = ("17850".parse().unwrap(), pay_in.parse().unwrap());
    let occurred_at = occurred_at.map(|time| time.parse().unwrap());
    let request = ReturnRequest { customer, pay_in, lines, occurred_at };
    Step::Request(event(request_id, now(), AcceptInput::SubmitReturn(SubmitReturn { request, captured: None })))
}

fn back(request_id: &str, line: &str, pay_in: &str) -> Step {
    back_of(request_id, vec![wanted(line)], pay_in, None)
}

#[test]
fn a_return_is_refunded_by_the_rate_of_its_own_time() {
    let steps = [
        rates("2010-12-01", "EUR/GBP 0.848"),
        offer("A", "39.75 GBP"),
        buy("p", "1 A", "EUR"),
        rates("2010-12-02", "EUR/GBP 0.5"),
        back("r1", "1 A", "EUR"),
        back_of("r2", vec![wanted("1 A")], "EUR", Some("2010-12-01T23:59:59Z")),
        back("r3", "1 A 20 GBP", "GBP"),
    ];
    let backs = ["back 39.75 GBP = 79.50 EUR", "back 39.75 GBP = 46.88 EUR", "back 20.00 GBP = 20.00 GBP"];
    check(&steps, &["A v1", "39.75 GBP = 46.88 EUR", backs[0], backs[1], backs[2]]);
}

#[test]
fn a_return_is_rejected_for_the_reasons_of_a_purchase() {
    let closed = serde_json::json!({ "price": price("1 GBP") });
    let closed = SetOffer { sku: "C".parse().unwrap(), terms: serde_json::from_value(closed).unwrap() };
    let steps = [
        rates("2010-11-01", "EUR/GBP 0.848"),
        offer("A", "1 GBP"),
        offer("B", "1 EUR"),
        Step::Request(event("offer C", now(), AcceptInput::SetOffer(closed))),
        back("r1", "1 A", "EUR"),
        back("r2", "1 A", "USD"),
        back("r3", "1 nothing", "GBP"),
        back("r4", "1 C 1 GBP", "GBP"),
        back_of("r5", vec![wanted("1 A"), wanted("1 B")], "GBP", None),
        back("r6", "1 C", "GBP"),
    ];
    let reasons = ["stale_rate", "no_rate", "unknown_offer", "price_not_open", "mixed_currencies"];
    check(&steps, &[&["A v1", "B v1", "C v1"], &reasons[..], &["back 1.00 GBP = 1.00 GBP"]].concat());
}

#[test]
fn a_repeated_return_is_the_same_and_its_id_is_not_that_of_a_purchase() {
    let (paid, returned) = ("1.00 GBP = 1.00 GBP", "back 1.00 GBP = 1.00 GBP");
    let steps = [
        offer("A", "1 GBP"),
        buy("r1", "1 A", "GBP"),
        back("r1", "1 A", "GBP"),
        back("r1", "1 A", "GBP"),
        back("r1", "2 A", "GBP"),
        offer("A", "2 GBP"),
        back("r1", "1 A", "GBP"),
        buy("r1", "1 A", "GBP"),
    ];
    let still = format!("still {returned}");
    check(&steps, &["A v1", paid, returned, &still, "still conflict", "A v2", &still, &format!("still {paid}")]);
}

#[test]
fn an_accepted_return_is_emitted_once_to_the_ledger_and_to_nobody_who_keeps_stock() {
    let terms = serde_json::json!({ "price": price("1 GBP"), "capacity": 0 });
    let limited = SetOffer { sku: "A".parse().unwrap(), terms: serde_json::from_value(terms).unwrap() };
    let steps = [
        Step::Request(event("offer A", now(), AcceptInput::SetOffer(limited))),
        back("r1", "2 A", "GBP"),
        back("r1", "2 A", "GBP"),
        back("r2", "1 B", "GBP"),
    ];
    let ran = run(&steps, &[2]);
    let emitted = ran.harness.emitted(&PURCHASES).unwrap();
    let [event] = &emitted[..] else { panic!("{emitted:?}") };
    let Fact::ReturnAccepted(accepted) = &event.fact else { panic!("{event:?}") };
    assert_eq!((event.key.0.as_str(), accepted.return_id.0.as_str()), ("customer:17850", "r1"));
    assert_eq!((accepted.credit.to_string().as_str(), accepted.occurred_at), ("2.00 GBP", now()));
    assert_eq!(accepted.lines.len(), 1);
    // The offer's limit.
    assert_eq!(ran.harness.emitted(&ALLOCATIONS).unwrap().len(), 1);
    assert_eq!(ran.harness.emitted(&LINES).unwrap().len(), 0);
    let lines: Vec<_> = ran.harness.rows::<ReturnRow>().unwrap().into_iter().map(|row| row.lines).collect();
    assert_eq!(lines, [[wanted("2 A 1 GBP")], [wanted("1 B")]]);
}

#[test]
fn a_recorded_return_without_a_captured_version_for_each_line_is_refused() {
    for captured in [None, Some(captured_offers(&[])), Some(captured_offers(&[0, 0]))] {
        let Step::Request(mut request) = back("r1", "1 A", "GBP") else { panic!("a request") };
        let AcceptInput::SubmitReturn(submission) = &mut request.fact else { panic!("a return") };
        submission.captured = captured.clone();
        let mut harness = StageHarness::new(Accept::default(), Partition(0), PartitionCount::new(1).unwrap());
        assert!(matches!(harness.apply_recorded(vec![request]), Err(StageError::Rule(_))), "{captured:?}");
    }
}

/// The same step, but whoever would buy brings the same lines back.
fn reversed(step: &Step) -> Step {
    match step {
        Step::Request(Event { cause, fact: AcceptInput::SubmitPurchase(submission), .. }) => {
            let PurchaseRequest { customer, pay_in, lines, occurred_at, .. } = submission.request.clone();
            let request = ReturnRequest { customer, pay_in, lines, occurred_at };
            let submit = AcceptInput::SubmitReturn(SubmitReturn { request, captured: None });
            Step::Request(event(&cause.request_id.0, now(), submit))
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn a_refund_is_what_a_purchase_of_the_same_lines_would_have_cost(
        steps in prop::collection::vec(any_step(), 0..60),
        sizes in prop::collection::vec(1..9_usize, 1..5),
    ) {
        let bought = run(&steps, &sizes);
        let backs: Vec<_> = steps.iter().map(reversed).collect();
        let returned = run(&backs, &sizes);
        let amounts = |replies: &[String]| -> Vec<_> {
            replies.iter().map(|reply| reply.trim_start_matches("back ").to_owned()).collect()
        };
        prop_assert_eq!(&amounts(&returned.replies), &bought.replies);
        let (paid, refunded) = (bought.emitted(), returned.emitted());
        let charged: Vec<_> = paid
            .iter()
            .filter_map(|fact| match fact {
                Fact::PurchaseConfirmed(paid) => Some((&paid.purchase, paid.total, paid.charged, &paid.lines)),
                _ => None,
            })
            .collect();
        let credited: Vec<_> = refunded
            .iter()
            .filter_map(|fact| match fact {
                Fact::ReturnAccepted(back) => Some((&back.return_id, back.total, back.credit, &back.lines)),
                _ => None,
            })
            .collect();
        prop_assert_eq!(credited, charged);
        prop_assert_eq!(&returned.harness.replay(returned.side_input).unwrap(), returned.harness.state());
    }
}
