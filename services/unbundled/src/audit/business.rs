//! What must hold of the whole, over all rows of a service whose rows are what they should be.

use std::collections::VecDeque;

use contracts::LedgerCommand;
use dataflow::audit::{Finding, Report};
use dataflow::{Store, StoreError};
use ledger::invariants::{Books, Decisions};
use ledger::post::{AccountRow, BalanceRow, DecisionRow, EntryRow, TotalsRow};
use ledger::record_commands::{ClaimRow, TransferRow};
use purchase::accept::PurchaseRow;
use purchase::invariants::Outcomes;
use purchase::settle::OutcomeRow;
use stage::{Cell, Quiescence, Row, Violation};

/// Rows read at a time.
const PAGE: usize = 256;

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
        let quiescence = if is_done { Quiescence::Reached } else { Quiescence::Pending };
        let violations = match service {
            ledger::SERVICE => self.books(store, quiescence).await,
            purchase::SERVICE => self.outcomes(store, quiescence).await,
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

    async fn books(&mut self, store: &Store, quiescence: Quiescence) -> Result<Vec<Violation>, StoreError> {
        let (mut books, mut decisions) = (Books::default(), Decisions::default());
        each(store, |row: AccountRow| books.account(&row)).await?;
        self.entries += each(store, |row: EntryRow| books.entry(&row)).await?;
        each(store, |row: BalanceRow| books.balance(&row)).await?;
        each(store, |row: TotalsRow| books.totals(&row)).await?;
        let decided = |kind: LedgerCommand| Walk::<DecisionRow>::within(store, vec![Cell::Text(kind.to_string())]);
        self.claims += in_order(Walk::<ClaimRow>::of(store), decided(LedgerCommand::Claim), |next| match next {
            Next::Request(row) => decisions.claim(&row),
            Next::Decision(row) => decisions.decision(&row),
        })
        .await?;
        self.transfers +=
            in_order(Walk::<TransferRow>::of(store), decided(LedgerCommand::Transfer), |next| match next {
                Next::Request(row) => decisions.transfer(&row),
                Next::Decision(row) => decisions.decision(&row),
            })
            .await?;
        Ok([books.close(quiescence), decisions.close(quiescence)].concat())
    }

    async fn outcomes(&mut self, store: &Store, quiescence: Quiescence) -> Result<Vec<Violation>, StoreError> {
        let mut outcomes = Outcomes::default();
        let (purchases, decided) = (Walk::<PurchaseRow>::of(store), Walk::<OutcomeRow>::of(store));
        self.purchases += in_order(purchases, decided, |next| match next {
            Next::Request(row) => outcomes.purchase(&row),
            Next::Decision(row) => outcomes.outcome(&row),
        })
        .await?;
        self.in_flight += outcomes.in_flight() as u64;
        Ok(outcomes.close(quiescence))
    }
}

/// Every row of a table, in the order of its key. How many there are.
async fn each<R: Row>(store: &Store, mut see: impl FnMut(R)) -> Result<u64, StoreError> {
    let mut walk = Walk::of(store);
    while let Some(row) = walk.next().await? {
        see(row);
    }
    Ok(walk.rows)
}

/// A row of one of two tables.
enum Next<R, D> {
    Request(R),
    Decision(D),
}

/// All rows of both in the order of the request's id, which both keys end with: a request before its decision. So whoever
/// brings the two together remembers only what is in flight. How many requests there are.
async fn in_order<R: Row, D: Row>(
    mut requests: Walk<'_, R>,
    mut decisions: Walk<'_, D>,
    mut see: impl FnMut(Next<R, D>),
) -> Result<u64, StoreError> {
    loop {
        let next = match (requests.peek().await?, decisions.peek().await?) {
            (None, None) => return Ok(requests.rows),
            (Some(request), Some(decision)) if decision < request => decisions.next().await?.map(Next::Decision),
            (Some(_), _) => requests.next().await?.map(Next::Request),
            (None, Some(_)) => decisions.next().await?.map(Next::Decision),
        };
        next.into_iter().for_each(&mut see);
    }
}

/// A table page by page, in the order of its key.
struct Walk<'a, R> {
    store: &'a Store,
    prefix: Vec<Cell>,
    /// With the last part of their keys.
    page: VecDeque<(Cell, R)>,
    after: Option<Vec<Cell>>,
    is_over: bool,
    rows: u64,
}

impl<'a, R: Row> Walk<'a, R> {
    fn of(store: &'a Store) -> Self {
        Self::within(store, Vec::new())
    }

    /// The rows whose key begins so.
    fn within(store: &'a Store, prefix: Vec<Cell>) -> Self {
        Self { store, prefix, page: VecDeque::new(), after: None, is_over: false, rows: 0 }
    }

    async fn peek(&mut self) -> Result<Option<&Cell>, StoreError> {
        if self.page.is_empty() && !self.is_over {
            let rows = self.store.scan(R::TABLE, &self.prefix, self.after.as_deref(), PAGE).await?;
            self.is_over = rows.is_empty();
            for mut cells in rows {
                let row = R::from_cells(&cells)?;
                cells.truncate(R::TABLE.key_columns);
                let last = cells.last().cloned().unwrap_or(Cell::Null);
                self.after = Some(cells.split_off(self.prefix.len()));
                self.page.push_back((last, row));
            }
        }
        Ok(self.page.front().map(|(key, _)| key))
    }

    async fn next(&mut self) -> Result<Option<R>, StoreError> {
        self.peek().await?;
        let next = self.page.pop_front();
        self.rows += u64::from(next.is_some());
        Ok(next.map(|(_, row)| row))
    }
}
