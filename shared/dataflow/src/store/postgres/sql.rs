//! The SQL of Postgres. Rows and keys are one array parameter per column, so a statement does not depend on their number:
//! each is prepared once.

use stage::{CellKind, Column, Table, Write};

use crate::store::runs::Run;
use crate::store::sql::{Dialect, declared, insert, list, names, of_table, update};

/// The number of columns of a batch record.
const RECORD_COLUMNS: usize = 8;

impl Dialect for sqlx::Postgres {
    const TABLE_OPTIONS: &'static str = "";
    const JOIN: &'static str = "JOIN";

    fn column_type(kind: CellKind) -> &'static str {
        match kind {
            CellKind::Integer => "BIGINT",
            CellKind::Text => "TEXT COLLATE \"C\"",
            CellKind::Decimal => "NUMERIC",
        }
    }

    fn parameter(number: usize, kind: CellKind) -> String {
        match kind {
            CellKind::Integer | CellKind::Text => format!("${number}"),
            CellKind::Decimal => format!("${number}::numeric"),
        }
    }

    /// A decimal is passed as text, so that no digit is lost.
    fn rows(columns: &[Column], first: usize) -> String {
        let array = |(number, column): (usize, &Column)| match column.kind {
            CellKind::Integer => format!("${number}::bigint[]"),
            CellKind::Text => format!("${number}::text[]"),
            CellKind::Decimal => format!("${number}::text[]::numeric[]"),
        };
        let arrays: Vec<_> = (first..).zip(columns).map(array).collect();
        format!("UNNEST({}) AS w({})", arrays.join(", "), names(columns))
    }

    fn read(column: &Column) -> String {
        match column.kind {
            CellKind::Integer | CellKind::Text => of_table(column),
            CellKind::Decimal => format!("t.\"{0}\"::text AS \"{0}\"", column.name),
        }
    }
}

/// The result of [`LAYOUT`] for a table with the expected layout.
pub fn layout(table: &Table) -> String {
    let key = list(table.key(), |column| column.name.to_owned());
    format!("{}, PRIMARY KEY ({key})", list(table.columns, declared::<sqlx::Postgres>))
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

/// Writes a whole batch: its record, the note of the newest record, these runs of rows, and its frames if it has some.
/// The result is one row: the number of written rows of each run.
///
/// The parameters are the eight columns of the record, then one array per column of each run, then one per column of
/// the journal. The parts see the same snapshot, and nothing depends on the order in which they are executed: if any of
/// them fails, nothing is written.
pub fn commit(runs: &[Run<'_>], has_frames: bool) -> String {
    let mut parts = vec![
        "fence AS (INSERT INTO batches VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING 1)".to_owned(),
        "note AS (INSERT INTO owners VALUES ($1, $2, $8) \
         ON CONFLICT (owner) DO UPDATE SET number = excluded.number, hash = excluded.hash RETURNING 1)"
            .to_owned(),
    ];
    let (mut counts, mut next) = (vec!["(SELECT count(*) FROM fence)".to_owned()], RECORD_COLUMNS + 1);
    for (at, Run { table, write, .. }) in runs.iter().enumerate() {
        let statement = match write {
            Write::Insert => insert::<sqlx::Postgres>(table, next),
            Write::Update => update::<sqlx::Postgres>(table, next),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::{create, load, scan};

    stage::row! {
        /// A test row.
        struct Pair: "pairs" { key { a: String => Text, b: u64 => Integer } value { c: Option<String> => Nullable<Decimal> } }
    }
    use sqlx::Postgres;
    use stage::{Decimal, Integer, Nullable, Row as _, Text};

    #[test]
    fn statements_follow_from_the_table() {
        assert_eq!(
            create::<Postgres>(Pair::TABLE),
            "CREATE TABLE IF NOT EXISTS \"pairs\" (\"a\" TEXT COLLATE \"C\" NOT NULL, \"b\" BIGINT NOT NULL, \"c\" NUMERIC, \
             PRIMARY KEY (\"a\", \"b\"))"
        );
        assert_eq!(
            load::<Postgres>(Pair::TABLE),
            "SELECT t.\"a\", t.\"b\", t.\"c\"::text AS \"c\" FROM UNNEST($1::text[], $2::bigint[]) AS w(\"a\", \"b\") \
             JOIN \"pairs\" t ON t.\"a\" = w.\"a\" AND t.\"b\" = w.\"b\""
        );
        assert_eq!(
            update::<Postgres>(Pair::TABLE, 1),
            "UPDATE \"pairs\" AS t SET \"c\" = w.\"c\" FROM UNNEST($1::text[], $2::bigint[], $3::text[]::numeric[]) \
             AS w(\"a\", \"b\", \"c\") WHERE t.\"a\" = w.\"a\" AND t.\"b\" = w.\"b\""
        );
        let run = Run { table: Pair::TABLE, write: Write::Insert, rows: Vec::new() };
        assert_eq!(
            commit(&[run], false).split("run0 AS ").nth(1),
            Some(
                "(INSERT INTO \"pairs\" (\"a\", \"b\", \"c\") SELECT * FROM \
                 UNNEST($9::text[], $10::bigint[], $11::text[]::numeric[]) AS w(\"a\", \"b\", \"c\") RETURNING 1) \
                 SELECT (SELECT count(*) FROM fence), (SELECT count(*) FROM run0)"
            )
        );
        assert_eq!(
            scan::<Postgres>(Pair::TABLE, 1, 1),
            "SELECT t.\"a\", t.\"b\", t.\"c\"::text AS \"c\" FROM \"pairs\" t \
             WHERE t.\"a\" = $1 AND (t.\"b\") > ($2) ORDER BY t.\"a\", t.\"b\" LIMIT $3"
        );
    }
}
