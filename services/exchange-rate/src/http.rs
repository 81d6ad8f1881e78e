//! The HTTP handlers: `GET` and `PUT /rates/{base}/{quote}`, `GET /rates`, `POST /rates/import`.

use std::sync::{Arc, PoisonError, RwLock};

use ::web::{Api, NotFound, Problem, Reading, UnprocessableContent, Writing, endpoints};
use actix::Addr;
use actix_web::web::{self, Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{SubsecRound as _, Utc};
use contracts::{AsOf, Imported, RatePut, RateQuote, RateRow};
use dataflow::{Ingress, Store, StoreError};
use money::{Currency, PublishedRate, RateBook, RateSource};
use stage::Cell;

use crate::SERVICE;
use crate::import::{self, cause};
use crate::record_rates::{Moment, RecordRates, SetRates};

/// The largest rate in JSON, in bytes.
const RATE_BYTES_MAX: usize = 4 << 10;
/// The largest file to import, in bytes: eight times the ECB's whole history, unpacked.
const FILE_BYTES_MAX: usize = 16 << 20;
/// The number of versions that one query reads from the store.
const VERSIONS_MAX: usize = 1_000;
/// The source of a rate that `PUT` sets.
const MANUAL: &str = "manual";

/// The state of the handlers: the store, the ingress partition and a rate book that caches the store. Clones share it.
#[derive(Clone)]
pub struct Rates {
    store: Store,
    ingress: Addr<Ingress<RecordRates>>,
    book: Arc<RwLock<RateBook>>,
}

impl Rates {
    /// The state with an empty rate book. Handlers read from the store and write through the ingress partition.
    pub fn new(store: Store, ingress: Addr<Ingress<RecordRates>>) -> Self {
        Self { store, ingress, book: Arc::default() }
    }

    /// Reads all newly committed versions into the rate book, then reads from the book.
    async fn with_book<T>(&self, read: impl FnOnce(&RateBook) -> T) -> Result<T, StoreError> {
        loop {
            let known = self.book.read().unwrap_or_else(PoisonError::into_inner).newest_version();
            let after = i64::try_from(known.0).unwrap_or(i64::MAX);
            let rows = self.store.rows::<RateRow>(&[], Some(&[Cell::Integer(after)]), VERSIONS_MAX).await?;
            if rows.is_empty() {
                return Ok(read(&self.book.read().unwrap_or_else(PoisonError::into_inner)));
            }
            let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
            rows.iter().for_each(|row| book.insert(row.version(), row.valid_from, &row.source, &row.rates));
        }
    }
}

const DESCRIPTION: &str = "The system of record of exchange rates. It keeps every version of a rate, shows the rates \
                           as of any moment, and publishes new versions. Services that need rates keep a local copy.";

/// The API of the service. Its handlers need `Rates` as state.
pub fn api() -> Api {
    Api::new(SERVICE, DESCRIPTION, endpoints![get, list, put, import])
}

/// The rate of a pair of currencies.
///
/// The newest valid rate among those of the pair itself, its inverse, and the cross through EUR. If they are equally
/// new, this order decides. A quotient has 12 significant digits.
#[utoipa::path(
    get, path = "/rates/{base}/{quote}", tag = "rates", operation_id = "get_rate",
    params(
        ("base" = Currency, Path, description = "The base currency: the rate is for one unit of it."),
        ("quote" = Currency, Path, description = "The quote currency: the rate is in units of it. Not `base`."),
        AsOf
    ),
    responses((status = 200, description = "The rate.", body = RateQuote), NotFound, UnprocessableContent, Reading)
)]
async fn get(rates: Data<Rates>, request: HttpRequest) -> Result<Json<RateQuote>, Problem> {
    let (base, quote) = pair(&request)?;
    let at = ::web::query::<AsOf>(&request)?.at.unwrap_or_else(Utc::now);
    let conversion = rates.with_book(|book| book.as_of(base, quote, at, book.newest_version())).await?;
    let found = conversion.as_ref().and_then(RateQuote::of);
    let missing = || Problem::not_found(format!("no rate from {base} to {quote} was known for {at}"));
    found.map(Json).ok_or_else(missing)
}

/// All rates as they were published, without inverses and crosses.
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
/// Setting the same rate again changes nothing.
#[utoipa::path(
    put, path = "/rates/{base}/{quote}", tag = "rates", operation_id = "put_rate",
    params(
        ("base" = Currency, Path, description = "The base currency: the rate is for one unit of it."),
        ("quote" = Currency, Path, description = "The quote currency: the rate is in units of it. Not `base`.")
    ),
    request_body = RatePut,
    responses((status = 200, description = "The recorded rate.", body = RateQuote), UnprocessableContent, Writing)
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
    let set = SetRates { source, moments: vec![moment], completes_history: false };
    import::record(&rates.ingress, cause(&trace), set, RATE_BYTES_MAX).await?;
    // At this moment the pair itself takes precedence over its inverse and the cross.
    let recorded = rates.with_book(|book| book.as_of(base, quote, valid_from, book.newest_version())).await?;
    recorded.as_ref().and_then(RateQuote::of).map(Json).ok_or_else(::web::unexpected)
}

/// Imports a file of the European Central Bank (ECB), either all of it or nothing.
///
/// The file has the reference rates (`eurofxref`) in any format that the ECB publishes: the history or one day as CSV;
/// one day, 90 days or the history as XML; any of these in a ZIP, but not in gzip. The service detects the format from
/// the content, not from names and headers. A text may begin with a byte order mark, and a CSV may lack the comma at
/// the end of its lines. Days from 1999-01-04 to tomorrow are allowed.
#[utoipa::path(
    post, path = "/rates/import", tag = "rates", operation_id = "import_rates",
    request_body(description = "At most 16 MiB.", content((Vec<u8> = "application/zip"), (String = "text/csv"), (String = "application/xml"))),
    responses((status = 200, description = "The counts of rates.", body = Imported), UnprocessableContent, Writing)
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

/// The currencies of the path, which must differ.
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
