//! All rows of a table, or of two tables side by side, in the order of their keys.

use std::collections::VecDeque;

use stage::{Cell, Row};

use crate::{Store, StoreError};

/// Rows per read.
const PAGE: usize = 1_000;

/// Passes every row of a table to `see`, in the order of its key. Returns the number of rows.
///
/// # Errors
/// [`StoreError`].
pub async fn each_row<R: Row>(store: &Store, mut see: impl FnMut(R)) -> Result<u64, StoreError> {
    let mut walk = TableWalk::of(store);
    while let Some(row) = walk.next().await? {
        see(row);
    }
    Ok(walk.rows)
}

/// A row of one of two tables.
#[derive(Debug)]
pub enum RequestOrDecision<R, D> {
    /// A request.
    Request(R),
    /// The decision about a request.
    Decision(D),
}

/// Passes the rows of both tables to `see`, in the order of the last column of their keys, which is the id of the
/// request in both; a request before its decision. So `see` needs to remember only undecided requests. Returns the
/// number of requests.
///
/// # Errors
/// [`StoreError`].
pub async fn each_request_and_decision<R: Row, D: Row>(
    mut requests: TableWalk<'_, R>,
    mut decisions: TableWalk<'_, D>,
    mut see: impl FnMut(RequestOrDecision<R, D>),
) -> Result<u64, StoreError> {
    use RequestOrDecision::{Decision, Request};
    loop {
        let next = match (requests.peek().await?, decisions.peek().await?) {
            (None, None) => return Ok(requests.rows),
            (Some(request), Some(decision)) if decision < request => decisions.next().await?.map(Decision),
            (Some(_), _) => requests.next().await?.map(Request),
            (None, Some(_)) => decisions.next().await?.map(Decision),
        };
        next.into_iter().for_each(&mut see);
    }
}

/// Reads a table page by page, in the order of its key.
#[derive(Debug)]
pub struct TableWalk<'a, R> {
    store: &'a Store,
    prefix: Vec<Cell>,
    /// The rows, each with the last cell of its key.
    page: VecDeque<(Cell, R)>,
    after: Option<Vec<Cell>>,
    is_over: bool,
    rows: u64,
}

impl<'a, R: Row> TableWalk<'a, R> {
    /// All rows.
    pub fn of(store: &'a Store) -> Self {
        Self::within(store, Vec::new())
    }

    /// The rows whose key begins with these cells.
    pub fn within(store: &'a Store, prefix: Vec<Cell>) -> Self {
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
