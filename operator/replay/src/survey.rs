//! The first pass over the file: it checks that the file is complete and valid, counts its contents, and collects the
//! offers that it needs. Nothing is sent before.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use contracts::Sku;
use csv::StringRecord;
use money::{Currency, UnitPrice};
use serde::Serialize;

use crate::days::Days;
use crate::encoding::Encoding;
use crate::file::FileError;
use crate::form::Form;
use crate::invoice::Invoice;
use crate::lines::Lines;
use crate::row::{Kind, Row, Unsent};
use crate::selection::Selection;

/// Maximum number of lines in a purchase that the service accepts.
const LINES_MAX: u32 = 2_000;

/// Maximum number of lines from the first to the last line of an invoice, because all invoices in between are held in
/// memory. In the real year one invoice is interrupted, by two lines.
const SPAN_MAX: u64 = 20_000;

/// Why an invoice is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnsentInvoice {
    /// It is a cancellation, and only sales are sent.
    Cancellation,
    /// It is an adjustment.
    Adjustment,
    /// It is a sale or a cancellation without a line to send.
    NoLineLeft,
    /// It is not on one of the requested days.
    OtherDay,
}

/// The numbers of what is read, sent and not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counts<R: Ord> {
    /// Everything that is read.
    pub read: u64,
    /// Sent.
    pub sent: u64,
    /// Not sent, by reason.
    pub skipped: BTreeMap<R, u64>,
}

/// The contents of the file.
#[derive(Debug)]
pub struct Survey {
    /// The form of its lines.
    pub form: Form,
    /// The encoding of its characters.
    pub encoding: Encoding,
    /// The invoices that are sent.
    pub selection: Selection,
    /// Its lines.
    pub lines: Counts<Unsent>,
    /// Its invoices.
    pub invoices: Counts<UnsentInvoice>,
    /// The products sold or returned, each with its first price.
    pub offers: BTreeMap<Sku, UnitPrice>,
    /// The last line of each invoice of a kind that is sent.
    pub last_line: HashMap<String, u64>,
}

/// An invoice as far as it has been read.
struct Seen {
    kind: Kind,
    day: NaiveDate,
    customer_id: String,
    country: String,
    first_line: u64,
    last_line: u64,
    sent: u32,
}

impl Survey {
    /// Reads all lines. Those of the selected invoices are sent.
    ///
    /// # Errors
    /// [`FileError`] of the first line that is wrong, or when there is no invoice, or none on these days.
    pub fn of(mut lines: Lines<'_>, selection: Selection) -> Result<Self, FileError> {
        let Selection { days, kinds } = selection;
        let mut invoices = HashMap::<String, Seen>::new();
        let mut offers = BTreeMap::new();
        let mut counts = Counts { read: 0, sent: 0, skipped: BTreeMap::new() };
        let (mut record, mut newest) = (StringRecord::new(), 0);
        while let Some(place) = lines.next(&mut record)? {
            let row = Row::read(place, &record)?;
            newest = in_order(&row, newest)?;
            let seen = match invoices.get_mut(row.invoice) {
                Some(seen) => goes_on(seen, &row)?,
                None => invoices.entry(row.invoice.to_owned()).or_insert(begins(&row, selection)?),
            };
            counts.read += 1;
            let sold = row.sold(kinds.request(row.kind))?;
            match if days.contain(seen.day) { sold } else { Err(Unsent::OtherDay) } {
                Err(reason) => *counts.skipped.entry(reason).or_default() += 1,
                Ok(sold) => {
                    counts.sent += 1;
                    one_more(seen, &row)?;
                    offers.entry(sold.request.sku).or_insert(sold.unit_price);
                }
            }
        }
        if counts.read == 0 {
            return Err(FileError::NoLines);
        }
        some_in(days, &invoices)?;
        let last_line = |(number, seen): (String, Seen)| kinds.request(seen.kind).map(|_| (number, seen.last_line));
        Ok(Self {
            form: lines.form(),
            encoding: lines.encoding(),
            selection,
            lines: counts,
            invoices: invoice_counts(&invoices, selection),
            offers,
            last_line: invoices.into_iter().filter_map(last_line).collect(),
        })
    }
}

fn in_order(row: &Row<'_>, newest: u64) -> Result<u64, FileError> {
    if row.number > newest {
        return Ok(row.number);
    }
    let why = format!("does not come after {newest}: a line is repeated or out of order");
    Err(FileError::Value { line: row.line, column: "line", found: row.number.to_string(), why })
}

fn some_in(days: Days, invoices: &HashMap<String, Seen>) -> Result<(), FileError> {
    if days.are_all() || invoices.values().any(|seen| days.contain(seen.day)) {
        return Ok(());
    }
    let all = || invoices.values().map(|seen| seen.day);
    let (first, last) = (all().min().unwrap_or_default(), all().max().unwrap_or_default());
    let there = format!("those of the file are from {first} to {last}");
    Err(FileError::NoneInDays { asked: days.to_string(), there })
}

fn begins(row: &Row<'_>, selection: Selection) -> Result<Seen, FileError> {
    if let Some(kind) = selection.kinds.request(row.kind) {
        // Only for its errors: the second pass must not find any.
        Invoice::begin(row, kind, Some(Currency::GBP))?;
    }
    Ok(Seen {
        kind: row.kind,
        day: row.invoiced_at.date(),
        customer_id: row.customer_id.to_owned(),
        country: row.country.to_owned(),
        first_line: row.line,
        last_line: row.line,
        sent: 0,
    })
}

fn goes_on<'a>(seen: &'a mut Seen, row: &Row<'_>) -> Result<&'a mut Seen, FileError> {
    let begun = format!("than on line {}", seen.first_line);
    if seen.kind != row.kind {
        return Err(torn(row, format!("is of another kind {begun}")));
    }
    if seen.customer_id != row.customer_id || seen.country != row.country {
        return Err(torn(row, format!("is of another customer or country {begun}")));
    }
    if row.line - seen.first_line > SPAN_MAX {
        return Err(torn(row, format!("continues more than {SPAN_MAX} lines after line {}", seen.first_line)));
    }
    seen.last_line = row.line;
    Ok(seen)
}

fn one_more(seen: &mut Seen, row: &Row<'_>) -> Result<(), FileError> {
    seen.sent += 1;
    if seen.sent > LINES_MAX {
        return Err(torn(
            row,
            format!("has more than {LINES_MAX} lines, which is the most a purchase or a return may have"),
        ));
    }
    Ok(())
}

fn torn(row: &Row<'_>, why: String) -> FileError {
    FileError::Invoice { line: row.line, invoice: row.invoice.to_owned(), why }
}

fn invoice_counts(invoices: &HashMap<String, Seen>, selection: Selection) -> Counts<UnsentInvoice> {
    let mut counts = Counts { read: 0, sent: 0, skipped: BTreeMap::new() };
    for seen in invoices.values() {
        counts.read += 1;
        let reason = match (seen.kind, selection.kinds.request(seen.kind)) {
            _ if !selection.days.contain(seen.day) => UnsentInvoice::OtherDay,
            (_, Some(_)) if seen.sent > 0 => {
                counts.sent += 1;
                continue;
            }
            (_, Some(_)) | (Kind::Sale, None) => UnsentInvoice::NoLineLeft,
            (Kind::Cancellation, None) => UnsentInvoice::Cancellation,
            (Kind::Adjustment, None) => UnsentInvoice::Adjustment,
        };
        *counts.skipped.entry(reason).or_default() += 1;
    }
    counts
}
