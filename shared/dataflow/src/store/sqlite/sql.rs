//! SQL statements generated from table declarations. Sizes are powers of two, so that only few statements are ever
//! prepared.

use stage::{CellKind, Column, Table};

/// The maximum number of rows in one statement: 16 columns of 256 rows stay far below `SQLite`'s 32,766 parameters.
pub const ROWS_MAX: usize = 256;

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

/// Selects rows by key: `count` keys, each a `VALUES` tuple. Repeated keys give repeated rows.
pub fn load(table: &Table, count: usize) -> String {
    format!(
        "WITH w ({}) AS (VALUES {}) SELECT {} FROM w CROSS JOIN {} t ON {}",
        names(table.key()),
        tuples(table.key_columns, count),
        qualified(table.columns),
        table.name,
        same_key(table)
    )
}

/// Inserts rows; fails if a key exists.
pub fn insert(table: &Table, count: usize) -> String {
    let columns = names(table.columns);
    format!("INSERT INTO {} ({columns}) VALUES {}", table.name, tuples(table.columns.len(), count))
}

/// Inserts rows; a row with the key of an earlier one replaces it.
pub fn replace(table: &Table, count: usize) -> String {
    insert(table, count).replacen("INSERT", "INSERT OR REPLACE", 1)
}

/// Updates existing rows. The number of affected rows tells how many exist.
pub fn update(table: &Table, count: usize) -> String {
    // A table without value columns has nothing to set, but the statement must still tell whether its rows exist.
    let values =
        if table.columns.len() > table.key_columns { &table.columns[table.key_columns..] } else { table.key() };
    let set: Vec<_> = values.iter().map(|c| format!("\"{0}\" = w.\"{0}\"", c.name)).collect();
    format!(
        "WITH w ({}) AS (VALUES {}) UPDATE {} AS t SET {} FROM w WHERE {}",
        names(table.columns),
        tuples(table.columns.len(), count),
        table.name,
        set.join(", "),
        same_key(table)
    )
}

/// Selects rows in key order: those with a fixed prefix of the key, and of these the ones after a given rest of the
/// key.
pub fn scan(table: &Table, prefix: usize, after: usize) -> String {
    let key = table.key();
    let mut conditions: Vec<_> = key[..prefix].iter().map(|c| format!("\"{}\" = ?", c.name)).collect();
    if after > 0 {
        let rest = &key[prefix..prefix + after];
        conditions.push(format!("({}) > {}", names(rest), tuples(after, 1)));
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

fn tuples(width: usize, count: usize) -> String {
    let tuple = format!("({})", vec!["?"; width].join(", "));
    vec![tuple; count].join(", ")
}

/// Splits `count` rows into statements: the largest powers of two, at most [`ROWS_MAX`].
pub fn chunks(mut count: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let size = (1..=count.min(ROWS_MAX)).rev().find(|size| size.is_power_of_two())?;
        count -= size;
        Some(size)
    })
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
    fn rows_are_split_into_powers_of_two() {
        assert_eq!(chunks(600).collect::<Vec<_>>(), [256, 256, 64, 16, 8]);
        assert_eq!(chunks(0).count(), 0);
    }

    #[test]
    fn statements_follow_from_the_table() {
        assert_eq!(
            create(Pair::TABLE),
            "CREATE TABLE IF NOT EXISTS pairs (\"a\" TEXT NOT NULL, \"b\" INTEGER NOT NULL, \"c\" TEXT, \
             PRIMARY KEY (\"a\", \"b\")) STRICT, WITHOUT ROWID"
        );
        assert_eq!(
            update(Pair::TABLE, 2),
            "WITH w (\"a\", \"b\", \"c\") AS (VALUES (?, ?, ?), (?, ?, ?)) UPDATE pairs AS t SET \"c\" = w.\"c\" \
             FROM w WHERE t.\"a\" = w.\"a\" AND t.\"b\" = w.\"b\""
        );
        assert_eq!(
            scan(Pair::TABLE, 1, 1),
            "SELECT \"a\", \"b\", \"c\" FROM pairs WHERE \"a\" = ? AND (\"b\") > (?) ORDER BY \"a\", \"b\" LIMIT ?"
        );
    }
}
