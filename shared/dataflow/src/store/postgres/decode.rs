//! Rows of stages' tables, read back. What does not fit is damage.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use stage::{Cell, Kind, Table};

use crate::StoreError;

pub(super) fn cells(table: &Table, row: &PgRow) -> Result<Vec<Cell>, StoreError> {
    let cell = |(at, kind): (usize, Kind)| {
        let cell = match kind {
            Kind::Integer => row.try_get::<Option<i64>, _>(at)?.map(Cell::Integer),
            Kind::Text | Kind::Decimal => row.try_get::<Option<String>, _>(at)?.map(Cell::Text),
        };
        Ok(cell.unwrap_or(Cell::Null))
    };
    table.columns.iter().map(|column| column.kind).enumerate().map(cell).collect()
}
