//! The two forms of the data, each with its columns.

use csv::StringRecord;
use serde::Serialize;

use super::file::{FileError, shortened};

/// How the lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Line, kind and ISO 8601 times are given.
    Clean,
    /// As the UCI Machine Learning Repository has it.
    Original,
}

/// A form's columns: what its header says, and where that stands which is read.
#[derive(Debug)]
pub struct Columns {
    /// As the first line names them.
    pub names: &'static [&'static str],
    /// The invoice.
    pub invoice: usize,
    /// What it is about.
    pub stock_code: usize,
    /// The same for people. Nothing depends on it.
    pub description: usize,
    /// How many.
    pub quantity: usize,
    /// When, on London's clocks.
    pub invoiced_at: usize,
    /// What one costs, in pounds.
    pub unit_price: usize,
    /// Who.
    pub customer_id: usize,
    /// Where they live.
    pub country: usize,
}

const CLEAN: Columns = Columns {
    names: &[
        "line",
        "invoice",
        "kind",
        "stock_code",
        "description",
        "quantity",
        "invoiced_at",
        "unit_price_gbp",
        "customer_id",
        "country",
    ],
    invoice: 1,
    stock_code: 3,
    description: 4,
    quantity: 5,
    invoiced_at: 6,
    unit_price: 7,
    customer_id: 8,
    country: 9,
};

const ORIGINAL: Columns = Columns {
    names: &["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"],
    invoice: 0,
    stock_code: 1,
    description: 2,
    quantity: 3,
    invoiced_at: 4,
    unit_price: 5,
    customer_id: 6,
    country: 7,
};

impl Form {
    /// Its columns.
    pub fn columns(self) -> &'static Columns {
        match self {
            Self::Clean => &CLEAN,
            Self::Original => &ORIGINAL,
        }
    }

    /// The form that has this header.
    ///
    /// # Errors
    /// [`FileError::Unknown`] when it begins as none does, [`FileError::Header`] and [`FileError::Columns`] when it
    /// begins as one does and goes on otherwise.
    pub fn of(header: &StringRecord) -> Result<Self, FileError> {
        let first = header.get(0).unwrap_or_default();
        let begins = |form: &Self| form.columns().names.first().is_some_and(|name| *name == first);
        let Some(form) = [Self::Clean, Self::Original].into_iter().find(begins) else {
            return Err(FileError::unknown(&header.iter().collect::<Vec<_>>().join(",")));
        };
        let names = form.columns().names;
        for (place, expected) in names.iter().copied().enumerate() {
            let found = header.get(place).unwrap_or_default();
            if found != expected {
                return Err(FileError::Header { column: place + 1, found: shortened(found), expected });
            }
        }
        if header.len() > names.len() {
            return Err(FileError::Columns { line: 1, found: header.len() as u64, expected: names.len() });
        }
        Ok(form)
    }
}
