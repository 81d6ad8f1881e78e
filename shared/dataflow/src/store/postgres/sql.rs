//! SQL statements generated from table declarations. Rows are passed as one array per column, so there is one statement
//! per table and purpose, whatever the number of rows.

use stage::{CellKind, Column, Table, Write};

/// The number of columns of a batch record.
const RECORD_COLUMNS: usize = 8;

/// The statement that creates a stage's table.
pub fn create(table: &Table) -> String {
    let columns: Vec<_> = table.columns.iter().map(declared).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS \"{}\" ({}, PRIMARY KEY ({}))",
        table.name,
        columns.join(", "),
        names(table.key())
    )
}

/// The result of [`LAYOUT`] for a table with the expected layout.
pub fn layout(table: &Table) -> String {
    let columns: Vec<_> = table.columns.iter().map(declared).collect();
    let key: Vec<_> = table.key().iter().map(|column| column.name).collect();
    format!("{}, PRIMARY KEY ({})", columns.join(", "), key.join(", "))
}

/// Selects the columns and the key of the table `$1`, as the database has them.
pub const LAYOUT: &str = "
SELECT coalesce((
    SELECT string_agg(
      format('\"%s\" %s', a.attname, CASE a.atttypid
          WHEN 'text'::regtype THEN 'TEXT' WHEN 'bigint'::regtype THEN 'BIGINT'
          ELSE upper(format_type(a.atttypid, a.atttypmod)) END)
        || CASE WHEN a.attcollation <> 0 THEN format(' COLLATE \"%s\"', c.collname) ELSE '' END
        || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
      ', ' ORDER BY a.attnum)
    FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation
    WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped), '')
  || coalesce((
    SELECT format(', PRIMARY KEY (%s)', string_agg(a.attname, ', ' ORDER BY k.place))
    FROM pg_index i, UNNEST(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place), pg_attribute a
    WHERE i.indrelid = t.oid AND i.indisprimary AND a.attrelid = t.oid AND a.attnum = k.attnum), '')
FROM (SELECT to_regclass(quote_ident($1)) AS oid) t";

/// Selects rows by key, with one array per key column.
pub fn load(table: &Table) -> String {
    let key = table.key();
    let on: Vec<_> = key.iter().map(same).collect();
    format!(
        "SELECT {} FROM {} AS w({}) JOIN \"{}\" t ON {}",
        read(table.columns),
        unnest(key, 1),
        names(key),
        table.name,
        on.join(" AND ")
    )
}

/// Counts the rows.
pub fn count(table: &Table) -> String {
    format!("SELECT count(*) AS rows FROM \"{}\"", table.name)
}

/// Writes a whole batch: its record, the note of the newest record, these runs of rows, and its frames if it has some.
/// The result is one row: the number of written rows of each run.
///
/// The parameters are the eight columns of the record, then one array per column of each run, then one per column of
/// the journal. The parts see the same snapshot, and nothing depends on the order in which they are executed: if any of
/// them fails, nothing is written.
pub fn commit(runs: &[(&Table, Write)], has_frames: bool) -> String {
    let mut parts = vec![
        "fence AS (INSERT INTO batches VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING 1)".to_owned(),
        "note AS (INSERT INTO owners VALUES ($1, $2, $8) \
         ON CONFLICT (owner) DO UPDATE SET number = excluded.number, hash = excluded.hash RETURNING 1)"
            .to_owned(),
    ];
    let (mut counts, mut next) = (vec!["(SELECT count(*) FROM fence)".to_owned()], RECORD_COLUMNS + 1);
    for (at, (table, write)) in runs.iter().enumerate() {
        let statement = match write {
            Write::Insert => insert(table, next),
            Write::Update => update(table, next),
        };
        parts.push(format!("run{at} AS ({statement} RETURNING 1)"));
        counts.push(format!("(SELECT count(*) FROM run{at})"));
        next += table.columns.len();
    }
    if has_frames {
        let arrays = ["text", "text", "bigint", "bigint", "text", "text", "text"].iter().enumerate();
        let arrays: Vec<_> = arrays.map(|(at, kind)| format!("${}::{kind}[]", next + at)).collect();
        parts.push(format!(
            "frames AS (INSERT INTO journal (producer, target, seq, facts, previous, hash, body) \
             SELECT * FROM UNNEST({}) RETURNING 1)",
            arrays.join(", ")
        ));
    }
    format!("WITH {} SELECT {}", parts.join(", "), counts.join(", "))
}

/// Inserts rows; fails if a key exists. The parameters begin with `$first`.
fn insert(table: &Table, first: usize) -> String {
    let columns = table.columns;
    format!("INSERT INTO \"{}\" ({}) SELECT * FROM {}", table.name, names(columns), unnest(columns, first))
}

/// Updates existing rows. The number of affected rows tells how many exist. The parameters begin with `$first`.
fn update(table: &Table, first: usize) -> String {
    // A table without value columns has nothing to set, but the statement must still tell whether its rows exist.
    let values =
        if table.columns.len() > table.key_columns { &table.columns[table.key_columns..] } else { table.key() };
    let set: Vec<_> = values.iter().map(|c| format!("\"{0}\" = w.\"{0}\"", c.name)).collect();
    let on: Vec<_> = table.key().iter().map(same).collect();
    format!(
        "UPDATE \"{}\" t SET {} FROM {} AS w({}) WHERE {}",
        table.name,
        set.join(", "),
        unnest(table.columns, first),
        names(table.columns),
        on.join(" AND ")
    )
}

/// Selects rows in key order: those with a fixed prefix of the key, and of these the ones after a given rest of the
/// key.
pub fn scan(table: &Table, prefix: usize, after: usize) -> String {
    let key = table.key();
    let value = |at: usize| format!("${}{}", at + 1, if key[at].kind == CellKind::Decimal { "::numeric" } else { "" });
    let mut conditions: Vec<_> = (0..prefix).map(|at| format!("t.\"{}\" = {}", key[at].name, value(at))).collect();
    if after > 0 {
        let rest = prefix..prefix + after;
        let values: Vec<_> = rest.clone().map(value).collect();
        conditions.push(format!("({}) > ({})", of_table(&key[rest]), values.join(", ")));
    }
    let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    format!(
        "SELECT {} FROM \"{}\" t {filter} ORDER BY {} LIMIT ${}",
        read(table.columns),
        table.name,
        of_table(key),
        prefix + after + 1
    )
}

fn declared(column: &Column) -> String {
    let kind = match column.kind {
        CellKind::Integer => "BIGINT",
        CellKind::Text => "TEXT COLLATE \"C\"",
        CellKind::Decimal => "NUMERIC",
    };
    let null = if column.nullable { "" } else { " NOT NULL" };
    format!("\"{}\" {kind}{null}", column.name)
}

/// One array parameter per column. A decimal is passed as text, so that no digit is lost.
fn unnest(columns: &[Column], first: usize) -> String {
    let array = |(number, column): (usize, &Column)| match column.kind {
        CellKind::Integer => format!("${number}::bigint[]"),
        CellKind::Text => format!("${number}::text[]"),
        CellKind::Decimal => format!("${number}::text[]::numeric[]"),
    };
    let arrays: Vec<_> = (first..).zip(columns).map(array).collect();
    format!("UNNEST({})", arrays.join(", "))
}

fn read(columns: &[Column]) -> String {
    let column = |column: &Column| match column.kind {
        CellKind::Integer | CellKind::Text => format!("t.\"{}\"", column.name),
        CellKind::Decimal => format!("t.\"{0}\"::text AS \"{0}\"", column.name),
    };
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn same(column: &Column) -> String {
    format!("t.\"{0}\" = w.\"{0}\"", column.name)
}

fn of_table(columns: &[Column]) -> String {
    columns.iter().map(|column| format!("t.\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    stage::row! {
        /// A test row.
        struct Pair: "pairs" { key { a: String => Text, b: u64 => Integer } value { c: Option<String> => Nullable<Decimal> } }
    }
    use stage::{Decimal, Integer, Nullable, Row as _, Text};

    #[test]
    fn statements_follow_from_the_table() {
        assert_eq!(
            create(Pair::TABLE),
            "CREATE TABLE IF NOT EXISTS \"pairs\" (\"a\" TEXT COLLATE \"C\" NOT NULL, \"b\" BIGINT NOT NULL, \"c\" NUMERIC, \
             PRIMARY KEY (\"a\", \"b\"))"
        );
        assert_eq!(
            update(Pair::TABLE, 1),
            "UPDATE \"pairs\" t SET \"c\" = w.\"c\" FROM UNNEST($1::text[], $2::bigint[], $3::text[]::numeric[]) \
             AS w(\"a\", \"b\", \"c\") WHERE t.\"a\" = w.\"a\" AND t.\"b\" = w.\"b\""
        );
        assert_eq!(
            commit(&[(Pair::TABLE, Write::Insert)], false).split("run0 AS ").nth(1),
            Some(
                "(INSERT INTO \"pairs\" (\"a\", \"b\", \"c\") SELECT * FROM \
                 UNNEST($9::text[], $10::bigint[], $11::text[]::numeric[]) RETURNING 1) \
                 SELECT (SELECT count(*) FROM fence), (SELECT count(*) FROM run0)"
            )
        );
        assert_eq!(
            scan(Pair::TABLE, 1, 1),
            "SELECT t.\"a\", t.\"b\", t.\"c\"::text AS \"c\" FROM \"pairs\" t \
             WHERE t.\"a\" = $1 AND (t.\"b\") > ($2) ORDER BY t.\"a\", t.\"b\" LIMIT $3"
        );
    }
}
