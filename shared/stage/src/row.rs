//! Tables as data: one declaration gives the struct, the table and the columns.
//!
//! Everything that HTTP handlers or the audit query is a column of its own, so that an operator can query it with SQL
//! too. The stores know only [`Table`] and [`Cell`] and contain no SQL of a service.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{BatchNumber, Partition};

/// A value in a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// No value; never in a key.
    Null,
    /// An integer.
    Integer(i64),
    /// Text, including decimals and times, in its one canonical form.
    Text(String),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => f.write_str("null"),
            Cell::Integer(number) => number.fmt(f),
            Cell::Text(text) => text.fmt(f),
        }
    }
}

/// How a database stores a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// A 64-bit integer.
    Integer,
    /// Text, compared byte by byte.
    Text,
    /// An exact decimal, carried as text.
    Decimal,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// How it is stored.
    pub kind: CellKind,
    /// Whether it may be null.
    pub nullable: bool,
}

/// One table of a stage.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, unique in the service.
    pub name: &'static str,
    /// The columns, those of the primary key first.
    pub columns: &'static [Column],
    /// The number of columns in the primary key.
    pub key_columns: usize,
}

impl Table {
    /// The columns of the primary key.
    pub fn key(&self) -> &'static [Column] {
        &self.columns[..self.key_columns]
    }
}

/// A stored value that is not valid for its column.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{table}.{column} holds {cell:?}, which is not a valid {expected}")]
pub struct BadCell {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The stored value.
    pub cell: Cell,
    /// The type it should have.
    pub expected: &'static str,
}

/// How values of a type are stored in a column. `row!` names one for each field.
pub trait Codec<T> {
    /// How the column is stored.
    const KIND: CellKind;
    /// Whether it may be null.
    const NULLABLE: bool = false;

    /// The stored form.
    fn to_cell(value: &T) -> Cell;
    /// Decodes a stored value; `None` when it is not valid.
    fn from_cell(cell: &Cell) -> Option<T>;
}

/// A row of a [`Table`], declared by [`row!`](crate::row).
pub trait Row: Sized {
    /// The table it is stored in.
    const TABLE: &'static Table;
    /// The fields of the primary key, as a tuple.
    type Key;

    /// The stored form of a key.
    fn key_cells(key: &Self::Key) -> Vec<Cell>;
    /// The stored form of the row, in the order of the table's columns.
    fn to_cells(&self) -> Vec<Cell>;
    /// Decodes a stored row.
    ///
    /// # Errors
    /// [`BadCell`], which names the first column that is not valid.
    fn from_cells(cells: &[Cell]) -> Result<Self, BadCell>;
}

/// Declares a row, with how each field is stored:
/// `row! { pub struct Balance: "balances" { key { account: AccountId => Text } value { amount: Amount => Decimal } } }`.
#[macro_export]
macro_rules! row {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident : $table:literal {
            key { $($(#[$key_doc:meta])* $key:ident : $key_type:ty => $key_codec:ty),+ $(,)? }
            value { $($(#[$value_doc:meta])* $value:ident : $value_type:ty => $value_codec:ty),* $(,)? }
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $vis struct $name {
            $($(#[$key_doc])* pub $key: $key_type,)+
            $($(#[$value_doc])* pub $value: $value_type,)*
        }

        impl $crate::Row for $name {
            const TABLE: &'static $crate::Table = &$crate::Table {
                name: $table,
                columns: &[
                    $($crate::row!(@column $key, $key_type, $key_codec),)+
                    $($crate::row!(@column $value, $value_type, $value_codec),)*
                ],
                key_columns: [$(stringify!($key)),+].len(),
            };
            type Key = ($($key_type,)+);

            fn key_cells(key: &Self::Key) -> Vec<$crate::Cell> {
                let ($($key,)+) = key;
                vec![$(<$key_codec as $crate::Codec<$key_type>>::to_cell($key)),+]
            }

            fn to_cells(&self) -> Vec<$crate::Cell> {
                vec![
                    $(<$key_codec as $crate::Codec<$key_type>>::to_cell(&self.$key),)+
                    $(<$value_codec as $crate::Codec<$value_type>>::to_cell(&self.$value),)*
                ]
            }

            fn from_cells(cells: &[$crate::Cell]) -> Result<Self, $crate::BadCell> {
                let mut cells = cells.iter();
                Ok(Self {
                    $($key: $crate::row!(@read cells, $table, $key, $key_type, $key_codec),)+
                    $($value: $crate::row!(@read cells, $table, $value, $value_type, $value_codec),)*
                })
            }
        }
    };
    (@column $field:ident, $type:ty, $codec:ty) => {
        $crate::Column {
            name: stringify!($field),
            kind: <$codec as $crate::Codec<$type>>::KIND,
            nullable: <$codec as $crate::Codec<$type>>::NULLABLE,
        }
    };
    (@read $cells:ident, $table:literal, $field:ident, $type:ty, $codec:ty) => {{
        let cell = $cells.next().unwrap_or(&$crate::Cell::Null);
        <$codec as $crate::Codec<$type>>::from_cell(cell).ok_or_else(|| $crate::BadCell {
            table: $table,
            column: stringify!($field),
            cell: cell.clone(),
            expected: stringify!($type),
        })?
    }};
}

/// A count: 0 to 2^63 - 1.
pub struct Integer;

impl Codec<u64> for Integer {
    const KIND: CellKind = CellKind::Integer;

    fn to_cell(value: &u64) -> Cell {
        let number = i64::try_from(*value);
        assert!(number.is_ok(), "{value} does not fit a database integer");
        Cell::Integer(number.unwrap_or_default())
    }

    fn from_cell(cell: &Cell) -> Option<u64> {
        match cell {
            Cell::Integer(number) => u64::try_from(*number).ok(),
            Cell::Null | Cell::Text(_) => None,
        }
    }
}

impl Codec<u32> for Integer {
    const KIND: CellKind = CellKind::Integer;

    fn to_cell(value: &u32) -> Cell {
        Cell::Integer(i64::from(*value))
    }

    fn from_cell(cell: &Cell) -> Option<u32> {
        match cell {
            Cell::Integer(number) => u32::try_from(*number).ok(),
            Cell::Null | Cell::Text(_) => None,
        }
    }
}

impl Codec<BatchNumber> for Integer {
    const KIND: CellKind = CellKind::Integer;

    fn to_cell(value: &BatchNumber) -> Cell {
        Self::to_cell(&value.0)
    }

    fn from_cell(cell: &Cell) -> Option<BatchNumber> {
        Self::from_cell(cell).map(BatchNumber)
    }
}

impl Codec<Partition> for Integer {
    const KIND: CellKind = CellKind::Integer;

    fn to_cell(value: &Partition) -> Cell {
        Cell::Integer(value.0.into())
    }

    fn from_cell(cell: &Cell) -> Option<Partition> {
        match cell {
            Cell::Integer(number) => u16::try_from(*number).ok().map(Partition),
            Cell::Null | Cell::Text(_) => None,
        }
    }
}

/// A boolean, stored as 1 or 0.
pub struct Flag;

impl Codec<bool> for Flag {
    const KIND: CellKind = CellKind::Integer;

    fn to_cell(value: &bool) -> Cell {
        Cell::Integer(i64::from(*value))
    }

    fn from_cell(cell: &Cell) -> Option<bool> {
        match cell {
            Cell::Integer(0) => Some(false),
            Cell::Integer(1) => Some(true),
            Cell::Null | Cell::Integer(_) | Cell::Text(_) => None,
        }
    }
}

fn canonical<T: FromStr>(cell: &Cell, write: impl Fn(&T) -> String) -> Option<T> {
    match cell {
        Cell::Text(text) => text.parse().ok().filter(|value| write(value) == *text),
        Cell::Null | Cell::Integer(_) => None,
    }
}

/// Any type with `Display` and `FromStr`. Only text in exactly the form that `Display` writes is accepted.
pub struct Text;

impl<T: fmt::Display + FromStr> Codec<T> for Text {
    const KIND: CellKind = CellKind::Text;

    fn to_cell(value: &T) -> Cell {
        Cell::Text(value.to_string())
    }

    fn from_cell(cell: &Cell) -> Option<T> {
        canonical(cell, T::to_string)
    }
}

/// An exact decimal number, in the form that `Display` writes.
pub struct Decimal;

impl<T: fmt::Display + FromStr> Codec<T> for Decimal {
    const KIND: CellKind = CellKind::Decimal;

    fn to_cell(value: &T) -> Cell {
        <Text as Codec<T>>::to_cell(value)
    }

    fn from_cell(cell: &Cell) -> Option<T> {
        <Text as Codec<T>>::from_cell(cell)
    }
}

/// A time, as RFC 3339 in UTC.
pub struct Time;

impl Codec<DateTime<Utc>> for Time {
    const KIND: CellKind = CellKind::Text;

    fn to_cell(value: &DateTime<Utc>) -> Cell {
        Cell::Text(rfc3339(value))
    }

    fn from_cell(cell: &Cell) -> Option<DateTime<Utc>> {
        canonical(cell, rfc3339)
    }
}

fn rfc3339(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// A structure that no query looks into, as JSON text.
pub struct Json;

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    const KIND: CellKind = CellKind::Text;

    fn to_cell(value: &T) -> Cell {
        let text = serde_json::to_string(value);
        assert!(text.is_ok(), "the value has no JSON form: {text:?}");
        Cell::Text(text.unwrap_or_default())
    }

    fn from_cell(cell: &Cell) -> Option<T> {
        match cell {
            Cell::Text(text) => serde_json::from_str(text).ok(),
            Cell::Null | Cell::Integer(_) => None,
        }
    }
}

/// An optional value: null, or the form that the inner codec stores.
pub struct Nullable<C>(std::marker::PhantomData<C>);

impl<T, C: Codec<T>> Codec<Option<T>> for Nullable<C> {
    const KIND: CellKind = C::KIND;
    const NULLABLE: bool = true;

    fn to_cell(value: &Option<T>) -> Cell {
        value.as_ref().map_or(Cell::Null, C::to_cell)
    }

    fn from_cell(cell: &Cell) -> Option<Option<T>> {
        match cell {
            Cell::Null => Some(None),
            Cell::Integer(_) | Cell::Text(_) => C::from_cell(cell).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    row! {
        /// A shelf.
        struct Shelf: "shelves" {
            key {
                /// The location.
                place: String => Text,
                /// The height.
                level: u64 => Integer,
            }
            value {
                /// The books on it.
                books: Vec<String> => Json,
                /// The time they were put there.
                since: Option<DateTime<Utc>> => Nullable<Time>,
            }
        }
    }

    fn shelf() -> Shelf {
        Shelf { place: "cellar".into(), level: 2, books: vec!["DDIA".into()], since: None }
    }

    #[test]
    fn a_row_survives_the_round_trip() {
        assert_eq!(Shelf::from_cells(&shelf().to_cells()), Ok(shelf()));
        assert_eq!(Shelf::key_cells(&("cellar".into(), 2)), shelf().to_cells()[..2]);
        assert_eq!(Shelf::TABLE.key().len(), 2);
    }

    #[test]
    fn the_error_names_an_invalid_cell() {
        let mut cells = shelf().to_cells();
        cells[1] = Cell::Integer(-2);
        let error = Shelf::from_cells(&cells).unwrap_err();
        assert_eq!((error.table, error.column), ("shelves", "level"));
        assert!(Shelf::from_cells(&cells[..1]).is_err());
    }

    #[test]
    fn only_the_canonical_form_of_a_time_is_accepted() {
        let cell = |text: &str| Cell::Text(text.into());
        assert!(Time::from_cell(&cell("2011-12-09T12:50:00Z")).is_some());
        assert!(Time::from_cell(&cell("2011-12-09T13:50:00+01:00")).is_none());
    }
}
