//! SQL statements generated from table declarations. Rows and keys are one parameter, a JSON array of arrays, so a
//! statement does not depend on their number: each is prepared once.

use stage::{Cell, CellKind, Column, Table, Write};

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

/// The statement that creates a stage's table.
pub fn create(table: &Table) -> String {
    let column = |column: &Column| {
        let kind = match column.kind {
            CellKind::Integer => "INTEGER",
            CellKind::Text | CellKind::Decimal => "TEXT",
        };
        let null = if column.nullable { "" } else { " NOT NULL" };
        format!("\"{}\" {kind}{null}", column.name)
    };
    let columns: Vec<_> = table.columns.iter().map(column).collect();
    let key = names(table.key());
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({key})) STRICT, WITHOUT ROWID",
        table.name,
        columns.join(", ")
    )
}

/// Selects the rows with these keys.
pub fn load(table: &Table) -> String {
    format!(
        "SELECT {} FROM (SELECT {} FROM json_each(?)) w CROSS JOIN {} t ON {}",
        qualified(table.columns),
        values(table.key()),
        table.name,
        same_key(table)
    )
}

/// Inserts rows; fails if a key exists.
pub fn insert(table: &Table) -> String {
    format!("INSERT INTO {} ({}) SELECT {} FROM json_each(?)", table.name, names(table.columns), values(table.columns))
}

/// Inserts rows; a row with the key of an earlier one replaces it.
pub fn replace(table: &Table) -> String {
    insert(table).replacen("INSERT", "INSERT OR REPLACE", 1)
}

/// Updates existing rows. The number of affected rows tells how many exist.
pub fn update(table: &Table) -> String {
    // A table without value columns has nothing to set, but the statement must still tell whether its rows exist.
    let changed =
        if table.columns.len() > table.key_columns { &table.columns[table.key_columns..] } else { table.key() };
    let set: Vec<_> = changed.iter().map(|c| format!("\"{0}\" = w.\"{0}\"", c.name)).collect();
    format!(
        "UPDATE {} AS t SET {} FROM (SELECT {} FROM json_each(?)) AS w WHERE {}",
        table.name,
        set.join(", "),
        values(table.columns),
        same_key(table)
    )
}

/// Begins a transaction and writes a whole batch: its record (the fence comes first), the note of the newest record,
/// these runs of rows, and its frames. Frames are few and large, so each of their values is a parameter.
pub fn commit(runs: &[(&Table, Write)], frames: usize) -> String {
    let mut text = "BEGIN IMMEDIATE; INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?); \
         INSERT INTO owners VALUES (?, ?, ?) \
         ON CONFLICT (owner) DO UPDATE SET number = excluded.number, hash = excluded.hash"
        .to_owned();
    for (table, write) in runs {
        text += "; ";
        text += &match write {
            Write::Insert => insert(table),
            Write::Update => update(table),
        };
    }
    if frames > 0 {
        text += "; INSERT INTO journal VALUES ";
        text += &vec!["(?, ?, ?, ?, ?, ?, ?)"; frames].join(", ");
    }
    text
}

/// Rows or keys as a parameter.
pub fn json<'a>(rows: impl Iterator<Item = &'a [Cell]>) -> String {
    let cell = |cell: &Cell| match cell {
        Cell::Null => serde_json::Value::Null,
        Cell::Integer(number) => (*number).into(),
        Cell::Text(text) => text.as_str().into(),
    };
    let rows: Vec<Vec<_>> = rows.map(|row| row.iter().map(cell).collect()).collect();
    serde_json::Value::from(rows).to_string()
}

/// Selects rows in key order: those with a fixed prefix of the key, and of these the ones after a given rest of the
/// key.
pub fn scan(table: &Table, prefix: usize, after: usize) -> String {
    let key = table.key();
    let mut conditions: Vec<_> = key[..prefix].iter().map(|c| format!("\"{}\" = ?", c.name)).collect();
    if after > 0 {
        let rest = &key[prefix..prefix + after];
        conditions.push(format!("({}) > ({})", names(rest), vec!["?"; after].join(", ")));
    }
    let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    format!("SELECT {} FROM {} {filter} ORDER BY {} LIMIT ?", names(table.columns), table.name, names(key))
}

/// Counts the rows.
pub fn count(table: &Table) -> String {
    format!("SELECT count(*) AS rows FROM {}", table.name)
}

/// Deletes the row with a key.
pub fn delete(table: &Table) -> String {
    let key: Vec<_> = table.key().iter().map(|column| format!("\"{}\" = ?", column.name)).collect();
    format!("DELETE FROM {} WHERE {}", table.name, key.join(" AND "))
}

fn names(columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    names.join(", ")
}

fn same_key(table: &Table) -> String {
    let same: Vec<_> = table.key().iter().map(|column| format!("t.\"{0}\" = w.\"{0}\"", column.name)).collect();
    same.join(" AND ")
}

fn qualified(columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| format!("t.\"{}\"", column.name)).collect();
    names.join(", ")
}

/// The values of a JSON array, named like these columns.
fn values(columns: &[Column]) -> String {
    let values: Vec<_> =
        columns.iter().enumerate().map(|(at, column)| format!("value ->> {at} AS \"{}\"", column.name)).collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    stage::row! {
        /// A test row.
        struct Pair: "pairs" { key { a: String => Text, b: u64 => Integer } value { c: Option<String> => Nullable<Text> } }
    }
    use stage::{Integer, Nullable, Row as _, Text};

    #[test]
    fn statements_follow_from_the_table() {
        assert_eq!(
            create(Pair::TABLE),
            "CREATE TABLE IF NOT EXISTS pairs (\"a\" TEXT NOT NULL, \"b\" INTEGER NOT NULL, \"c\" TEXT, \
             PRIMARY KEY (\"a\", \"b\")) STRICT, WITHOUT ROWID"
        );
        assert_eq!(
            update(Pair::TABLE),
            "UPDATE pairs AS t SET \"c\" = w.\"c\" FROM (SELECT value ->> 0 AS \"a\", value ->> 1 AS \"b\", \
             value ->> 2 AS \"c\" FROM json_each(?)) AS w WHERE t.\"a\" = w.\"a\" AND t.\"b\" = w.\"b\""
        );
        let rows = [vec![Cell::Text("a\"\u{0}é".to_owned()), Cell::Integer(i64::MAX), Cell::Null]];
        assert_eq!(json(rows.iter().map(Vec::as_slice)), "[[\"a\\\"\\u0000é\",9223372036854775807,null]]");
        assert_eq!(
            scan(Pair::TABLE, 1, 1),
            "SELECT \"a\", \"b\", \"c\" FROM pairs WHERE \"a\" = ? AND (\"b\") > (?) ORDER BY \"a\", \"b\" LIMIT ?"
        );
    }
}
