//! Encoding of parameters, for any database.

use sqlx::{Database, Encode, Type};
use stage::{Cell, Record};

/// A statement with its parameters.
pub(super) type Query<'q, D> = sqlx::query::Query<'q, D, <D as Database>::Arguments<'q>>;

/// Binds a value of a stage's table.
pub(super) fn bind<'q, D: Database>(query: Query<'q, D>, cell: &'q Cell) -> Query<'q, D>
where
    i64: Encode<'q, D> + Type<D>,
    &'q str: Encode<'q, D> + Type<D>,
    Option<&'q str>: Encode<'q, D> + Type<D>,
{
    match cell {
        Cell::Null => query.bind(None::<&str>),
        Cell::Integer(number) => query.bind(*number),
        Cell::Text(text) => query.bind(text.as_str()),
    }
}

/// Binds the eight columns of a batch record.
pub(super) fn bind_record<'q, D: Database>(query: Query<'q, D>, record: &'q Record) -> Query<'q, D>
where
    i64: Encode<'q, D> + Type<D>,
    String: Encode<'q, D> + Type<D>,
    &'q str: Encode<'q, D> + Type<D>,
{
    query
        .bind(record.owner.to_string())
        .bind(integer(record.number.0))
        .bind(integer(record.epoch.0))
        .bind(record.consumed.as_str())
        .bind(record.checkpoint.as_str())
        .bind(record.committed_at.as_str())
        .bind(record.previous.to_string())
        .bind(record.hash.to_string())
}

/// A number as the databases store it.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
