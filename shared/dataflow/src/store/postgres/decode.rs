//! Decoding of rows of stages' tables. A value that cannot be decoded is damage.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use stage::{Cell, CellKind, Table};

use crate::StoreError;

pub(super) fn cells(table: &Table, row: &PgRow) -> Result<Vec<Cell>, StoreError> {
    let cell = |(at, kind): (usize, CellKind)| {
        let cell = match kind {
            CellKind::Integer => row.try_get::<Option<i64>, _>(at)?.map(Cell::Integer),
            CellKind::Text | CellKind::Decimal => row.try_get::<Option<String>, _>(at)?.map(Cell::Text),
        };
        Ok(cell.unwrap_or(Cell::Null))
    };
    table.columns.iter().map(|column| column.kind).enumerate().map(cell).collect()
}
