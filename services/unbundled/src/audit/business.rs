//! What must hold of the whole, over all rows of a service whose rows are what they should be.

use dataflow::audit::{Finding, Report};
use dataflow::{Store, StoreError};
use ledger::instruct::{ClaimRow, TransferRow};
use ledger::invariants::{Books, Decisions};
use ledger::post::{AccountRow, BalanceRow, DecisionRow, EntryRow, TotalsRow};
use purchase::accept::PurchaseRow;
use purchase::invariants::Outcomes;
use purchase::settle::OutcomeRow;
use stage::{Reading, Row, Violation};

/// Rows read at a time.
const PAGE: usize = 1_000;

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Entries that were added up.
    pub entries: u64,
    /// Claims of accounts that were looked at.
    pub claims: u64,
    /// Transfers that were looked at.
    pub transfers: u64,
    /// Purchases that were looked at.
    pub purchases: u64,
    /// Those that are confirmed and have no outcome yet.
    pub in_flight: u64,
}

impl Counted {
    /// Checks one service. Rows that are not what they should be would only be found once more, so a service
    /// with findings is left out.
    pub(super) async fn service(&mut self, store: &Store, report: &mut Report) -> Result<(), StoreError> {
        let service = store.meta().service;
        if report.findings.iter().any(|finding| finding.service == service) {
            return Ok(());
        }
        let is_done = report.is_quiet() && report.findings.is_empty();
        let reading = if is_done { Reading::Done } else { Reading::UnderWay };
        let violations = match service {
            ledger::SERVICE => self.books(store, reading).await,
            purchase::SERVICE => self.outcomes(store, reading).await,
            _ => return Ok(()),
        };
        let violations = match violations {
            Err(StoreError::Damaged(what)) => vec![Violation { place: "rows".to_owned(), what }],
            violations => violations?,
        };
        for Violation { place, what } in violations {
            report.find(Finding { service, place, what });
        }
        Ok(())
    }

    async fn books(&mut self, store: &Store, reading: Reading) -> Result<Vec<Violation>, StoreError> {
        let (mut books, mut decisions) = (Books::default(), Decisions::default());
        each(store, |row: AccountRow| books.account(&row)).await?;
        self.entries += each(store, |row: EntryRow| books.entry(&row)).await?;
        each(store, |row: BalanceRow| books.balance(&row)).await?;
        each(store, |row: TotalsRow| books.totals(&row)).await?;
        self.claims += each(store, |row: ClaimRow| decisions.claim(&row)).await?;
        self.transfers += each(store, |row: TransferRow| decisions.transfer(&row)).await?;
        each(store, |row: DecisionRow| decisions.decision(&row)).await?;
        Ok([books.close(reading), decisions.close(reading)].concat())
    }

    async fn outcomes(&mut self, store: &Store, reading: Reading) -> Result<Vec<Violation>, StoreError> {
        let mut outcomes = Outcomes::default();
        self.purchases += each(store, |row: PurchaseRow| outcomes.purchase(&row)).await?;
        each(store, |row: OutcomeRow| outcomes.outcome(&row)).await?;
        self.in_flight += outcomes.in_flight() as u64;
        Ok(outcomes.close(reading))
    }
}

/// Every row of a table, in the order of its key. How many there are.
async fn each<R: Row>(store: &Store, mut see: impl FnMut(R)) -> Result<u64, StoreError> {
    let (mut rows, mut after) = (0, None::<Vec<stage::Cell>>);
    loop {
        let page = store.rows::<R>(&[], after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(rows) };
        after = Some(last.to_cells()[..R::TABLE.key_columns].to_vec());
        rows += page.len() as u64;
        page.into_iter().for_each(&mut see);
    }
}
