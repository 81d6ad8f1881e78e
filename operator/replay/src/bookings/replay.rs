//! One day after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use contracts::{Cancellation, CancellationStatus, CustomerId, LineRequest, LineStatus};
use contracts::{NumberedCancellationRequest, NumberedPurchaseRequest, PurchaseId, Reason, ReasonCode, Status};
use money::{Currency, Money, Quantity, UnitPrice};
use operator_client::{Progress, ServiceClient, ServiceError};
use serde::{Deserialize, Serialize};
use stage::RequestId;

use super::model::Model;
use super::nights::{Booking, decimal, noon};
use crate::request_kind::RequestKind;
use crate::{ndjson, sending};

/// The maximum number of bookings in a request.
const BATCH_MAX: usize = 500;
/// The longest time for the outcome of one booking, or one cancellation.
const OUTCOME_MAX: Duration = Duration::from_secs(60);
/// The pause between two requests for the same outcome.
const PAUSE: Duration = Duration::from_millis(20);

/// Why the replay stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A booking or its cancellation was refused as a request, which has nothing to do with rooms.
    #[error("the service refused the booking of line {line}, or its cancellation: {problem}")]
    Refused {
        /// The line of the file.
        line: u64,
        /// The problem.
        problem: String,
    },
    /// An outcome did not come.
    #[error("the booking of line {line} has no {what} after {} s", OUTCOME_MAX.as_secs())]
    Stuck {
        /// The line of the file.
        line: u64,
        /// What is missing.
        what: &'static str,
    },
    /// The service is unavailable, or refuses a request.
    #[error("stopped on {day}; run it again to continue: nothing is done twice")]
    Service {
        /// The day that is not finished.
        day: NaiveDate,
        /// The cause.
        source: ServiceError,
    },
}

/// What is read of a purchase.
#[derive(Clone, Debug, Deserialize)]
pub struct BookingResponse {
    /// Its status.
    pub status: Status,
    /// Why it has no room.
    pub reason: Option<Reason>,
    /// The amount that the guest paid.
    pub charged: Option<Money>,
    /// The amount that the guest got back.
    pub refunded: Option<Money>,
    /// The vouchers that the guest got.
    pub vouchers: Option<Money>,
    /// The cancellation.
    pub cancellation: Option<Cancellation>,
    /// Its nights.
    pub lines: Vec<NightResponse>,
}

impl BookingResponse {
    /// Whether it was cancelled, and its rooms are free again.
    pub fn is_ended(&self) -> bool {
        self.cancellation.as_ref().is_some_and(|cancellation| cancellation.status == CancellationStatus::Completed)
    }

    /// Whether the reason is that there was no room.
    pub fn is_sold_out(&self) -> bool {
        self.reason.as_ref().is_some_and(|reason| reason.code == ReasonCode::SoldOut)
    }
}

/// What is read of a night.
#[derive(Clone, Debug, Deserialize)]
pub struct NightResponse {
    /// What became of it.
    pub state: Option<LineStatus>,
}

/// The request id of a booking.
pub fn request_id(booking: &Booking) -> RequestId {
    RequestId(format!("booking-{}", booking.line))
}

/// The path of a booking's purchase.
pub fn path(booking: &Booking) -> String {
    format!("/purchases/{}", PurchaseId::of(&request_id(booking)))
}

/// A booking with its index.
type Indexed<'a> = (usize, &'a Booking);

/// What happens on a day.
#[derive(Debug, Default)]
struct Day<'a> {
    /// Bookings made earlier that end.
    ending: Vec<Indexed<'a>>,
    /// Bookings that are made.
    made: Vec<Indexed<'a>>,
    /// Bookings that are made and end.
    ending_at_once: Vec<Indexed<'a>>,
}

/// A replay, and the model that follows it.
pub struct Replay<'a> {
    purchase: &'a ServiceClient,
    bookings: &'a [Booking],
    /// The bookings with rooms, as the service returned it.
    accepted: BTreeSet<usize>,
    /// The model.
    pub model: Model,
    /// The number of bookings that ended, as the service returned it.
    pub ended: u64,
    progress: Progress,
    sent: u64,
}

impl<'a> Replay<'a> {
    /// A replay of these bookings that has not begun.
    pub fn new(purchase: &'a ServiceClient, bookings: &'a [Booking], model: Model, progress: Progress) -> Self {
        Self { purchase, bookings, accepted: BTreeSet::new(), model, ended: 0, progress, sent: 0 }
    }

    /// Plays all days. What ends after the last booking of a day is sent with what ends before the first booking of the
    /// next one: nobody books between them.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn play(&mut self) -> Result<(), ReplayError> {
        let mut ending = Vec::new();
        for (day, at) in days(self.bookings) {
            ending.extend(at.ending.iter().map(|indexed| (day, *indexed)));
            if !at.made.is_empty() {
                self.end(&std::mem::take(&mut ending)).await?;
            }
            for batch in at.made.chunks(BATCH_MAX) {
                self.book(day, batch).await?;
            }
            ending.extend(at.ending_at_once.iter().map(|indexed| (day, *indexed)));
        }
        self.end(&ending).await
    }

    /// Sends bookings in their order, and waits for their outcomes.
    async fn book(&mut self, day: NaiveDate, batch: &[Indexed<'_>]) -> Result<(), ReplayError> {
        let failed = |source| ReplayError::Service { day, source };
        let requests = batch.iter().map(|(_, booking)| request(booking)).collect::<Result<Vec<_>, _>>()?;
        let body = ndjson(requests.iter());
        let ids: Vec<_> = batch.iter().map(|(_, booking)| request_id(booking)).collect();
        let to = RequestKind::Purchase.batch_path();
        let attempt = async || sending::attempt(self.purchase, to, &body, &ids, &self.progress).await;
        let responses = self.purchase.retry(attempt).await.map_err(failed)?;
        for ((index, booking), response) in batch.iter().zip(responses) {
            self.model.book(*index, booking);
            let response: Outcome = response.map_err(|problem| ReplayError::Refused { line: booking.line, problem })?;
            let mut status = response.status;
            let since = Instant::now();
            while !status.is_outcome() {
                if since.elapsed() > OUTCOME_MAX {
                    return Err(ReplayError::Stuck { line: booking.line, what: "outcome" });
                }
                tokio::time::sleep(PAUSE).await;
                let read = self.purchase.get::<Outcome>(&path(booking)).await.map_err(failed)?;
                status = read.map_or(status, |response| response.status);
            }
            if status == Status::Settled {
                self.accepted.insert(*index);
            }
        }
        self.sent += batch.len() as u64;
        self.progress.sent(self.sent, self.sent);
        Ok(())
    }

    /// Ends bookings, in any order, and waits until their rooms are free.
    async fn end(&mut self, ending: &[(NaiveDate, Indexed<'_>)]) -> Result<(), ReplayError> {
        for (_, (index, booking)) in ending {
            self.model.end(*index, booking);
        }
        let to_end = ending.iter().filter(|(_, (index, _))| self.accepted.contains(index));
        let to_end: Vec<_> = to_end.map(|(day, (_, booking))| (*day, *booking)).collect();
        for batch in to_end.chunks(BATCH_MAX) {
            self.end_batch(batch).await?;
        }
        Ok(())
    }

    /// Sends cancellations until all of them are over. Those of an earlier request are sent again, and change nothing.
    async fn end_batch(&mut self, batch: &[(NaiveDate, &Booking)]) -> Result<(), ReplayError> {
        let (mut open, since) = (batch.to_vec(), Instant::now());
        while let Some((day, first)) = open.first().copied() {
            if since.elapsed() > OUTCOME_MAX {
                return Err(ReplayError::Stuck { line: first.line, what: "end of its cancellation" });
            }
            let ids: Vec<_> = open.iter().map(|(_, booking)| request_id(booking)).collect();
            let request = |(day, booking): &(NaiveDate, &Booking)| NumberedCancellationRequest {
                request_id: request_id(booking),
                occurred_at: Some(noon(*day)),
            };
            let body = ndjson(open.iter().map(request));
            let attempt =
                async || sending::attempt(self.purchase, sending::CANCELLATIONS, &body, &ids, &self.progress).await;
            let responses = self.purchase.retry(attempt).await;
            let responses = responses.map_err(|source| ReplayError::Service { day, source })?;
            let mut pending = Vec::new();
            for ((day, booking), response) in open.into_iter().zip(responses) {
                let ended: Ended = response.map_err(|problem| ReplayError::Refused { line: booking.line, problem })?;
                match ended.cancellation.map(|cancellation| cancellation.status) {
                    Some(CancellationStatus::Completed) => self.ended += 1,
                    Some(CancellationStatus::Rejected) => {}
                    Some(CancellationStatus::Pending) | None => pending.push((day, booking)),
                }
            }
            open = pending;
        }
        Ok(())
    }
}

/// Requests, one per line.
fn ndjson<T: Serialize>(requests: impl Iterator<Item = T>) -> Vec<u8> {
    let mut body = Vec::new();
    for request in requests {
        ndjson::write_line(&mut body, &request);
    }
    body
}

/// The status alone.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Outcome {
    status: Status,
}

/// The end of a booking alone.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Ended {
    cancellation: Option<EndedStatus>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct EndedStatus {
    status: CancellationStatus,
}

fn days(bookings: &[Booking]) -> BTreeMap<NaiveDate, Day<'_>> {
    let mut days: BTreeMap<NaiveDate, Day<'_>> = BTreeMap::new();
    for (index, booking) in bookings.iter().enumerate() {
        let indexed = (index, booking);
        days.entry(booking.made_on).or_default().made.push(indexed);
        match booking.ended_on {
            Some(day) if day == booking.made_on => days.entry(day).or_default().ending_at_once.push(indexed),
            Some(day) => days.entry(day).or_default().ending.push(indexed),
            None => {}
        }
    }
    days
}

/// The purchase of a booking. Every guest is a customer of their own, since the file names none.
fn request(booking: &Booking) -> Result<NumberedPurchaseRequest, ReplayError> {
    let refused = |problem: String| ReplayError::Refused { line: booking.line, problem };
    let customer =
        CustomerId::try_from(format!("guest-{}", booking.line)).map_err(|error| refused(error.to_string()))?;
    let price = UnitPrice::parse(&decimal(booking.night_cents.into()), Currency::EUR)
        .map_err(|error| refused(error.to_string()))?;
    let quantity = Quantity::new(1_i128).map_err(|error| refused(error.to_string()))?;
    let line = |sku| LineRequest { sku, quantity, unit_price: Some(price) };
    Ok(NumberedPurchaseRequest {
        request_id: request_id(booking),
        customer,
        pay_in: Currency::EUR,
        lines: booking.nights().map(|night| line(night.sku())).collect(),
        occurred_at: Some(noon(booking.made_on)),
        partial: false,
    })
}
