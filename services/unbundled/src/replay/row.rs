//! One line of the file: what it says, and whether it is sent.

use chrono::NaiveDateTime;
use contracts::{LineRequest, Sku};
use csv::StringRecord;
use money::{Currency, Quantity, UnitPrice};
use serde::Serialize;

use super::file::{COLUMNS, FileError, shortened};
use super::scaled::{PRICE_DECIMALS, scaled};

/// What an invoice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something was sold.
    Sale,
    /// Something was given back; it does not say of which sale.
    Cancellation,
    /// The books were put right.
    Adjustment,
}

/// Why a line is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsent {
    /// Of a cancellation.
    Cancellation,
    /// Of an adjustment.
    Adjustment,
    /// Of a sale, with a quantity that is not above zero.
    NoQuantity,
    /// Of a sale, with a quantity, but with a price that is not above zero.
    NoPrice,
}

/// One line of the file.
#[derive(Debug)]
pub struct Row<'a> {
    /// The line in the file, from 1 with the header.
    pub line: u64,
    /// The file's own number of the line.
    pub number: u64,
    /// The invoice it is on.
    pub invoice: &'a str,
    /// What the invoice is.
    pub kind: Kind,
    /// What it is about.
    pub stock_code: &'a str,
    /// How many.
    pub quantity: i64,
    /// When, as London's clocks showed it.
    pub invoiced_at: NaiveDateTime,
    /// The price of one in pounds, as it is written.
    pub unit_price: &'a str,
    /// The same in millionths.
    pub unit_price_millionths: i128,
    /// Who, or nothing.
    pub customer_id: &'a str,
    /// Where they live.
    pub country: &'a str,
}

/// A line that is sent.
#[derive(Debug)]
pub struct Sold {
    /// As it is sent.
    pub request: LineRequest,
    /// Its unit price, which the request has too.
    pub unit_price: UnitPrice,
    /// What it comes to, in millionths of a pound.
    pub millionths: i128,
}

impl<'a> Row<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// [`FileError::Value`].
    pub fn read(line: u64, record: &'a StringRecord) -> Result<Self, FileError> {
        let column = |place: usize| record.get(place).unwrap_or_default();
        let wrong = |place: usize, why: &str| wrong(line, COLUMNS[place], column(place), why);
        let kind = match column(2) {
            "sale" => Kind::Sale,
            "cancel" => Kind::Cancellation,
            "adjust" => Kind::Adjustment,
            _ => return Err(wrong(2, "is neither sale nor cancel nor adjust")),
        };
        Ok(Self {
            line,
            number: column(0).parse().map_err(|_| wrong(0, "is not a number"))?,
            invoice: column(1),
            kind,
            stock_code: column(3),
            quantity: column(5).parse().map_err(|_| wrong(5, "is not a whole number"))?,
            invoiced_at: column(6).parse().map_err(|_| wrong(6, "is not a time such as 2010-12-01T08:26:00"))?,
            unit_price: column(7),
            unit_price_millionths: scaled(column(7), PRICE_DECIMALS)
                .ok_or_else(|| wrong(7, "is not a price with at most 6 decimals"))?,
            customer_id: column(8),
            country: column(9),
        })
    }

    /// The line as it is sent, or why it is not.
    ///
    /// # Errors
    /// [`FileError::Value`] when it would have to be sent and cannot.
    pub fn sold(&self) -> Result<Result<Sold, Unsent>, FileError> {
        match self.kind {
            Kind::Sale if self.quantity <= 0 => return Ok(Err(Unsent::NoQuantity)),
            Kind::Sale if self.unit_price_millionths <= 0 => return Ok(Err(Unsent::NoPrice)),
            Kind::Sale => {}
            Kind::Cancellation => return Ok(Err(Unsent::Cancellation)),
            Kind::Adjustment => return Ok(Err(Unsent::Adjustment)),
        }
        let sku = Sku::try_from(self.stock_code.to_owned());
        let sku = sku.map_err(|error| self.wrong("stock_code", self.stock_code, &error))?;
        let quantity = Quantity::new(self.quantity);
        let quantity = quantity.map_err(|error| self.wrong("quantity", &self.quantity.to_string(), &error))?;
        let unit_price = UnitPrice::parse(self.unit_price, Currency::GBP);
        let unit_price = unit_price.map_err(|error| self.wrong("unit_price_gbp", self.unit_price, &error))?;
        let millionths = i128::from(self.quantity) * self.unit_price_millionths;
        let request = LineRequest { sku, quantity, unit_price: Some(unit_price) };
        Ok(Ok(Sold { request, unit_price, millionths }))
    }

    /// An error about one of the line's values.
    pub fn wrong(&self, column: &'static str, found: &str, error: &dyn std::error::Error) -> FileError {
        wrong(self.line, column, found, &format!("is refused: {error}"))
    }
}

fn wrong(line: u64, column: &'static str, found: &str, why: &str) -> FileError {
    FileError::Value { line, column, found: shortened(found), why: why.to_owned() }
}
