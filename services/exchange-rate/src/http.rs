//! `GET` and `PUT /rates/{base}/{quote}`, `GET /rates`, `POST /rates/import`.

use std::sync::{Arc, PoisonError, RwLock};

use ::web::Problem;
use actix::Addr;
use actix_web::web::{self, Data, Json, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{SubsecRound as _, Utc};
use contracts::{AsOf, Quote, RatePut, RateRow, ShownRate};
use dataflow::{Store, StoreError, WayIn};
use money::{Currency, PublishedRate, RateBook, Source};
use stage::Cell;

use crate::record_rates::{Moment, RatesAsked, RecordRates};
use crate::service::{self, cause};

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
    way_in: Addr<WayIn<RecordRates>>,
    book: Arc<RwLock<RateBook>>,
}

impl Rates {
    /// Reads from the store, writes through the way in.
    pub fn new(store: Store, way_in: Addr<WayIn<RecordRates>>) -> Self {
        Self { store, way_in, book: Arc::default() }
    }

    /// Asks the book once it knows every version that is committed.
    async fn ask<T>(&self, question: impl FnOnce(&RateBook) -> T) -> Result<T, StoreError> {
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

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig, rates: &Rates) {
    config
        .app_data(Data::new(rates.clone()))
        .service(web::resource("/rates").route(web::get().to(list)))
        .service(web::resource("/rates/import").route(web::post().to(import)))
        .service(web::resource("/rates/{base}/{quote}").route(web::get().to(get)).route(web::put().to(put)));
}

async fn get(rates: Data<Rates>, request: HttpRequest) -> Result<Json<Quote>, Problem> {
    let (base, quote) = pair(&request)?;
    let at = ::web::query::<AsOf>(&request)?.at.unwrap_or_else(Utc::now);
    let conversion = rates.ask(|book| book.as_of(base, quote, at, book.newest_version())).await?;
    let shown = conversion.as_ref().and_then(ShownRate::of);
    let missing = || Problem::not_found(format!("no rate from {base} to {quote} was known for {at}"));
    shown.map(Json).ok_or_else(missing)
}

async fn list(rates: Data<Rates>, request: HttpRequest) -> Result<Json<Vec<PublishedRate>>, Problem> {
    let at = ::web::query::<AsOf>(&request)?.at.unwrap_or_else(Utc::now);
    Ok(Json(rates.ask(|book| book.all_as_of(at, book.newest_version())).await?))
}

async fn put(
    rates: Data<Rates>,
    request: HttpRequest,
    trace: ::web::Traceparent,
    payload: web::Payload,
) -> Result<Json<Option<Quote>>, Problem> {
    let (base, quote) = pair(&request)?;
    let RatePut { rate, valid_from } = ::web::json_body(&request, payload, RATE_BYTES_MAX).await?;
    let valid_from = valid_from.trunc_subsecs(6);
    let source: Source = MANUAL.parse().map_err(|error: money::Invalid| Problem::internal(&error))?;
    let moment = Moment { valid_from, rates: [(base, [(quote, rate)].into())].into() };
    let asked = RatesAsked { source, moments: vec![moment], completes_history: false };
    service::record(&rates.way_in, cause(&trace), asked, RATE_BYTES_MAX).await?;
    // At its own moment the pair itself comes before its inverse and the cross.
    let held = rates.ask(|book| book.as_of(base, quote, valid_from, book.newest_version())).await?;
    Ok(Json(held.as_ref().and_then(ShownRate::of)))
}

async fn import(
    rates: Data<Rates>,
    request: HttpRequest,
    trace: ::web::Traceparent,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let file = ::web::body(&request, payload, FILE_BYTES_MAX).await?;
    let imported = service::import(&rates.way_in, cause(&trace), &file, false).await?;
    Ok(HttpResponse::Ok().json(imported))
}

fn pair(request: &HttpRequest) -> Result<(Currency, Currency), Problem> {
    let currency = |name: &'static str| {
        let code = ::web::segment::decode(request, name)?;
        code.parse::<Currency>().map_err(|error| Problem::unprocessable(error.to_string()).at(name))
    };
    let (base, quote) = (currency("base")?, currency("quote")?);
    if base == quote {
        return Err(Problem::unprocessable(format!("{base} and {quote} are the same currency")).at("quote"));
    }
    Ok((base, quote))
}
