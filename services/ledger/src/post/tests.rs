mod facts;
mod histories;
mod ledger;

use contracts::Purpose;
use money::Currency;
use stage::{BatchNumber, Frame, PartitionCount, Producer, Seq, write_events};

use self::facts::{
    FEE, NONE, REFUSE, arrived, bought, claimed, claimed_with_daily_limit, refunded, rejected, returned, transfer,
};
use self::ledger::{Books, Ledger, units};
use super::*;

/// Expects the balances `account amount currency` after all deliveries, for any partitions and sizes of frames.
fn check(purchases: &[Event<PostInput>], expected: &[&str]) {
    for partitions in [1, 2, 3, 8] {
        for size in [1, 2, usize::MAX] {
            let mut ledger = Ledger::new(partitions, purchases, &[size]);
            ledger.deliver_all();
            ledger.quiet();
            assert_eq!(ledger.balances(), expected, "{partitions} partitions, frames of {size}");
        }
    }
}

#[test]
fn a_purchase_in_one_currency_has_two_legs() {
    check(&[bought("r1", "1", "39.75 GBP", "39.75 GBP")], &["customer:1 -39.75 GBP", "merchant 39.75 GBP"]);
}

#[test]
fn a_purchase_paid_in_another_currency_has_four_legs() {
    let balances = ["customer:1 -46.88 EUR", "fx -39.75 GBP", "fx 46.88 EUR", "merchant 39.75 GBP"];
    check(&[bought("r1", "1", "39.75 GBP", "46.88 EUR")], &balances);
    let balances = ["customer:1 -5180 JPY", "fx -1.250 KWD", "fx 5180 JPY", "merchant 1.250 KWD"];
    check(&[bought("r1", "1", "1.250 KWD", "5180 JPY")], &balances);
}

#[test]
fn a_refund_is_the_reverse_of_a_part_of_the_payment() {
    let paid = bought("r1", "1", "39.75 GBP", "46.88 EUR");
    let all = refunded("r1", "1", "39.75 GBP", "46.88 EUR", None);
    check(&[paid.clone(), all], &["customer:1 0.00 EUR", "fx 0.00 EUR", "fx 0.00 GBP", "merchant 0.00 GBP"]);
    let balances =
        ["customer:1 -21.10 EUR", "fx -19.88 GBP", "fx 23.44 EUR", "merchant 19.88 GBP", "vouchers -2.34 EUR"];
    check(&[paid, refunded("r1", "1", "19.87 GBP", "23.44 EUR", Some("2.34 EUR"))], &balances);
    let same = [bought("r2", "2", "5.00 EUR", "5.00 EUR"), refunded("r2", "2", "2.00 EUR", "2.00 EUR", None)];
    check(&same, &["customer:2 -3.00 EUR", "merchant 3.00 EUR"]);
}

#[test]
fn a_return_is_the_reverse_of_a_purchase_and_needs_none() {
    let balances = ["customer:1 46.88 EUR", "fx -46.88 EUR", "fx 39.75 GBP", "merchant -39.75 GBP"];
    check(&[returned("b1", "1", "39.75 GBP", "46.88 EUR")], &balances);
    let both = [bought("r1", "1", "5.00 EUR", "5.00 EUR"), returned("r1", "1", "2.00 EUR", "2.00 EUR")];
    check(&both, &["customer:1 -3.00 EUR", "merchant 3.00 EUR"]);
}

#[test]
fn a_posted_return_is_reported_to_its_customer_and_counts_against_no_limit() {
    let claim = claimed_with_daily_limit("c1", "customer:1", NONE, "1.00 EUR");
    let mut ledger = Ledger::new(1, &[claim, returned("b1", "1", "50.00 GBP", "60.00 EUR")], &[1]);
    // The claim is read first.
    ledger.deliver(Partition(0), 2, 1, 0);
    ledger.deliver_all();
    ledger.quiet();
    let emitted = ledger.posts[0].emitted(&OUTCOMES).unwrap();
    let posted = emitted.iter().find_map(|event| match &event.fact {
        Fact::ReturnPosted(posted) => Some((posted.return_id.0.as_str(), posted.credit.to_string(), &event.key.0)),
        _ => None,
    });
    assert_eq!(posted, Some(("b1", "60.00 EUR".to_owned(), &"customer:1".to_owned())));
    let purposes: Vec<_> = ledger.rows::<EntryRow>().into_iter().map(|entry| entry.purpose).collect();
    assert_eq!(purposes, [Purpose::Return; 4]);
    assert_eq!(ledger.rows::<DailyPaymentsRow>(), []);
}

#[test]
fn balances_add_up_by_account_and_currency() {
    let purchases = [
        bought("r1", "1", "10.00 GBP", "10.00 GBP"),
        bought("r2", "2", "1.00 GBP", "1.18 EUR"),
        bought("r3", "1", "2.00 EUR", "2.00 EUR"),
        bought("r4", "2", "0.05 GBP", "0.05 GBP"),
    ];
    let balances = [
        "customer:1 -10.00 GBP",
        "customer:1 -2.00 EUR",
        "customer:2 -0.05 GBP",
        "customer:2 -1.18 EUR",
        "fx -1.00 GBP",
        "fx 1.18 EUR",
        "merchant 11.05 GBP",
        "merchant 2.00 EUR",
    ];
    check(&purchases, &balances);
}

#[test]
fn a_rejected_purchase_moves_nothing() {
    check(&[rejected("r1", "1")], &[]);
    let one = [rejected("r1", "1"), bought("r2", "1", "1.00 GBP", "1.00 GBP"), rejected("r3", "2")];
    check(&one, &["customer:1 -1.00 GBP", "merchant 1.00 GBP"]);
}

#[test]
fn an_amount_of_zero_is_posted_too() {
    check(&[bought("r1", "1", "0.00 GBP", "0.00 GBP")], &["customer:1 0.00 GBP", "merchant 0.00 GBP"]);
    let balances = ["customer:1 -0.01 EUR", "fx 0.00 GBP", "fx 0.01 EUR", "merchant 0.00 GBP"];
    check(&[bought("r1", "1", "0.00 GBP", "0.01 EUR")], &balances);
}

#[test]
fn entries_are_numbered_by_account_across_currencies() {
    let purchases =
        [bought("r1", "1", "1.00 GBP", "1.18 EUR"), rejected("r2", "1"), bought("r3", "1", "2.00 GBP", "2.00 GBP")];
    for size in [1, 3] {
        let mut ledger = Ledger::new(1, &purchases, &[size]);
        ledger.deliver_all();
        assert_eq!(ledger.entries("customer:1"), ["1 r1 debit 1.18 EUR", "2 r3 debit 2.00 GBP"]);
        assert_eq!(ledger.entries("merchant"), ["1 r1 credit 1.00 GBP", "2 r3 credit 2.00 GBP"]);
        assert_eq!(ledger.entries("fx"), ["1 r1 credit 1.18 EUR", "2 r1 debit 1.00 GBP"]);
    }
}

#[test]
fn the_payees_legs_are_in_transit_until_they_are_posted() {
    let mut ledger = Ledger::new(1, &[bought("r1", "1", "39.75 GBP", "46.88 EUR")], &[1]);
    ledger.deliver(Partition(0), 0, 1, 0);
    let book = |amounts: [&str; 4]| {
        let [debits, credits, debits_in_transit, credits_in_transit] = amounts.map(|text| units(text.parse().unwrap()));
        Books { debits, credits, debits_in_transit, credits_in_transit }
    };
    let eur = book(["46.88", "0", "0", "46.88"]);
    let emitted = [(Currency::EUR, eur), (Currency::GBP, book(["0", "0", "39.75", "39.75"]))];
    assert_eq!(ledger.books(), emitted.into());
    assert_eq!(ledger.paid(), [RequestId("r1".to_owned())]);
    ledger.deliver_all();
    let eur = book(["46.88", "46.88", "0", "0"]);
    let posted = [(Currency::EUR, eur), (Currency::GBP, book(["39.75", "39.75", "0", "0"]))];
    assert_eq!(ledger.books(), posted.into());
}

#[test]
fn every_leg_has_the_key_of_its_account_and_the_outcome_that_of_the_payer() {
    let mut ledger = Ledger::new(1, &[bought("r1", "1", "39.75 GBP", "46.88 EUR"), rejected("r2", "2")], &[2]);
    ledger.deliver_all();
    let emitted =
        |stream| ledger.posts[0].emitted(stream).unwrap().into_iter().map(|event| event.key.0).collect::<Vec<_>>();
    assert_eq!(emitted(&CREDITS), ["merchant", "fx"]);
    assert_eq!(emitted(&OUTCOMES), ["customer:1"]);
}

#[test]
fn the_largest_amounts_add_up() {
    let largest = "1000000000000.0000 CLF";
    let purchases: Vec<_> = (0..50).map(|number| bought(&format!("r{number}"), "1", largest, largest)).collect();
    check(&purchases, &["customer:1 -50000000000000.0000 CLF", "merchant 50000000000000.0000 CLF"]);
}

/// Expects the decisions and balances of one partition, which keeps the order of the facts, for any size of frames.
/// More partitions give the same, as long as no payment depends on money from another partition.
fn decided(facts: &[Event<PostInput>], decisions: &[&str], balances: &[&str]) {
    for size in [1, 2, usize::MAX] {
        let mut ledger = Ledger::new(1, facts, &[size]);
        ledger.deliver_all();
        ledger.quiet();
        assert_eq!(ledger.decisions(), decisions, "frames of {size}");
        assert_eq!(ledger.balances(), balances, "frames of {size}");
    }
}

#[test]
fn totals_that_outgrow_their_limit_stop_the_partition() {
    let here = Partition(0);
    let (post, event) = (Post::new(here), bought("r1", "1", "5.01 GBP", "5.01 GBP"));
    let (mut rows, mut keys) = (WorkingSet::default(), ReadSet::default());
    post.read_set(&event, &rows, &mut keys).unwrap();
    let almost = "99999999999999999995.00".parse().unwrap();
    let totals = TotalsRow { debits: almost, ..TotalsRow::zero(here, Currency::GBP) };
    for (table, keys) in rows.missing(keys).iter() {
        let found = if table.name == TotalsRow::TABLE.name { vec![totals.to_cells()] } else { Vec::new() };
        rows.fill(table, keys, found);
    }
    let mut out = Outputs::new(PartitionCount::new(1).unwrap(), Producer::new(Post::NAME, here), BatchNumber(1));
    out.caused_by(&event.cause);
    let stop = post.apply(&event, &mut rows, &mut out).unwrap_err();
    assert_eq!(stop.to_string(), "the totals of GBP have outgrown their limit: 100000000000000000000.01");
}

#[test]
fn the_first_claim_of_a_handle_wins() {
    let claims = [claimed("c1", "alice", NONE), claimed("c2", "alice", REFUSE), claimed("c3", "merchant", NONE)];
    decided(&claims, &["claim c1", "claim c2 handle_taken", "claim c3 handle_taken"], &[]);
}

#[test]
fn a_customer_account_can_be_claimed_only_before_its_first_use() {
    let used = [transfer("t1", "merchant", "customer:1", "1.00 EUR")];
    let mut ledger = Ledger::new(1, &used, &[1]);
    ledger.deliver_all();
    let claims = [claimed("c1", "customer:1", NONE), claimed("c2", "customer:2", REFUSE)];
    let target = LEDGER_COMMANDS.target(Partition(0));
    let producer = Producer::new("record-commands", Partition(0));
    let (seq, previous) = (Seq(2), ledger.emitted[0].hash);
    let body = write_events(&claims, &producer).unwrap();
    ledger.emitted.push(Frame::seal(producer, target, seq, previous, claims.len(), body));
    ledger.deliver_all();
    assert_eq!(ledger.decisions(), ["claim c1 handle_taken", "claim c2", "transfer t1"]);
}

#[test]
fn a_transfer_debits_the_payer_and_credits_the_payee_wherever_they_are() {
    let facts = [transfer("t1", "merchant", "customer:1", "7.00 EUR"), transfer("t2", "fx", "customer:2", "500 JPY")];
    check(&facts, &["customer:1 7.00 EUR", "customer:2 500 JPY", "fx -500 JPY", "merchant -7.00 EUR"]);
}

#[test]
fn a_refused_debit_credits_nobody() {
    let facts = [
        claimed("c1", "alice", REFUSE),
        claimed("c2", "bob", NONE),
        transfer("t1", "alice", "customer:1", "100.00 EUR"),
        transfer("t2", "alice", "customer:1", "0.01 EUR"),
        transfer("t3", "alice", "customer:1", "1.00 GBP"),
        transfer("t4", "bob", "customer:1", "0.01 EUR"),
    ];
    let decisions = [
        "claim c1",
        "claim c2",
        "transfer t1",
        "transfer t2 overdrawn",
        "transfer t3 overdrawn",
        "transfer t4 overdrawn",
    ];
    decided(&facts, &decisions, &["alice -100.00 EUR", "customer:1 100.00 EUR"]);
}

#[test]
fn a_refused_purchase_moves_nothing_and_has_a_reason() {
    let facts = [claimed("c1", "customer:1", REFUSE), bought("r1", "1", "80.00 GBP", "100.01 EUR")];
    let mut ledger = Ledger::new(1, &facts, &[1]);
    // The claim is read first.
    ledger.deliver(Partition(0), 2, 1, 0);
    ledger.deliver_all();
    ledger.quiet();
    assert!(ledger.balances().is_empty() && ledger.paid().is_empty());
    let emitted = ledger.posts[0].emitted(&OUTCOMES).unwrap();
    let refused = emitted.iter().find_map(|event| match &event.fact {
        Fact::PaymentRefused(refused) => Some((refused.purchase.0.as_str(), refused.reason.code, event.key.0.as_str())),
        _ => None,
    });
    assert_eq!(refused, Some(("r1", ReasonCode::PaymentRefused, "customer:1")));
}

#[test]
fn a_fee_is_charged_once_for_each_crossing_and_never_for_a_fee() {
    let facts = [
        claimed("c1", "alice", FEE),
        transfer("t1", "alice", "customer:1", "100.00 EUR"),
        transfer("t2", "alice", "customer:1", "0.01 EUR"),
        transfer("t3", "alice", "customer:1", "50.00 EUR"),
    ];
    let decisions = ["claim c1", "transfer t1", "transfer t2", "transfer t3"];
    decided(&facts, &decisions, &["alice -155.01 EUR", "customer:1 150.01 EUR", "fees 5.00 EUR"]);
    let mut ledger = Ledger::new(1, &facts, &[usize::MAX]);
    ledger.deliver_all();
    let fees: Vec<_> = ledger.rows::<EntryRow>().into_iter().filter(|e| e.purpose == Purpose::OverdraftFee).collect();
    let shown: Vec<_> =
        fees.iter().map(|e| format!("{} {} {} {}", e.account, e.request_id, e.side, e.amount)).collect();
    assert_eq!(shown, ["alice t2 debit 5.00", "fees t2 credit 5.00"]);
}

#[test]
fn a_daily_limit_counts_the_payments_of_each_utc_day() {
    let on = |day: &str, transfer| arrived(transfer, day);
    let facts = [
        claimed_with_daily_limit("c1", "alice", REFUSE, "50.00 EUR"),
        on("2010-12-01T23:59:59Z", transfer("t1", "alice", "customer:1", "50.00 EUR")),
        on("2010-12-01T23:59:59Z", transfer("t2", "alice", "customer:1", "0.01 EUR")),
        on("2010-12-02T00:00:00Z", transfer("t3", "alice", "customer:1", "30.00 EUR")),
        // It arrived a day earlier and is read a moment later.
        on("2010-12-01T23:59:59Z", transfer("t4", "alice", "customer:1", "1.00 EUR")),
        // Money that comes in does not restore the limit.
        on("2010-12-02T09:00:00Z", transfer("t5", "merchant", "alice", "500.00 EUR")),
        on("2010-12-02T10:00:00Z", transfer("t6", "alice", "customer:1", "20.01 EUR")),
        on("2010-12-02T10:00:00Z", transfer("t7", "alice", "customer:1", "20.00 EUR")),
        // Another currency is not counted.
        on("2010-12-02T10:00:00Z", transfer("t8", "alice", "customer:1", "1.00 GBP")),
    ];
    let mut ledger = Ledger::new(1, &facts, &[1]);
    ledger.deliver_all();
    let refused: Vec<_> = ledger.decisions().into_iter().filter(|decision| decision.split(' ').count() > 2).collect();
    assert_eq!(
        refused,
        ["transfer t2 daily_limit", "transfer t4 daily_limit", "transfer t6 daily_limit", "transfer t8 overdrawn"]
    );
    ledger.quiet();
}

#[test]
fn a_daily_limit_refuses_under_both_policies_and_ignores_fees_and_refunds() {
    let facts = [
        claimed_with_daily_limit("c1", "customer:1", FEE, "150.00 EUR"),
        bought("r1", "1", "120.00 EUR", "120.00 EUR"),
        refunded("r1", "1", "120.00 EUR", "120.00 EUR", None),
        bought("r2", "1", "30.01 EUR", "30.01 EUR"),
        bought("r3", "1", "30.00 EUR", "30.00 EUR"),
    ];
    for size in [1, usize::MAX] {
        let mut ledger = Ledger::new(1, &facts, &[size]);
        // The claim is read first.
        ledger.deliver(Partition(0), 2, 1, 0);
        ledger.deliver_all();
        ledger.quiet();
        let paid: Vec<_> = ledger.paid().into_iter().map(|purchase| purchase.0).collect();
        assert_eq!(paid, ["r1", "r3"], "frames of {size}");
        assert_eq!(ledger.balances(), ["customer:1 -35.00 EUR", "fees 5.00 EUR", "merchant 30.00 EUR"]);
    }
}

#[test]
fn a_transfer_to_the_account_of_fees_pays_its_fee_separately() {
    let facts = [claimed("c1", "alice", FEE), transfer("t1", "alice", "fees", "101.00 EUR")];
    decided(&facts, &["claim c1", "transfer t1"], &["alice -106.00 EUR", "fees 106.00 EUR"]);
}
