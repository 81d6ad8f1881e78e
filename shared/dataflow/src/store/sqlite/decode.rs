//! Decoding of rows of stages' tables. A value that cannot be decoded is damage.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};
use stage::{Cell, Table};

use crate::StoreError;

pub(super) fn cells(table: &Table, row: &SqliteRow) -> Result<Vec<Cell>, StoreError> {
    let cell = |column: usize| {
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        match value.type_info().name() {
            "INTEGER" => Ok(Cell::Integer(row.try_get(column)?)),
            "TEXT" => Ok(Cell::Text(row.try_get(column)?)),
            other => Err(StoreError::Damaged(format!("{}.{} holds a {other}", table.name, table.columns[column].name))),
        }
    };
    (0..table.columns.len()).map(cell).collect()
}

/// Adds the path of the file to an error.
pub(super) fn at(path: &Path) -> impl Fn(sqlx::Error) -> StoreError {
    let path: PathBuf = path.to_owned();
    move |error| match StoreError::from(error) {
        StoreError::Damaged(what) => StoreError::Damaged(format!("{}: {what}", path.display())),
        StoreError::Unavailable(source) => StoreError::Unavailable(format!("{}: {source}", path.display()).into()),
    }
}
