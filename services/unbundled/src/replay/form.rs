//! The two forms of the data and their columns.

use csv::StringRecord;
use serde::Serialize;

use super::file::{FileError, shortened};

/// The form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// With line numbers, kinds and ISO 8601 times.
    Clean,
    /// As in the UCI Machine Learning Repository.
    Original,
}

/// The columns of a form: their names, and the indices of those that are read.
#[derive(Debug)]
pub struct Columns {
    /// The names in the header.
    pub names: &'static [&'static str],
    /// The number of the invoice.
    pub invoice: usize,
    /// The product.
    pub stock_code: usize,
    /// The product, for people. Nothing depends on it.
    pub description: usize,
    /// The number of pieces.
    pub quantity: usize,
    /// The time of the invoice, in London time.
    pub invoiced_at: usize,
    /// The price of one piece, in pounds.
    pub unit_price: usize,
    /// The customer.
    pub customer_id: usize,
    /// The country of the customer.
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
    /// The columns of this form.
    pub fn columns(self) -> &'static Columns {
        match self {
            Self::Clean => &CLEAN,
            Self::Original => &ORIGINAL,
        }
    }

    /// The form that has this header.
    ///
    /// # Errors
    /// [`FileError::Unknown`] when it begins like no form, [`FileError::Header`] and [`FileError::Columns`] when it
    /// begins like one but continues differently.
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
