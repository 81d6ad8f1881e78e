//! `accept`: the ingress stage. It prices each purchase with local data and asks no other service.
//!
//! A request is priced with fixed versions of each offer and of the local copy of the rates. They are captured into
//! the request before it is priced, so that pricing it again, at any time, gives the same result.

mod quote;

use chrono::{DateTime, Utc};
use contracts::{
    AccountId, CustomerId, Fact, LineRequest, LineSold, OfferTerms, PURCHASES, PurchaseConfirmed, PurchaseRejected,
    PurchaseRequest, RateRow, Reason, ReasonCode, Sku,
};
use money::{Amount, Conversion, Currency, RateBook, RateVersion};
use serde::{Deserialize, Serialize};
use stage::{
    BatchNumber, Cell, Decimal, Event, IngressStage, Integer, Json, Nullable, Outputs, Partitioning, ReadSet,
    RequestId, Row as _, Stage, StageError, Table, Text, Time, WorkingSet,
};

use self::quote::{Charge, Quote, quote};

stage::payload! {
    /// A request to the service.
    pub enum AcceptInput {
        /// Buys.
        SubmitPurchase(SubmitPurchase),
        /// Sets an offer.
        SetOffer(SetOffer),
    }
}

/// A purchase request as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitPurchase {
    /// The content of the client's request.
    pub request: PurchaseRequest,
    /// The versions it is priced with; none until they are captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<CapturedVersions>,
}

/// The versions that a purchase is priced with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedVersions {
    /// The version of the local copy of the rates.
    pub rates: RateVersion,
    /// The version of each line's offer; 0 if there was none.
    pub offers: Vec<u64>,
}

/// A request to set an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetOffer {
    /// The product.
    pub sku: Sku,
    /// The terms of the offer.
    pub terms: OfferTerms,
}

stage::row! {
    /// The current version of an offer.
    pub struct OfferHeadRow: "offer_heads" {
        key {
            /// The product.
            sku: Sku => Text,
        }
        value {
            /// The newest version.
            version: u64 => Integer,
        }
    }
}

stage::row! {
    /// A version of an offer. Never changed.
    pub struct OfferRow: "offers" {
        key {
            /// The product.
            sku: Sku => Text,
            /// 1, 2, 3 …
            version: u64 => Integer,
        }
        value {
            /// The terms of this version.
            terms: OfferTerms => Json,
        }
    }
}

stage::row! {
    /// A purchase as it was accepted or rejected. Never changed: its later outcome is a row of another table.
    pub struct PurchaseRow: "purchases" {
        key {
            /// The client's request id. Each id has one purchase.
            request_id: RequestId => Text,
        }
        value {
            /// Hash of the request's content, to tell a retry from another request with the same id.
            content_hash: String => Text,
            /// The customer who buys.
            customer: CustomerId => Text,
            /// The currency to pay in.
            pay_in: Currency => Text,
            /// When the purchase happened.
            occurred_at: DateTime<Utc> => Time,
            /// Why it was rejected; none if it was confirmed.
            reason_code: Option<ReasonCode> => Nullable<Text>,
            /// The same reason, for people.
            reason_detail: Option<String> => Nullable<Text>,
            /// The amount that the seller gets.
            total: Option<Amount> => Nullable<Decimal>,
            /// The currency of `total`.
            price_currency: Option<Currency> => Nullable<Text>,
            /// The amount that the customer pays, in `pay_in`.
            charged: Option<Amount> => Nullable<Decimal>,
            /// How `total` was converted to `charged`.
            conversion: Option<Conversion> => Nullable<Json>,
            /// The requested lines, each with its unit price if the purchase was confirmed.
            lines: Vec<LineRequest> => Json,
            /// The batch that wrote this row. Its batch record contains the time.
            batch: BatchNumber => Integer,
        }
    }
}

impl PurchaseRow {
    fn new(
        request_id: &RequestId,
        content_hash: String,
        request: &PurchaseRequest,
        occurred_at: DateTime<Utc>,
        quote: &Quote,
        batch: BatchNumber,
    ) -> Self {
        let charge = quote.as_ref().ok();
        let (reason_code, reason_detail) = Reason::columns(quote.as_ref().err());
        Self {
            request_id: request_id.clone(),
            content_hash,
            customer: request.customer.clone(),
            pay_in: request.pay_in,
            occurred_at,
            reason_code,
            reason_detail,
            total: charge.map(|charge| charge.total.amount()),
            price_currency: charge.map(|charge| charge.total.currency()),
            charged: charge.map(|charge| charge.charged.amount()),
            conversion: charge.map(|charge| charge.conversion.clone()),
            lines: charge.map_or_else(|| request.lines.clone(), |charge| charge.lines.iter().map(priced).collect()),
            batch,
        }
    }

    /// Why it was rejected, if it was.
    pub fn reason(&self) -> Option<Reason> {
        Reason::of_columns(self.reason_code, self.reason_detail.as_deref())
    }
}

/// A reply of the ingress stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The purchase, new or as it is stored.
    Purchase(Box<PurchaseRow>),
    /// The id belongs to another request.
    Conflict,
    /// The current version of the offer.
    Offer(OfferRow),
}

/// Accepts purchases and offers.
#[derive(Default)]
pub struct Accept {
    rates: RateBook,
}

impl Stage for Accept {
    type Input = AcceptInput;
    type Output = Fact;
    const NAME: &'static str = "accept";
    const PARTITIONING: Partitioning = Partitioning::Unkeyed;
    const TABLES: &'static [&'static Table] = &[PurchaseRow::TABLE, OfferHeadRow::TABLE, OfferRow::TABLE];

    fn read_set(&self, event: &Event<AcceptInput>, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
        match &event.fact {
            AcceptInput::SetOffer(request) => offer_reads(&request.sku, rows, reads),
            AcceptInput::SubmitPurchase(submission) => {
                reads.row::<PurchaseRow>(&(event.cause.request_id.clone(),));
                for (at, line) in submission.request.lines.iter().enumerate() {
                    match &submission.captured {
                        None => offer_reads(&line.sku, rows, reads)?,
                        Some(captured) => {
                            let version = captured.offers.get(at).copied().unwrap_or_default();
                            reads.row::<OfferRow>(&(line.sku.clone(), version));
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn apply(
        &self,
        event: &Event<AcceptInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<(), StageError> {
        self.submit(event, rows, out).map(drop)
    }
}

impl IngressStage for Accept {
    type Reply = Reply;
    const SIDE_INPUT: Option<&'static Table> = Some(RateRow::TABLE);

    fn capture(&self, event: &mut Event<AcceptInput>, rows: &WorkingSet) -> Result<(), StageError> {
        if let AcceptInput::SubmitPurchase(submission) = &mut event.fact {
            let lines = submission.request.lines.iter();
            let offers = lines.map(|line| head(&line.sku, rows)).collect::<Result<_, _>>()?;
            submission.captured = Some(CapturedVersions { rates: self.rates.newest_version(), offers });
        }
        Ok(())
    }

    fn submit(
        &self,
        event: &Event<AcceptInput>,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<Reply, StageError> {
        match &event.fact {
            AcceptInput::SetOffer(request) => set_offer(request, rows).map(Reply::Offer),
            AcceptInput::SubmitPurchase(submission) => self.purchase(event, submission, rows, out),
        }
    }

    fn on_side_input(&mut self, row: &[Cell]) -> Result<(), StageError> {
        let row = RateRow::from_cells(row)?;
        self.rates.insert(row.version(), row.valid_from, &row.source, &row.rates);
        Ok(())
    }
}

impl Accept {
    fn purchase(
        &self,
        event: &Event<AcceptInput>,
        submission: &SubmitPurchase,
        rows: &mut WorkingSet,
        out: &mut Outputs<Fact>,
    ) -> Result<Reply, StageError> {
        let request_id = &event.cause.request_id;
        let content_hash = stage::content_hash(&submission.request)?;
        if let Some(row) = rows.get::<PurchaseRow>(&(request_id.clone(),))? {
            let same = row.content_hash == content_hash;
            return Ok(if same { Reply::Purchase(Box::new(row)) } else { Reply::Conflict });
        }
        let captured = submission.captured.as_ref();
        let captured = captured.ok_or_else(|| StageError::Rule("the request has no captured versions".to_owned()))?;
        let request = &submission.request;
        let occurred_at = request.occurred_at.unwrap_or(event.cause.time);
        let offers = offers(request, captured, rows)?;
        let quote = quote(request, &offers, occurred_at, &self.rates, captured.rates);
        let row = PurchaseRow::new(request_id, content_hash, request, occurred_at, &quote, out.batch());
        rows.put(&row)?;
        let (purchase, customer) = (request_id.clone(), request.customer.clone());
        let account = AccountId::of_customer(&customer).key();
        let fact = match quote {
            Err(reason) => Fact::PurchaseRejected(PurchaseRejected { purchase, customer, reason }),
            Ok(Charge { total, charged, conversion, lines }) => Fact::PurchaseConfirmed(PurchaseConfirmed {
                purchase,
                customer,
                occurred_at,
                total,
                charged,
                conversion,
                lines,
            }),
        };
        out.emit(&PURCHASES, account, fact)?;
        Ok(Reply::Purchase(Box::new(row)))
    }
}

fn priced(line: &LineSold) -> LineRequest {
    LineRequest { sku: line.sku.clone(), quantity: line.quantity, unit_price: Some(line.unit_price) }
}

fn head(sku: &Sku, rows: &WorkingSet) -> Result<u64, StageError> {
    Ok(rows.get::<OfferHeadRow>(&(sku.clone(),))?.map_or(0, |head| head.version))
}

/// Reads the number of the current version first, then that version.
fn offer_reads(sku: &Sku, rows: &WorkingSet, reads: &mut ReadSet) -> Result<(), StageError> {
    reads.row::<OfferHeadRow>(&(sku.clone(),));
    if rows.is_loaded::<OfferHeadRow>(&(sku.clone(),)) {
        reads.row::<OfferRow>(&(sku.clone(), head(sku, rows)?));
    }
    Ok(())
}

/// The terms of each line's offer, in the captured versions.
fn offers(
    request: &PurchaseRequest,
    captured: &CapturedVersions,
    rows: &WorkingSet,
) -> Result<Vec<Option<OfferTerms>>, StageError> {
    let (wanted, versions) = (request.lines.len(), captured.offers.len());
    if wanted != versions {
        return Err(StageError::Rule(format!("{wanted} lines, but captured versions of {versions} offers")));
    }
    let versions = captured.offers.iter();
    let offer = |(line, version): (&LineRequest, &u64)| {
        Ok(rows.get::<OfferRow>(&(line.sku.clone(), *version))?.map(|offer| offer.terms))
    };
    request.lines.iter().zip(versions).map(offer).collect()
}

/// Setting the same terms again changes nothing.
fn set_offer(request: &SetOffer, rows: &mut WorkingSet) -> Result<OfferRow, StageError> {
    let (sku, version) = (request.sku.clone(), head(&request.sku, rows)?);
    if let Some(offer) = rows.get::<OfferRow>(&(sku.clone(), version))?
        && offer.terms == request.terms
    {
        return Ok(offer);
    }
    let offer = OfferRow { sku: sku.clone(), version: version + 1, terms: request.terms.clone() };
    rows.insert(&offer)?;
    rows.put(&OfferHeadRow { sku, version: offer.version })?;
    Ok(offer)
}

#[cfg(test)]
mod tests;
