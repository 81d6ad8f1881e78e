use contracts::{Reason, ReasonCode};
use proptest::prelude::*;
use stage::{Partition, PartitionCount};
use stage_harness::{StageHarness, cut, event};

use super::*;

fn posted(purchase: &str) -> Event<SettleInput> {
    let fact = PaymentPosted { purchase: RequestId(purchase.to_owned()), is_limited: false };
    event(purchase, chrono::DateTime::UNIX_EPOCH, SettleInput::PaymentPosted(fact))
}

fn refused(purchase: &str) -> Event<SettleInput> {
    let reason = Reason { code: ReasonCode::PaymentRefused, detail: "no further".to_owned() };
    let fact = PaymentRefused { purchase: RequestId(purchase.to_owned()), is_limited: false, reason };
    event(purchase, chrono::DateTime::UNIX_EPOCH, SettleInput::PaymentRefused(fact))
}

fn refunded(id: &str) -> Event<SettleInput> {
    let credit = money::Money::parse("1.00", money::Currency::EUR).unwrap();
    let fact = ReturnPosted { return_id: RequestId(id.to_owned()), credit };
    event(id, chrono::DateTime::UNIX_EPOCH, SettleInput::ReturnPosted(fact))
}

fn settle() -> StageHarness<Settle> {
    StageHarness::new(Settle, Partition(1), PartitionCount::new(2).unwrap())
}

/// Expects the outcomes `purchase status partition/batch`, or the table that refuses a second outcome.
fn check(batches: &[&[&str]], expected: Result<&[&str], &str>) {
    let mut harness = settle();
    let hear = |purchases: &&[&str]| {
        let facts: Vec<_> = purchases.iter().map(|purchase| posted(purchase)).collect();
        harness.read_facts(&OUTCOMES, &facts).map(|_| ())
    };
    let refused = batches.iter().try_for_each(hear).map_err(|broken| match broken {
        StageError::Exists { table, .. } => table,
        other => panic!("{other}"),
    });
    let rows = harness.rows::<OutcomeRow>().unwrap();
    let shown: Vec<_> =
        rows.iter().map(|r| format!("{} {} {}/{}", r.purchase, r.status, r.partition.0, r.batch)).collect();
    assert_eq!(refused.map(|()| shown), expected.map(|rows| rows.iter().map(ToString::to_string).collect()));
    assert_eq!(harness.replay(Settle).unwrap(), *harness.state());
    assert!(harness.state().frames.is_empty());
}

#[test]
fn a_payment_settles_its_purchase() {
    check(&[&["r1"]], Ok(&["r1 settled 1/1"]));
    check(&[&["r2", "r1"], &["r3"]], Ok(&["r1 settled 1/1", "r2 settled 1/1", "r3 settled 1/2"]));
}

#[test]
fn a_refused_payment_rejects_its_purchase_with_the_reason() {
    let mut harness = settle();
    harness.read_facts(&OUTCOMES, &[posted("r1"), refused("r2")]).unwrap();
    let rows = harness.rows::<OutcomeRow>().unwrap();
    let shown: Vec<_> = rows.iter().map(|row| (row.status, row.reason().map(|reason| reason.code))).collect();
    assert_eq!(shown, [(Status::Settled, None), (Status::Rejected, Some(ReasonCode::PaymentRefused))]);
    assert!(harness.read_facts(&OUTCOMES, &[refused("r1")]).is_err());
    assert_eq!(harness.replay(Settle).unwrap(), *harness.state());
}

#[test]
fn a_second_outcome_is_refused_in_the_same_or_a_later_batch() {
    check(&[&["r1", "r1"]], Err("outcomes"));
    check(&[&["r1"], &["r1"]], Err("outcomes"));
}

#[test]
fn nothing_of_a_refused_batch_is_stored() {
    let mut harness = settle();
    harness.read_facts(&OUTCOMES, &[posted("r1")]).unwrap();
    assert!(harness.read_facts(&OUTCOMES, &[posted("r2"), posted("r1")]).is_err());
    assert_eq!((harness.rows::<OutcomeRow>().unwrap().len(), harness.state().records.len()), (1, 1));
}

#[test]
fn a_posted_refund_settles_its_return_once_and_no_purchase_of_the_same_id() {
    let mut harness = settle();
    harness.read_facts(&OUTCOMES, &[refunded("r1"), posted("r1")]).unwrap();
    let rows = harness.rows::<ReturnOutcomeRow>().unwrap();
    let shown: Vec<_> = rows
        .iter()
        .map(|r| format!("{} {} {} {}/{}", r.return_id, r.credit, r.currency, r.partition.0, r.batch))
        .collect();
    assert_eq!(shown, ["r1 1.00 EUR 1/1"]);
    assert_eq!(harness.rows::<OutcomeRow>().unwrap().len(), 1);
    let again = harness.read_facts(&OUTCOMES, &[refunded("r1")]).map(drop);
    assert!(matches!(again, Err(StageError::Exists { table: "return_outcomes", .. })), "{again:?}");
    assert_eq!(harness.replay(Settle).unwrap(), *harness.state());
}

proptest! {
    #[test]
    fn each_payment_is_settled_once_however_often_it_is_delivered(
        count in 1..40_usize,
        frames in prop::collection::vec(1..5_usize, 1..4),
        batches in prop::collection::vec(1..5_usize, 1..4),
        back in prop::collection::vec(0..4_usize, 1..5),
    ) {
        let producer = stage::Producer::new("post", Partition(1));
        let (mut emitted, mut previous) = (Vec::new(), stage::Hash::ZERO);
        let facts = (0..count).map(|number| posted(&format!("r{number:02}"))).collect();
        for (seq, facts) in (1..).zip(cut::<Event<SettleInput>>(facts, &frames)) {
            let body = stage::write_events(&facts, &producer).unwrap();
            let target = OUTCOMES.target(Partition(1));
            let frame = stage::Frame::seal(producer.clone(), target, stage::Seq(seq), previous, facts.len(), body);
            previous = frame.hash;
            emitted.push(frame);
        }
        let mut harness = settle();
        let (mut next, mut back) = (0, back.iter().copied().cycle());
        for batch in cut(emitted.clone(), &batches) {
            // Frames that were read before are delivered again.
            let from = usize::saturating_sub(next, back.next().unwrap_or_default());
            next += batch.len();
            harness.read(emitted[from..next].to_vec()).unwrap();
        }
        let settled = harness.rows::<OutcomeRow>().unwrap();
        prop_assert_eq!(settled.len(), count);
        prop_assert_eq!(&harness.replay(Settle).unwrap(), harness.state());
    }
}
