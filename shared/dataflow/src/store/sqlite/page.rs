//! Rows of a stage's table as one value, a JSON array of arrays: a row by itself costs a message from one thread to
//! another, and each of its values an allocation there.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use stage::{Cell, Table};

use crate::store::sql::names;

/// Selects the rows of a statement, in its order, as one value.
pub fn page(table: &Table, statement: &str) -> String {
    format!("SELECT json_group_array(json_array({})) FROM ({statement})", names(table.columns))
}

/// The rows in such a value. `None` when one of their values is of a kind that no column has.
pub fn rows(page: &str) -> Option<Vec<Vec<Cell>>> {
    let rows: Vec<Vec<Value>> = serde_json::from_str(page).ok()?;
    Some(rows.into_iter().map(|row| row.into_iter().map(|Value(cell)| cell).collect()).collect())
}

struct Value(Cell);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfCell).map(Value)
    }
}

struct OfCell;

impl Visitor<'_> for OfCell {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, an integer or a text")
    }

    fn visit_unit<E: Error>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Cell, E> {
        i64::try_from(number).map(Cell::Integer).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::sql::json;

    #[test]
    fn rows_are_read_as_they_were_written() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let all = vec![
            vec![text("a\"\\\u{0}\u{1f}é😀"), Cell::Integer(i64::MIN), Cell::Null],
            vec![text(""), Cell::Integer(i64::MAX), text("1")],
        ];
        assert_eq!(rows(&json(all.iter().map(Vec::as_slice))), Some(all));
        assert_eq!(rows("[]"), Some(Vec::new()));
    }

    #[test]
    fn a_value_of_another_kind_is_no_cell() {
        for page in ["[[1.0]]", "[[9e999]]", "[[18446744073709551615]]", "[[true]]", "[[[1]]]", "[1]", ""] {
            assert_eq!(rows(page), None, "{page}");
        }
    }
}
