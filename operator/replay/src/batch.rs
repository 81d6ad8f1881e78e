//! The second pass over the file: its invoices in order, packed into bodies of `POST /purchases/batch` and
//! `POST /returns/batch`. The order within each is that of the file; a return depends on no purchase, so returns may go
//! later than sales that follow them.
//!
//! An invoice may be interrupted by lines of another. It is sent at the position where it began, once its last line,
//! which is known from the survey, is read.

use std::collections::{BTreeMap, VecDeque};

use csv::StringRecord;
use money::Currency;

use crate::expected::Rates;
use crate::file::FileError;
use crate::invoice::Invoice;
use crate::lines::Lines;
use crate::purchase::Submission;
use crate::request_kind::RequestKind;
use crate::row::Row;
use crate::selection::Selection;
use crate::survey::Survey;

/// Maximum number of requests in a batch: half of what the service accepts. The next batches, one of purchases and one of
/// returns, are built while one is being sent and one waits, so four are in memory at most.
const REQUESTS_MAX: usize = 500;

/// The size at which a batch is closed, in bytes: half of what the service accepts, so that the request that exceeds
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
    /// The selected invoices that have a line to send. All are paid in `pay_in`, or else each in its
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
        let Selection { days, kinds } = self.survey.selection;
        let Some(kind) = kinds.request(row.kind) else {
            return Ok(true);
        };
        let ends = self.survey.last_line.get(row.invoice);
        if ends.is_none_or(|ends| *ends < line) {
            return Err(FileError::Changed { line });
        }
        let sold = row.sold(Some(kind))?;
        let open = self.open.iter_mut().rev().find(|invoice| invoice.number == row.invoice);
        let invoice = match open {
            Some(invoice) => invoice,
            None => self.open.push_back_mut(Invoice::begin(&row, kind, self.pay_in)?),
        };
        if let (Ok(sold), true) = (sold, days.contain(invoice.day)) {
            invoice.add(sold);
        }
        Ok(true)
    }
}

/// Requests of one kind that are sent together.
#[derive(Debug)]
pub struct Batch {
    /// What they are.
    pub kind: RequestKind,
    /// Newline-delimited JSON.
    pub body: Vec<u8>,
    /// The requests in it.
    pub submissions: Vec<Submission>,
}

impl Batch {
    fn add(&mut self, invoice: Invoice, rates: &Rates) {
        self.submissions.push(Submission {
            kind: invoice.kind,
            request_id: invoice.request_id.clone(),
            customer: invoice.customer.clone(),
            expected: rates.expected_outcome(invoice.millionths, invoice.pay_in, invoice.occurred_at),
        });
        invoice.write(&mut self.body);
    }

    fn is_full(&self) -> bool {
        self.submissions.len() >= REQUESTS_MAX || self.body.len() >= BYTES_MAX
    }
}

/// The batches of a file.
pub struct Batches<'a> {
    invoices: Invoices<'a>,
    rates: &'a Rates,
    /// Those that are not full yet.
    open: BTreeMap<RequestKind, Batch>,
}

impl<'a> Batches<'a> {
    /// The batches of these invoices, with the results that these rates let expect.
    pub fn of(invoices: Invoices<'a>, rates: &'a Rates) -> Self {
        Self { invoices, rates, open: BTreeMap::new() }
    }

    /// The next batch: as soon as one is full, and at the end those that are left. `None` after the last.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn next(&mut self) -> Result<Option<Batch>, FileError> {
        while let Some(invoice) = self.invoices.next()? {
            let kind = invoice.kind;
            let batch = self.open.entry(kind);
            let batch = batch.or_insert_with(|| Batch { kind, body: Vec::new(), submissions: Vec::new() });
            batch.add(invoice, self.rates);
            if batch.is_full() {
                return Ok(self.open.remove(&kind));
            }
        }
        Ok(self.open.pop_first().map(|(_, batch)| batch))
    }
}
