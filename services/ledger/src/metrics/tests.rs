//! Each request is counted once, no matter which stage decides it, and the metrics show the newest totals.

use contracts::ReasonCode;
use money::Amount;
use stage::{BatchNumber, Partition, Row, Write};

use super::*;
use crate::post::TotalsRow;

fn inserted(row: &impl Row) -> Change {
    fn table<R: Row>(_: &R) -> &'static stage::Table {
        R::TABLE
    }
    Change { table: table(row), write: Write::Insert, cells: row.to_cells() }
}

fn transfer(id: &str, reason_code: Option<ReasonCode>) -> Change {
    inserted(&TransferRow {
        request_id: stage::RequestId(id.to_owned()),
        content_hash: String::new(),
        payer: "alice".parse().unwrap(),
        payee: "bob".parse().unwrap(),
        amount: amount("1.00"),
        currency: "EUR".parse().unwrap(),
        reason_code,
        reason_detail: None,
        batch: BatchNumber(2),
    })
}

fn decision(kind: LedgerCommand, id: &str, reason_code: Option<ReasonCode>) -> Change {
    let (request_id, partition, batch) = (stage::RequestId(id.to_owned()), Partition(0), BatchNumber(2));
    inserted(&DecisionRow { kind, request_id, reason_code, reason_detail: None, partition, batch })
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn totals(partition: u16, debits: &str, credits: &str, requested_credits: &str, completed_credits: &str) -> Change {
    let (debits, credits) = (amount(debits), amount(credits));
    let (requested_credits, completed_credits) = (amount(requested_credits), amount(completed_credits));
    let row = TotalsRow { debits, credits, requested_credits, completed_credits, ..totals_of(partition) };
    inserted(&row)
}

fn totals_of(partition: u16) -> TotalsRow {
    TotalsRow::zero(Partition(partition), "EUR".parse().unwrap())
}

/// All series of a metric, as `a=1,b=2 3`.
fn shown(registry: &Registry, name: &str) -> Vec<String> {
    let family = registry.gather().into_iter().find(|family| family.name() == name);
    let series = |metric: &prometheus::proto::Metric| {
        let labels = metric.get_label().iter().map(|label| format!("{}={}", label.name(), label.value()));
        let labels: Vec<_> = labels.collect();
        let value = metric.get_counter().get_value() + metric.get_gauge().get_value();
        format!("{} {value}", labels.join(","))
    };
    family.map(|family| family.get_metric().iter().map(series).collect()).unwrap_or_default()
}

#[test]
fn each_command_and_each_decision_is_counted_once() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    metrics.recorded(&[transfer("t1", None), transfer("t2", Some(ReasonCode::UnknownAccount)), transfer("t3", None)]);
    metrics.posted(&[
        decision(LedgerCommand::Transfer, "t1", None),
        decision(LedgerCommand::Transfer, "t3", Some(ReasonCode::Overdrawn)),
        decision(LedgerCommand::Claim, "c1", None),
        decision(LedgerCommand::Claim, "c2", Some(ReasonCode::HandleTaken)),
    ]);
    assert_eq!(shown(&registry, "ledger_commands_recorded_total"), ["kind=transfer 3"]);
    assert_eq!(
        shown(&registry, "ledger_decisions_total"),
        [
            "kind=claim,reason=,status=opened 1",
            "kind=claim,reason=handle_taken,status=rejected 1",
            "kind=transfer,reason=,status=posted 1",
            "kind=transfer,reason=overdrawn,status=rejected 1",
            "kind=transfer,reason=unknown_account,status=rejected 1",
        ]
    );
}

#[test]
fn the_metrics_add_up_the_newest_totals_of_all_partitions() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let check = |change: Change, difference: &str, posted: [&str; 2], in_transit: &str| {
        metrics.posted(&[change]);
        assert_eq!(shown(&registry, "ledger_trial_balance_difference"), [format!("currency=EUR {difference}")]);
        let [credits, debits] = posted;
        let expected = [format!("currency=EUR,side=credit {credits}"), format!("currency=EUR,side=debit {debits}")];
        assert_eq!(shown(&registry, "ledger_posted_amount"), expected);
        let expected = [format!("currency=EUR,side=credit {in_transit}"), "currency=EUR,side=debit 0".to_owned()];
        assert_eq!(shown(&registry, "ledger_in_transit_amount"), expected);
    };
    check(totals(0, "0.30", "0", "0.30", "0"), "0", ["0", "0.3"], "0.3");
    check(totals(1, "0", "0.10", "0", "0.10"), "0", ["0.1", "0.3"], "0.2");
    check(totals(1, "0", "0.30", "0", "0.30"), "0", ["0.3", "0.3"], "0");
    check(totals(1, "0", "0.31", "0", "0.30"), "-0.01", ["0.31", "0.3"], "0");
}
