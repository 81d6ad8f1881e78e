//! The SQL of `SQLite`. Rows and keys are one parameter, a JSON array of arrays, so a statement does not depend on their
//! number: each is prepared once.

use serde::Serialize;
use stage::{Cell, CellKind, Column, Table, Write};

use crate::store::runs::Run;
use crate::store::sql::{Dialect, insert, of_table, update};

/// The tables that every store has in addition to those of its stages.
pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS batches (
  owner TEXT NOT NULL, number INTEGER NOT NULL, epoch INTEGER NOT NULL, consumed TEXT NOT NULL, checkpoint TEXT NOT NULL,
  committed_at TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (owner, number)) STRICT;
CREATE TABLE IF NOT EXISTS owners (owner TEXT PRIMARY KEY, number INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS journal (
  producer TEXT NOT NULL, target TEXT NOT NULL, seq INTEGER NOT NULL, facts INTEGER NOT NULL, previous TEXT NOT NULL,
  hash TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (producer, target, seq)) STRICT;
";

impl Dialect for sqlx::Sqlite {
    const TABLE_OPTIONS: &'static str = " STRICT, WITHOUT ROWID";
    // Only this join is certain to look up the table by the keys, and not the other way round.
    const JOIN: &'static str = "CROSS JOIN";

    fn column_type(kind: CellKind) -> &'static str {
        match kind {
            CellKind::Integer => "INTEGER",
            CellKind::Text | CellKind::Decimal => "TEXT",
        }
    }

    fn parameter(_: usize, _: CellKind) -> String {
        "?".to_owned()
    }

    fn rows(columns: &[Column], _: usize) -> String {
        let value = |(at, column): (usize, &Column)| format!("value ->> {at} AS \"{}\"", column.name);
        let values: Vec<_> = columns.iter().enumerate().map(value).collect();
        format!("(SELECT {} FROM json_each(?)) AS w", values.join(", "))
    }

    fn read(column: &Column) -> String {
        of_table(column)
    }
}

/// Inserts rows; a row with the key of an earlier one replaces it.
pub fn replace(table: &Table) -> String {
    insert::<sqlx::Sqlite>(table, 1).replacen("INSERT", "INSERT OR REPLACE", 1)
}

/// Begins a transaction and writes a whole batch: its record (the fence comes first), the note of the newest record,
/// these runs of rows, and its frames. Frames are few and large, so each of their values is a parameter.
pub fn commit(runs: &[Run<'_>], frames: usize) -> String {
    let mut text = "BEGIN IMMEDIATE; INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?); \
         INSERT INTO owners VALUES (?, ?, ?) \
         ON CONFLICT (owner) DO UPDATE SET number = excluded.number, hash = excluded.hash"
        .to_owned();
    for run in runs {
        text += "; ";
        text += &match run.write {
            Write::Insert => insert::<sqlx::Sqlite>(run.table, 1),
            Write::Update => update::<sqlx::Sqlite>(run.table, 1),
        };
    }
    if frames > 0 {
        text += "; INSERT INTO journal VALUES ";
        text += &vec!["(?, ?, ?, ?, ?, ?, ?)"; frames].join(", ");
    }
    text
}

/// Rows or keys as a parameter.
pub fn json<'a>(rows: impl IntoIterator<Item = &'a [Cell]>) -> String {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Value<'a> {
        Null,
        Integer(i64),
        Text(&'a str),
    }
    let value = |cell: &'a Cell| match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => Value::Integer(*number),
        Cell::Text(text) => Value::Text(text),
    };
    let rows: Vec<Vec<_>> = rows.into_iter().map(|row| row.iter().map(value).collect()).collect();
    // Numbers and texts can always be written; the database refuses an empty parameter.
    serde_json::to_string(&rows).unwrap_or_default()
}

/// Deletes the row with a key.
pub fn delete(table: &Table) -> String {
    let key: Vec<_> = table.key().iter().map(|column| format!("\"{}\" = ?", column.name)).collect();
    format!("DELETE FROM \"{}\" WHERE {}", table.name, key.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::{create, load, scan};

    stage::row! {
        /// A test row.
        struct Pair: "pairs" { key { a: String => Text, b: u64 => Integer } value { c: Option<String> => Nullable<Text> } }
    }
    use sqlx::Sqlite;
    use stage::{Integer, Nullable, Row as _, Text};

    #[test]
    fn statements_follow_from_the_table() {
        assert_eq!(
            create::<Sqlite>(Pair::TABLE),
            "CREATE TABLE IF NOT EXISTS \"pairs\" (\"a\" TEXT NOT NULL, \"b\" INTEGER NOT NULL, \"c\" TEXT, \
             PRIMARY KEY (\"a\", \"b\")) STRICT, WITHOUT ROWID"
        );
        assert_eq!(
            load::<Sqlite>(Pair::TABLE),
            "SELECT t.\"a\", t.\"b\", t.\"c\" FROM (SELECT value ->> 0 AS \"a\", value ->> 1 AS \"b\" \
             FROM json_each(?)) AS w CROSS JOIN \"pairs\" t ON t.\"a\" = w.\"a\" AND t.\"b\" = w.\"b\""
        );
        assert_eq!(
            update::<Sqlite>(Pair::TABLE, 1),
            "UPDATE \"pairs\" AS t SET \"c\" = w.\"c\" FROM (SELECT value ->> 0 AS \"a\", value ->> 1 AS \"b\", \
             value ->> 2 AS \"c\" FROM json_each(?)) AS w WHERE t.\"a\" = w.\"a\" AND t.\"b\" = w.\"b\""
        );
        let rows = [vec![Cell::Text("a\"\u{0}é".to_owned()), Cell::Integer(i64::MAX), Cell::Null]];
        assert_eq!(json(rows.iter().map(Vec::as_slice)), "[[\"a\\\"\\u0000é\",9223372036854775807,null]]");
        assert_eq!(
            scan::<Sqlite>(Pair::TABLE, 1, 1),
            "SELECT t.\"a\", t.\"b\", t.\"c\" FROM \"pairs\" t WHERE t.\"a\" = ? AND (t.\"b\") > (?) \
             ORDER BY t.\"a\", t.\"b\" LIMIT ?"
        );
        assert_eq!(delete(Pair::TABLE), "DELETE FROM \"pairs\" WHERE \"a\" = ? AND \"b\" = ?");
    }
}
