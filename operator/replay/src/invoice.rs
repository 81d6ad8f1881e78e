//! Invoices. A sale invoice is a purchase, a cancellation a return.

use chrono::{DateTime, NaiveDate, Utc};
use contracts::{CustomerId, LineRequest, NumberedPurchaseRequest, NumberedReturnRequest};
use money::Currency;
use stage::RequestId;

use crate::country::currency_of;
use crate::file::FileError;
use crate::london::in_london;
use crate::ndjson;
use crate::request_kind::RequestKind;
use crate::row::{Row, Sold};

/// An invoice of the file, as it is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Invoice {
    /// What it is sent as.
    pub kind: RequestKind,
    /// Its number in the file.
    pub number: String,
    /// Its request id, a function of its number: sent again, it is the same request.
    pub request_id: RequestId,
    /// The customer. Each invoice without a customer number gets a guest of its own.
    pub customer: CustomerId,
    /// The currency of the payment, or of the refund.
    pub pay_in: Currency,
    /// The time of its first line.
    pub occurred_at: DateTime<Utc>,
    /// The day of its first line, in London time.
    pub day: NaiveDate,
    /// The lines to send.
    pub lines: Vec<LineRequest>,
    /// The total of these lines, in millionths of a pound.
    pub millionths: i128,
}

impl Invoice {
    /// The invoice that this line begins. It is paid in `pay_in`, or else in its country's currency.
    ///
    /// # Errors
    /// [`FileError::Value`] when the number of the invoice or of the customer cannot be sent.
    pub fn begin(row: &Row<'_>, kind: RequestKind, pay_in: Option<Currency>) -> Result<Self, FileError> {
        let request_id = contracts::request_id(&format!("retail-{}", row.invoice));
        let customer = match row.customer_id {
            "" => format!("guest-{}", row.invoice),
            known => known.to_owned(),
        };
        Ok(Self {
            kind,
            number: row.invoice.to_owned(),
            request_id: request_id.map_err(|error| row.wrong_invoice(&error))?,
            customer: CustomerId::try_from(customer).map_err(|error| row.wrong_customer(&error))?,
            pay_in: pay_in.unwrap_or_else(|| currency_of(row.country)),
            occurred_at: in_london(row.invoiced_at),
            day: row.invoiced_at.date(),
            lines: Vec::new(),
            millionths: 0,
        })
    }

    /// Adds a line.
    pub fn add(&mut self, sold: Sold) {
        self.millionths += sold.millionths;
        self.lines.push(sold.request);
    }

    /// Writes the request to send.
    pub fn write(self, body: &mut Vec<u8>) {
        let Self { kind, request_id, customer, pay_in, lines, occurred_at, .. } = self;
        let occurred_at = Some(occurred_at);
        match kind {
            RequestKind::Purchase => {
                let partial = false;
                let request = NumberedPurchaseRequest { request_id, customer, pay_in, lines, occurred_at, partial };
                ndjson::write_line(body, &request);
            }
            RequestKind::Return => {
                let request = NumberedReturnRequest { request_id, customer, pay_in, lines, occurred_at };
                ndjson::write_line(body, &request);
            }
        }
    }
}
