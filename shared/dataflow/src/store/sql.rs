//! The SQL that all databases share: statements over the fixed tables, and statements generated from the declarations
//! of stages' tables.

use stage::{CellKind, Column, Table};

/// The newest batch record of an owner.
pub const NEWEST: &str = "SELECT * FROM batches WHERE owner = $1 ORDER BY number DESC LIMIT 1";
/// Batch records of an owner from a number on.
pub const RECORDS: &str = "SELECT * FROM batches WHERE owner = $1 AND number >= $2 ORDER BY number LIMIT $3";
/// The commit time of a batch.
pub const COMMITTED_AT: &str = "SELECT committed_at FROM batches WHERE owner = $1 AND number = $2";
/// The newest batch record of each owner, as noted in a separate table.
pub const CHAIN_ENDS: &str = "SELECT owner, number, hash FROM owners ORDER BY owner";
/// The newest batch record of one owner, as noted there.
pub const CHAIN_END: &str = "SELECT number, hash FROM owners WHERE owner = $1";
/// Counts the owners, but only to one: whether a partition was ever claimed.
pub const IS_USED: &str = "SELECT count(*) AS rows FROM (SELECT 1 FROM owners LIMIT 1) o";
/// Every producer and target in the journal, with the last `seq`.
pub const EMITTED: &str =
    "SELECT producer, target, max(seq) AS seq FROM journal GROUP BY producer, target ORDER BY producer, target";
/// The last `seq` of a producer for a target.
pub const LAST_SEQ: &str = "SELECT seq FROM journal WHERE producer = $1 AND target = $2 ORDER BY seq DESC LIMIT 1";
/// The metadata.
pub const META: &str = "SELECT key, value FROM meta ORDER BY key";
/// The number of batch records of each owner.
pub const RECORD_COUNTS: &str = "SELECT owner, count(*) AS rows FROM batches GROUP BY owner ORDER BY owner";
/// The number of frames in the journal for each producer and target.
pub const FRAME_COUNTS: &str =
    "SELECT producer, target, count(*) AS rows FROM journal GROUP BY producer, target ORDER BY producer, target";

/// What the SQL of a database has of its own.
pub trait Dialect {
    /// What follows the columns of a new table.
    const TABLE_OPTIONS: &'static str;
    /// Joins rows from parameters with the table of their keys.
    const JOIN: &'static str;

    /// The type of a column.
    fn column_type(kind: CellKind) -> &'static str;

    /// The parameter with this number, counted from 1, as a value of this kind.
    fn parameter(number: usize, kind: CellKind) -> String;

    /// Any number of rows, passed as the parameters from number `first` on: the table `w` with these columns.
    fn rows(columns: &[Column], first: usize) -> String;

    /// A column of the table `t`, as it is read.
    fn read(column: &Column) -> String;
}

/// Creates a stage's table.
pub fn create<D: Dialect>(table: &Table) -> String {
    let (columns, key) = (list(table.columns, declared::<D>), names(table.key()));
    format!("CREATE TABLE IF NOT EXISTS \"{}\" ({columns}, PRIMARY KEY ({key})){}", table.name, D::TABLE_OPTIONS)
}

/// Selects the rows with these keys. The parameters are those of [`Dialect::rows`].
pub fn load<D: Dialect>(table: &Table) -> String {
    let (columns, keys) = (list(table.columns, D::read), D::rows(table.key(), 1));
    format!("SELECT {columns} FROM {keys} {} \"{}\" t ON {}", D::JOIN, table.name, same_key(table))
}

/// Inserts rows; fails if a key exists. The parameters begin with number `first`.
pub fn insert<D: Dialect>(table: &Table, first: usize) -> String {
    let rows = D::rows(table.columns, first);
    format!("INSERT INTO \"{}\" ({}) SELECT * FROM {rows}", table.name, names(table.columns))
}

/// Updates existing rows. The number of affected rows is the number of those that exist. The parameters begin with
/// number `first`.
pub fn update<D: Dialect>(table: &Table, first: usize) -> String {
    // A table without value columns has nothing to set, but the statement must still count its rows.
    let has_values = table.columns.len() > table.key_columns;
    let changed = if has_values { &table.columns[table.key_columns..] } else { table.key() };
    let set = list(changed, |column| format!("\"{0}\" = w.\"{0}\"", column.name));
    let rows = D::rows(table.columns, first);
    format!("UPDATE \"{}\" AS t SET {set} FROM {rows} WHERE {}", table.name, same_key(table))
}

/// Selects rows in key order: those with a fixed prefix of the key, and of these the ones after a given rest of the
/// key. The last parameter is the limit.
pub fn scan<D: Dialect>(table: &Table, prefix: usize, after: usize) -> String {
    let key = table.key();
    let value = |at: usize| D::parameter(at + 1, key[at].kind);
    let mut conditions: Vec<_> = (0..prefix).map(|at| format!("t.\"{}\" = {}", key[at].name, value(at))).collect();
    if after > 0 {
        let rest = prefix..prefix + after;
        let values: Vec<_> = rest.clone().map(value).collect();
        conditions.push(format!("({}) > ({})", list(&key[rest], of_table), values.join(", ")));
    }
    let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {} ", conditions.join(" AND ")) };
    format!(
        "SELECT {} FROM \"{}\" t {filter}ORDER BY {} LIMIT {}",
        list(table.columns, D::read),
        table.name,
        list(key, of_table),
        D::parameter(prefix + after + 1, CellKind::Integer)
    )
}

/// Counts the rows.
pub fn count(table: &Table) -> String {
    format!("SELECT count(*) AS rows FROM \"{}\"", table.name)
}

/// The declaration of a column.
pub fn declared<D: Dialect>(column: &Column) -> String {
    let null = if column.nullable { "" } else { " NOT NULL" };
    format!("\"{}\" {}{null}", column.name, D::column_type(column.kind))
}

/// The names of columns.
pub fn names(columns: &[Column]) -> String {
    list(columns, |column| format!("\"{}\"", column.name))
}

/// A column of the table `t`.
pub fn of_table(column: &Column) -> String {
    format!("t.\"{}\"", column.name)
}

/// One text for each column, as a list.
pub fn list(columns: &[Column], text: impl Fn(&Column) -> String) -> String {
    columns.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn same_key(table: &Table) -> String {
    let same = |column: &Column| format!("t.\"{0}\" = w.\"{0}\"", column.name);
    table.key().iter().map(same).collect::<Vec<_>>().join(" AND ")
}
