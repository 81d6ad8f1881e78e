//! The second pass over the file: its invoices in order, packed into bodies of `POST /purchases/batch`.
//!
//! An invoice may be interrupted by lines of another. It is sent at the position where it began, once its last line,
//! which is known from the survey, is read.

use std::collections::VecDeque;

use csv::StringRecord;
use money::Currency;

use crate::expected::Rates;
use crate::file::FileError;
use crate::invoice::Invoice;
use crate::lines::Lines;
use crate::ndjson;
use crate::purchase::Submission;
use crate::row::{Kind, Row};
use crate::survey::Survey;

/// Maximum number of purchases in a batch: half of what the service accepts. The next batch is built while one is being
/// sent, so two are in memory.
const PURCHASES_MAX: usize = 500;

/// The size at which a batch is closed, in bytes: half of what the service accepts, so that the purchase that exceeds
/// it still fits (with 2,000 lines it has at most 400 kB).
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// The invoices of a file, in order.
pub struct Invoices<'a> {
    lines: Lines<'a>,
    record: StringRecord,
    survey: &'a Survey,
    pay_in: Option<Currency>,
    // The invoices that are not complete, and those that follow them.
    open: VecDeque<Invoice>,
    line: u64,
}

impl<'a> Invoices<'a> {
    /// The invoices of the surveyed days that have a line to send. All are paid in `pay_in`, or else each in its
    /// country's currency.
    pub fn of(lines: Lines<'a>, survey: &'a Survey, pay_in: Option<Currency>) -> Self {
        Self { lines, record: StringRecord::new(), survey, pay_in, open: VecDeque::new(), line: 1 }
    }

    /// The next invoice; `None` after the last.
    ///
    /// # Errors
    /// [`FileError`]. The survey would have returned it, unless the file was changed since.
    pub fn next(&mut self) -> Result<Option<Invoice>, FileError> {
        loop {
            while let Some(complete) = self.complete() {
                if !complete.lines.is_empty() {
                    return Ok(Some(complete));
                }
            }
            if !self.read_on()? {
                let torn = FileError::Changed { line: self.line };
                return if self.open.is_empty() { Ok(None) } else { Err(torn) };
            }
        }
    }

    fn complete(&mut self) -> Option<Invoice> {
        let ends = self.survey.last_line.get(&self.open.front()?.number)?;
        if *ends <= self.line { self.open.pop_front() } else { None }
    }

    fn read_on(&mut self) -> Result<bool, FileError> {
        let Some(place) = self.lines.next(&mut self.record)? else {
            return Ok(false);
        };
        let line = place.line;
        self.line = line;
        let row = Row::read(place, &self.record)?;
        if row.kind != Kind::Sale {
            return Ok(true);
        }
        let ends = self.survey.last_line.get(row.invoice);
        if ends.is_none_or(|ends| *ends < line) {
            return Err(FileError::Changed { line });
        }
        let sold = row.sold()?;
        let open = self.open.iter_mut().rev().find(|invoice| invoice.number == row.invoice);
        let invoice = match open {
            Some(invoice) => invoice,
            None => self.open.push_back_mut(Invoice::begin(&row, self.pay_in)?),
        };
        if let (Ok(sold), true) = (sold, self.survey.days.contain(invoice.day)) {
            invoice.add(sold);
        }
        Ok(true)
    }
}

/// The purchases of one request.
#[derive(Debug, Default)]
pub struct Batch {
    /// Newline-delimited JSON.
    pub body: Vec<u8>,
    /// The purchases in it.
    pub submissions: Vec<Submission>,
}

impl Batch {
    /// The next batch; `None` after the last.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn next(invoices: &mut Invoices<'_>, rates: &Rates) -> Result<Option<Self>, FileError> {
        let mut batch = Self::default();
        while batch.submissions.len() < PURCHASES_MAX && batch.body.len() < BYTES_MAX {
            let Some(invoice) = invoices.next()? else { break };
            batch.add(invoice, rates);
        }
        Ok((!batch.submissions.is_empty()).then_some(batch))
    }

    fn add(&mut self, invoice: Invoice, rates: &Rates) {
        self.submissions.push(Submission {
            request_id: invoice.request_id.clone(),
            customer: invoice.customer.clone(),
            expected: rates.expected_outcome(invoice.millionths, invoice.pay_in, invoice.occurred_at),
        });
        ndjson::write_line(&mut self.body, &invoice.into_request());
    }
}
