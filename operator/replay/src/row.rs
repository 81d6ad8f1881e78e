//! One line of the file: its values, and whether it is sent.

use chrono::{Datelike, NaiveDateTime};
use contracts::{LineRequest, Sku};
use csv::StringRecord;
use money::{Currency, Quantity, UnitPrice};
use serde::Serialize;

use crate::columns::Columns;
use crate::file::{FileError, shortened};
use crate::form::Form;
use crate::place::Place;
use crate::request_kind::RequestKind;
use crate::scaled::{PRICE_DECIMALS, scaled};

/// The first year in Excel, and so in the original form.
const FIRST_YEAR: i32 = 1900;

/// The kind of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sale.
    Sale,
    /// A cancellation. It does not name the canceled sale.
    Cancellation,
    /// A correction of the books.
    Adjustment,
}

/// Why a line is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsent {
    /// It belongs to a cancellation, and only sales are sent.
    Cancellation,
    /// It belongs to an adjustment.
    Adjustment,
    /// It belongs to a sale, but its quantity is not above zero; or to a cancellation, but is not below.
    NoQuantity,
    /// It has a quantity, but its price is not above zero.
    NoPrice,
    /// Its invoice is not on one of the requested days.
    OtherDay,
}

/// One line of the file.
#[derive(Debug)]
pub struct Row<'a> {
    /// The line in the file, counted from 1 with the header.
    pub line: u64,
    /// The number that the file gives to the line, or else the position of the line.
    pub number: u64,
    /// The columns of the form.
    columns: &'static Columns,
    /// The number of the invoice.
    pub invoice: &'a str,
    /// The kind of the invoice.
    pub kind: Kind,
    /// The product.
    pub stock_code: &'a str,
    /// The number of pieces.
    pub quantity: i64,
    /// The time of the invoice, in London time.
    pub invoiced_at: NaiveDateTime,
    /// The price of one piece in pounds, as it is written.
    pub unit_price: &'a str,
    /// The same price in millionths of a pound.
    pub unit_price_millionths: i128,
    /// The customer, or an empty text.
    pub customer_id: &'a str,
    /// The country of the customer.
    pub country: &'a str,
}

/// A line to send.
#[derive(Debug)]
pub struct Sold {
    /// The line of the request.
    pub request: LineRequest,
    /// Its unit price, which the request also has.
    pub unit_price: UnitPrice,
    /// Its total, in millionths of a pound.
    pub millionths: i128,
}

impl<'a> Row<'a> {
    /// Parses a line.
    ///
    /// # Errors
    /// [`FileError::Value`].
    pub fn read(place: Place, record: &'a StringRecord) -> Result<Self, FileError> {
        let (line, form, columns) = (place.line, place.form, place.form.columns());
        let column = |at: usize| record.get(at).unwrap_or_default();
        let wrong = |at: usize, why: &str| wrong(line, columns.names[at], column(at), why);
        let unit_price = column(columns.unit_price);
        Ok(Self {
            line,
            number: match form {
                Form::Clean => column(0).parse().map_err(|_| wrong(0, "is not a number"))?,
                Form::Original => place.number,
            },
            columns,
            invoice: column(columns.invoice),
            kind: match form {
                Form::Clean => kind(column(2)).ok_or_else(|| wrong(2, "is neither sale nor cancel nor adjust"))?,
                Form::Original => kind_by_prefix(column(columns.invoice))
                    .ok_or_else(|| wrong(columns.invoice, "begins with neither a digit nor C nor A"))?,
            },
            stock_code: column(columns.stock_code),
            quantity: column(columns.quantity).parse().map_err(|_| wrong(columns.quantity, "is not a whole number"))?,
            invoiced_at: match form {
                Form::Clean => column(columns.invoiced_at)
                    .parse()
                    .map_err(|_| wrong(columns.invoiced_at, "is not a time such as 2010-12-01T08:26:00"))?,
                Form::Original => original_time(column(columns.invoiced_at)).ok_or_else(|| {
                    wrong(columns.invoiced_at, "is not a time such as 12/1/2010 8:26 (the month first)")
                })?,
            },
            unit_price,
            unit_price_millionths: scaled(unit_price, PRICE_DECIMALS)
                .ok_or_else(|| wrong(columns.unit_price, "is not a price with at most 6 decimals"))?,
            customer_id: customer_id(form, column(columns.customer_id)),
            country: column(columns.country),
        })
    }

    /// The line to send, or why it is not sent. The quantities of a cancellation are below zero, those of a return above.
    ///
    /// # Errors
    /// [`FileError::Value`] when it would have to be sent but cannot.
    pub fn sold(&self, sent_as: Option<RequestKind>) -> Result<Result<Sold, Unsent>, FileError> {
        let pieces = match (sent_as, self.kind) {
            (Some(RequestKind::Purchase), _) => self.quantity,
            (Some(RequestKind::Return), _) => self.quantity.saturating_neg(),
            (None, Kind::Cancellation) => return Ok(Err(Unsent::Cancellation)),
            (None, Kind::Sale | Kind::Adjustment) => return Ok(Err(Unsent::Adjustment)),
        };
        if pieces <= 0 {
            return Ok(Err(Unsent::NoQuantity));
        }
        if self.unit_price_millionths <= 0 {
            return Ok(Err(Unsent::NoPrice));
        }
        let sku = Sku::try_from(self.stock_code.to_owned());
        let sku = sku.map_err(|error| self.wrong(self.columns.stock_code, self.stock_code, &error))?;
        let quantity = Quantity::new(pieces);
        let quantity =
            quantity.map_err(|error| self.wrong(self.columns.quantity, &self.quantity.to_string(), &error))?;
        let unit_price = UnitPrice::parse(self.unit_price, Currency::GBP);
        let unit_price = unit_price.map_err(|error| self.wrong(self.columns.unit_price, self.unit_price, &error))?;
        let millionths = i128::from(pieces) * self.unit_price_millionths;
        let request = LineRequest { sku, quantity, unit_price: Some(unit_price) };
        Ok(Ok(Sold { request, unit_price, millionths }))
    }

    /// The error of an invoice number that cannot be sent.
    pub fn wrong_invoice(&self, error: &dyn std::error::Error) -> FileError {
        self.wrong(self.columns.invoice, self.invoice, error)
    }

    /// The error of a customer number that cannot be sent.
    pub fn wrong_customer(&self, error: &dyn std::error::Error) -> FileError {
        self.wrong(self.columns.customer_id, self.customer_id, error)
    }

    fn wrong(&self, at: usize, found: &str, error: &dyn std::error::Error) -> FileError {
        wrong(self.line, self.columns.names[at], found, &format!("is refused: {error}"))
    }
}

fn wrong(line: u64, column: &'static str, found: &str, why: &str) -> FileError {
    FileError::Value { line, column, found: shortened(found), why: why.to_owned() }
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "sale" => Some(Kind::Sale),
        "cancel" => Some(Kind::Cancellation),
        "adjust" => Some(Kind::Adjustment),
        _ => None,
    }
}

fn kind_by_prefix(invoice: &str) -> Option<Kind> {
    match invoice.as_bytes().first()? {
        b'0'..=b'9' => Some(Kind::Sale),
        b'C' => Some(Kind::Cancellation),
        b'A' => Some(Kind::Adjustment),
        _ => None,
    }
}

/// Parses a time as in the CSV, or in ISO 8601 as in sheets and some copies.
fn original_time(text: &str) -> Option<NaiveDateTime> {
    let forms = ["%m/%d/%Y %H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let time = forms.into_iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    (time.year() >= FIRST_YEAR).then_some(time)
}

/// Some lines have no customer, so tools that copy the original write the other customers as decimals: `17850.0`.
fn customer_id(form: Form, text: &str) -> &str {
    match form {
        Form::Clean => text,
        Form::Original => text.strip_suffix(".0").unwrap_or(text),
    }
}
