//! The check of the service's invariants over its tables.

use dataflow::Store;
use dataflow::audit::{
    Invariants, InvariantsFuture, RequestOrDecision, TableWalk, each_request_and_decision, each_row,
};
use stage::Quiescence;

use crate::accept::{PurchaseRow, ReturnRow};
use crate::allocate::{AllocationRow, StockRow};
use crate::invariants::{Outcomes, Returns, Stocks};
use crate::settle::{OutcomeRow, ReturnOutcomeRow, SettlementRow};

/// Checks [`Outcomes`], [`Stocks`] and [`Returns`].
pub(crate) fn check(store: &Store, quiescence: Quiescence) -> InvariantsFuture<'_> {
    Box::pin(async move {
        let mut outcomes = Outcomes::default();
        let (walk, decided) = (TableWalk::<PurchaseRow>::of(store), TableWalk::<OutcomeRow>::of(store));
        let purchases = each_request_and_decision(walk, decided, |next| match next {
            RequestOrDecision::Request(row) => outcomes.purchase(&row),
            RequestOrDecision::Decision(row) => outcomes.outcome(&row),
        })
        .await?;
        let mut stocks = Stocks::default();
        each_row(store, |row: StockRow| stocks.stock(&row)).await?;
        let allocations = each_row(store, |row: AllocationRow| stocks.allocation(&row)).await?;
        each_row(store, |row: SettlementRow| stocks.settlement(&row)).await?;
        let mut returns = Returns::default();
        let (walk, posted) = (TableWalk::<ReturnRow>::of(store), TableWalk::<ReturnOutcomeRow>::of(store));
        let returned = each_request_and_decision(walk, posted, |next| match next {
            RequestOrDecision::Request(row) => returns.returned(&row),
            RequestOrDecision::Decision(row) => returns.posted(&row),
        })
        .await?;
        let counts = vec![
            ("allocations", allocations),
            ("purchases", purchases),
            ("in_flight", outcomes.in_flight() as u64),
            ("returns", returned),
        ];
        let violations = [outcomes.close(quiescence), stocks.close(quiescence), returns.close(quiescence)].concat();
        Ok(Invariants { counts, violations })
    })
}
