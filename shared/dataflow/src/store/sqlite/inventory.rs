//! The actual content of the file.

use std::path::Path;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use stage::Table;

use super::{Sqlite, sql};
use crate::StoreError;
use crate::store::Inventory;
use crate::store::decode::number;

/// The tables of `SCHEMA`.
const OWN_TABLES: [&str; 4] = ["batches", "journal", "meta", "owners"];

/// Checks that each table has the expected columns: another version may have created the file.
pub(super) async fn check_tables(
    connection: &mut SqliteConnection,
    path: &Path,
    tables: &[&'static Table],
) -> Result<(), StoreError> {
    for table in tables {
        let columns = sqlx::query("SELECT name FROM pragma_table_info(?) ORDER BY cid").bind(table.name);
        let columns = columns.fetch_all(&mut *connection).await?;
        let found = columns.iter().map(|column| text(column, 0)).collect::<Result<Vec<_>, _>>()?.join(", ");
        let expected = table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
        if found != expected {
            let (path, name) = (path.display(), table.name);
            let what = format!("{path}: the table {name} has the columns ({found}), not ({expected})");
            return Err(StoreError::Damaged(format!("{what}: it was created by another version")));
        }
    }
    Ok(())
}

impl Sqlite {
    pub(super) async fn count_rows(&self, table: &'static Table) -> Result<u64, StoreError> {
        number(&sqlx::query(&sql::count(table)).fetch_one(&self.readers).await?, "rows")
    }

    pub(super) async fn take_inventory(&self) -> Result<Inventory, StoreError> {
        let mut inventory = Inventory::default();
        for problem in sqlx::query("PRAGMA integrity_check").fetch_all(&self.readers).await? {
            let text: String = problem.try_get(0)?;
            if text != "ok" {
                inventory.problems.push(text);
            }
        }
        let tables = "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite@_%' ESCAPE '@' ORDER BY name";
        for row in sqlx::query(tables).fetch_all(&self.readers).await? {
            let name: String = row.try_get(0)?;
            if !OWN_TABLES.contains(&name.as_str()) {
                inventory.tables.push(name);
            }
        }
        let records = "SELECT owner, count(*) AS rows FROM batches GROUP BY owner";
        for row in sqlx::query(records).fetch_all(&self.readers).await? {
            inventory.records.push((text(&row, 0)?, number(&row, "rows")?));
        }
        let frames = "SELECT producer, target, count(*) AS rows FROM journal GROUP BY producer, target";
        for row in sqlx::query(frames).fetch_all(&self.readers).await? {
            inventory.frames.push((text(&row, 0)?, text(&row, 1)?, number(&row, "rows")?));
        }
        Ok(inventory)
    }
}

/// The text of a column, even if it is not UTF-8; such a name matches nothing.
fn text(row: &SqliteRow, column: usize) -> Result<String, StoreError> {
    let bytes: Vec<u8> = row.try_get_unchecked(column)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
