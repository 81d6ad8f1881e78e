//! The actual content of the file.

use std::path::Path;

use sqlx::SqliteConnection;
use stage::Table;

use super::Sqlite;
use crate::StoreError;
use crate::store::decode::Stored as _;
use crate::store::sql_database::SqlDatabase as _;

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
        let found = columns.iter().map(|column| column.lossy_text("name")).collect::<Result<Vec<_>, _>>()?.join(", ");
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
    /// The problems that the database reports, and the tables apart from those of `SCHEMA`.
    pub(super) async fn report(&self) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let problems = self.names("PRAGMA integrity_check", "integrity_check").await?;
        let tables = "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite@_%' ESCAPE '@' ORDER BY name";
        let tables = self.names(tables, "name").await?;
        let is_own = |name: &String| OWN_TABLES.contains(&name.as_str());
        Ok((
            problems.into_iter().filter(|problem| problem != "ok").collect(),
            tables.into_iter().filter(|name| !is_own(name)).collect(),
        ))
    }

    async fn names(&self, statement: &str, column: &str) -> Result<Vec<String>, StoreError> {
        self.fetch(statement, &[]).await?.iter().map(|row| row.lossy_text(column)).collect()
    }
}
