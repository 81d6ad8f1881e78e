//! Decoding of rows. A value that cannot be decoded is damage.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use stage::{Cell, CellKind, Table};

use crate::StoreError;
use crate::store::decode::Stored;

impl Stored for PgRow {
    fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn lossy_text(&self, column: &str) -> Result<String, StoreError> {
        self.text(column)
    }

    fn integer(&self, column: &str) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn cells(&self, table: &Table) -> Result<Vec<Cell>, StoreError> {
        let cell = |(at, kind): (usize, CellKind)| {
            let cell = match kind {
                CellKind::Integer => self.try_get::<Option<i64>, _>(at)?.map(Cell::Integer),
                CellKind::Text | CellKind::Decimal => self.try_get::<Option<String>, _>(at)?.map(Cell::Text),
            };
            Ok(cell.unwrap_or(Cell::Null))
        };
        table.columns.iter().map(|column| column.kind).enumerate().map(cell).collect()
    }
}
