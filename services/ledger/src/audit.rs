//! The check of the ledger's invariants over its tables.

use contracts::LedgerCommand;
use dataflow::audit::{
    Invariants, InvariantsFuture, RequestOrDecision, TableWalk, each_request_and_decision, each_row,
};
use dataflow::{Store, StoreError};
use stage::{Cell, Quiescence};

use crate::invariants::{Books, Decisions};
use crate::post::{AccountRow, BalanceRow, DailyPaymentsRow, DecisionRow, EntryRow, TotalsRow};
use crate::record_commands::{ClaimRow, TransferRow};

/// Checks [`Books`] and [`Decisions`].
pub(crate) fn check(store: &Store, quiescence: Quiescence) -> InvariantsFuture<'_> {
    Box::pin(async move {
        let (entries, books) = books(store).await?;
        let (claims, transfers, decisions) = decisions(store).await?;
        Ok(Invariants {
            counts: vec![("entries", entries), ("claims", claims), ("transfers", transfers)],
            violations: [books.close(quiescence), decisions.close(quiescence)].concat(),
        })
    })
}

async fn books(store: &Store) -> Result<(u64, Books), StoreError> {
    let mut books = Books::default();
    each_row(store, |row: AccountRow| books.account(&row)).await?;
    let entries = each_row(store, |row: EntryRow| books.entry(&row)).await?;
    each_row(store, |row: BalanceRow| books.balance(&row)).await?;
    each_row(store, |row: DailyPaymentsRow| books.daily_payments(&row)).await?;
    each_row(store, |row: TotalsRow| books.totals(&row)).await?;
    Ok((entries, books))
}

async fn decisions(store: &Store) -> Result<(u64, u64, Decisions), StoreError> {
    let mut decisions = Decisions::default();
    let decided = |kind: LedgerCommand| TableWalk::<DecisionRow>::within(store, vec![Cell::Text(kind.to_string())]);
    let (walk, decided_claims) = (TableWalk::<ClaimRow>::of(store), decided(LedgerCommand::Claim));
    let claims = each_request_and_decision(walk, decided_claims, |next| match next {
        RequestOrDecision::Request(row) => decisions.claim(&row),
        RequestOrDecision::Decision(row) => decisions.decision(&row),
    })
    .await?;
    let (walk, decided_transfers) = (TableWalk::<TransferRow>::of(store), decided(LedgerCommand::Transfer));
    let transfers = each_request_and_decision(walk, decided_transfers, |next| match next {
        RequestOrDecision::Request(row) => decisions.transfer(&row),
        RequestOrDecision::Decision(row) => decisions.decision(&row),
    })
    .await?;
    Ok((claims, transfers, decisions))
}
