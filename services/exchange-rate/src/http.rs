//! `GET` and `PUT /rates/{base}/{quote}`, `GET /rates`, `POST /rates/import`.

use std::sync::{Arc, PoisonError, RwLock};

use ::web::{Api, NotFound, Problem, Reading, UnprocessableContent, Writing, endpoints};
use actix::Addr;
use actix_web::web::{self, Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{SubsecRound as _, Utc};
use contracts::{AsOf, Imported, RatePut, RateQuote, RateRow, ShownRate};
use dataflow::{Ingress, Store, StoreError};
use money::{Currency, PublishedRate, RateBook, RateSource};
use stage::Cell;

use crate::SERVICE;
use crate::import::{self, cause};
use crate::record_rates::{Moment, RecordRates, SetRates};

/// Bytes of a rate in JSON at most.
const RATE_BYTES_MAX: usize = 4 << 10;
/// Bytes of a file to import at most: eight times the ECB's whole history, unpacked.
const FILE_BYTES_MAX: usize = 16 << 20;
/// Versions read at a time.
const VERSIONS_MAX: usize = 1_000;
/// Who sets a rate by `PUT`.
const MANUAL: &str = "manual";

/// What the routes need. Clones share it.
#[derive(Clone)]
pub struct Rates {
    store: Store,
    ingress: Addr<Ingress<RecordRates>>,
    book: Arc<RwLock<RateBook>>,
}

impl Rates {
    /// Reads from the store, writes through the way in.
    pub fn new(store: Store, ingress: Addr<Ingress<RecordRates>>) -> Self {
        Self { store, ingress, book: Arc::default() }
    }

    /// Asks the book once it knows every version that is committed.
    async fn with_book<T>(&self, question: impl FnOnce(&RateBook) -> T) -> Result<T, StoreError> {
        loop {
            let known = self.book.read().unwrap_or_else(PoisonError::into_inner).newest_version();
            let after = i64::try_from(known.0).unwrap_or(i64::MAX);
            let rows = self.store.rows::<RateRow>(&[], Some(&[Cell::Integer(after)]), VERSIONS_MAX).await?;
            if rows.is_empty() {
                return Ok(question(&self.book.read().unwrap_or_else(PoisonError::into_inner)));
            }
            let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
            rows.iter().for_each(|row| book.learn(row.version(), row.valid_from, &row.source, &row.rates));
        }
    }
}

const DESCRIPTION: &str = "The system of record of exchange rates: every version is kept, and asked for as of a moment. \
                           It publishes what is new and is never asked for a price: whoever needs rates keeps a copy.";

/// What the service serves; the handlers find `Rates`.
pub fn api() -> Api {
    Api::new(SERVICE, DESCRIPTION, endpoints![get, list, put, import])
}

/// The rate of a pair of currencies.
///
/// The newest that is valid: of the pair itself, its inverse, or the cross through EUR, in this order when they are
/// equally new. A quotient has 12 significant digits.
#[utoipa::path(
    get, path = "/rates/{base}/{quote}", tag = "rates", operation_id = "get_rate",
    params(
        ("base" = Currency, Path, description = "The currency of which there is one unit."),
        ("quote" = Currency, Path, description = "The currency that the rate counts; another one."),
        AsOf
    ),
    responses((status = 200, description = "The rate.", body = RateQuote), NotFound, UnprocessableContent, Reading)
)]
async fn get(rates: Data<Rates>, request: HttpRequest) -> Result<Json<RateQuote>, Problem> {
    let (base, quote) = pair(&request)?;
    let at = ::web::query::<AsOf>(&request)?.at.unwrap_or_else(Utc::now);
    let conversion = rates.with_book(|book| book.as_of(base, quote, at, book.newest_version())).await?;
    let shown = conversion.as_ref().and_then(ShownRate::of);
    let missing = || Problem::not_found(format!("no rate from {base} to {quote} was known for {at}"));
    shown.map(Json).ok_or_else(missing)
}

/// All rates, as they were published.
#[utoipa::path(
    get, path = "/rates", tag = "rates", operation_id = "list_rates", params(AsOf),
    responses((status = 200, description = "The rates.", body = [PublishedRate]), UnprocessableContent, Reading)
)]
async fn list(rates: Data<Rates>, request: HttpRequest) -> Result<Json<Vec<PublishedRate>>, Problem> {
    let at = ::web::query::<AsOf>(&request)?.at.unwrap_or_else(Utc::now);
    Ok(Json(rates.with_book(|book| book.all_as_of(at, book.newest_version())).await?))
}

/// Sets a rate.
///
/// Setting the same again changes nothing.
#[utoipa::path(
    put, path = "/rates/{base}/{quote}", tag = "rates", operation_id = "put_rate",
    params(
        ("base" = Currency, Path, description = "The currency of which there is one unit."),
        ("quote" = Currency, Path, description = "The currency that the rate counts; another one.")
    ),
    request_body = RatePut,
    responses((status = 200, description = "The rate as it is now held.", body = RateQuote), UnprocessableContent, Writing)
)]
async fn put(
    rates: Data<Rates>,
    request: HttpRequest,
    trace: ::web::Traceparent,
    payload: web::Payload,
) -> Result<Json<RateQuote>, Problem> {
    let (base, quote) = pair(&request)?;
    let RatePut { rate, valid_from } = ::web::json_body(&request, payload, RATE_BYTES_MAX).await?;
    let valid_from = valid_from.trunc_subsecs(6);
    let source: RateSource = MANUAL.parse().map_err(|error: money::Invalid| Problem::internal(&error))?;
    let moment = Moment { valid_from, rates: [(base, [(quote, rate)].into())].into() };
    let asked = SetRates { source, moments: vec![moment], completes_history: false };
    import::record(&rates.ingress, cause(&trace), asked, RATE_BYTES_MAX).await?;
    // At its own moment the pair itself comes before its inverse and the cross.
    let held = rates.with_book(|book| book.as_of(base, quote, valid_from, book.newest_version())).await?;
    held.as_ref().and_then(ShownRate::of).map(Json).ok_or_else(::web::unexpected)
}

/// Takes in a file of the European Central Bank, whole or not at all.
///
/// Its reference rates (`eurofxref`) in any form it publishes them: the history or one day as CSV; one day, 90 days or the
/// history as XML; any of these in a ZIP, not in gzip. The form is detected from the content, not from names and headers.
/// A text may begin with a byte order mark, and a CSV may lack the comma that ends each of its lines. The days are
/// 1999-01-04 to tomorrow.
#[utoipa::path(
    post, path = "/rates/import", tag = "rates", operation_id = "import_rates",
    request_body(description = "At most 16 MiB.", content((Vec<u8> = "application/zip"), (String = "text/csv"), (String = "application/xml"))),
    responses((status = 200, description = "What it came to.", body = Imported), UnprocessableContent, Writing)
)]
async fn import(
    rates: Data<Rates>,
    request: HttpRequest,
    trace: ::web::Traceparent,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let file = ::web::body(&request, payload, FILE_BYTES_MAX).await?;
    let imported = import::import(&rates.ingress, cause(&trace), file, false).await?;
    Ok(HttpResponse::Ok().json(imported))
}

fn pair(request: &HttpRequest) -> Result<(Currency, Currency), Problem> {
    let currency = |name: &'static str| {
        let code = ::web::segment::decode(request, name)?;
        code.parse::<Currency>().map_err(|error| Problem::unprocessable(error.to_string()).of_parameter(name))
    };
    let (base, quote) = (currency("base")?, currency("quote")?);
    if base == quote {
        return Err(Problem::unprocessable(format!("{base} and {quote} are the same currency")).of_parameter("quote"));
    }
    Ok((base, quote))
}
