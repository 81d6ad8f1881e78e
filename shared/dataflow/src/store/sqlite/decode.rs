//! Decoding of rows. A value that cannot be decoded is damage.

use std::path::Path;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};
use stage::{Cell, Table};

use crate::StoreError;
use crate::store::decode::Stored;

impl Stored for SqliteRow {
    fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn lossy_text(&self, column: &str) -> Result<String, StoreError> {
        let bytes: Vec<u8> = self.try_get_unchecked(column)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn integer(&self, column: &str) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn cells(&self, table: &Table) -> Result<Vec<Cell>, StoreError> {
        let cell = |column: usize| {
            let value = self.try_get_raw(column)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            let name = table.columns[column].name;
            match value.type_info().name() {
                "INTEGER" => Ok(Cell::Integer(self.try_get(column)?)),
                "TEXT" => Ok(Cell::Text(self.try_get(column)?)),
                other => Err(StoreError::Damaged(format!("{}.{name} holds a {other}", table.name))),
            }
        };
        (0..table.columns.len()).map(cell).collect()
    }
}

/// Adds the path of the file to an error.
pub(super) fn at(path: &Path) -> impl Fn(sqlx::Error) -> StoreError {
    let path = path.display().to_string();
    move |error| StoreError::from(error).at(&path)
}
