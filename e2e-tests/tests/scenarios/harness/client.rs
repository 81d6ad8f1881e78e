//! An HTTP client for the three services.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::{Offer, Purchase, RateQuote};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{LogEvent, Response, timestamp};

/// The timeout of a request, longer than the longest wait for an outcome.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Base URLs of the services, in the form `http://host:port`.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The exchange-rate service.
    pub exchange_rate: String,
    /// The purchase service.
    pub purchase: String,
    /// The ledger service.
    pub ledger: String,
}

impl Addresses {
    /// Reads the `UNBUNDLED_…_URL` variables; `None` if none of them is set.
    ///
    /// # Panics
    /// If only some of them are set.
    pub fn from_environment() -> Option<Self> {
        let names = ["EXCHANGE_RATE", "PURCHASE", "LEDGER"].map(|name| format!("UNBUNDLED_{name}_URL"));
        let urls = names.clone().map(|name| std::env::var(name).ok().filter(|url| !url.is_empty()));
        match urls {
            [None, None, None] => None,
            [Some(exchange_rate), Some(purchase), Some(ledger)] => Some(Self { exchange_rate, purchase, ledger }),
            _ => panic!("set all of {names:?} or none of them"),
        }
    }

    /// Reads the addresses from the `ready` event of `unbundled run`.
    pub fn from_ready_event(ready: &LogEvent) -> Self {
        assert_eq!(ready.message(), "ready", "{ready:?}");
        let [exchange_rate, purchase, ledger] =
            ["exchange-rate", "purchase", "ledger"].map(|service| Self::url_in(ready, service));
        Self { exchange_rate, purchase, ledger }
    }

    /// The base URL of a service in the `ready` event.
    pub fn url_in(ready: &LogEvent, service: &str) -> String {
        let services = ready.text("services");
        let url = services.split(", ").find_map(|named| named.strip_prefix(service)?.strip_prefix(' '));
        url.unwrap_or_else(|| panic!("{service} is not in {services}")).to_owned()
    }

    /// Services on this machine, on port `base` and the next two.
    pub fn from_port(base: u16) -> Self {
        let [exchange_rate, purchase, ledger] = [0, 1, 2].map(|offset| format!("http://127.0.0.1:{}", base + offset));
        Self { exchange_rate, purchase, ledger }
    }
}

/// An HTTP client. Clones share a connection pool.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// The services that it talks to.
    pub addresses: Addresses,
}

impl Client {
    /// A client with a connection pool of its own.
    pub fn new(addresses: Addresses) -> Self {
        web::use_ring();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(RESPONSE_TIMEOUT).build().unwrap();
        Self { http, addresses }
    }

    /// The URLs of one path at all three services.
    pub fn all_urls(&self, path: &str) -> [String; 3] {
        [&self.addresses.exchange_rate, &self.addresses.purchase, &self.addresses.ledger]
            .map(|base| format!("{base}{path}"))
    }

    /// Builds a request for [`Client::send`].
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request and returns the response, whatever its status.
    ///
    /// # Panics
    /// If there is no response.
    pub async fn send(&self, request: RequestBuilder) -> Response {
        self.try_send(request).await.unwrap_or_else(|error| panic!("no response: {error:?}"))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        let built = request.build()?;
        let request = format!("{} {}", built.method(), built.url());
        let response = self.http.execute(built).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Response { request, status, headers, body: response.text().await? })
    }

    /// `GET`.
    pub async fn get(&self, url: &str) -> Response {
        self.send(self.request(Method::GET, url)).await
    }

    /// `PUT`.
    pub async fn put(&self, url: &str, body: &Value) -> Response {
        self.send(self.request(Method::PUT, url).json(body)).await
    }

    /// `PUT /offers/{sku}`.
    pub async fn put_offer(&self, sku: &str, terms: &Value) -> Offer {
        self.put(&self.offer_url(sku), terms).await.expect_status(200).json()
    }

    /// `PUT /offers/{sku}` with only a price.
    pub async fn put_priced_offer(&self, sku: &str, amount: &str, currency: &str) -> Offer {
        self.put_offer(sku, &json!({"price": {"amount": amount, "currency": currency}})).await
    }

    /// The URL of an offer.
    pub fn offer_url(&self, sku: &str) -> String {
        format!("{}/offers/{}", self.addresses.purchase, path_segment(sku))
    }

    /// `PUT /rates/{base}/{quote}`.
    pub async fn set_rate(&self, pair: &str, rate: &str, from: DateTime<Utc>) -> RateQuote {
        let body = json!({"rate": rate, "valid_from": timestamp(from)});
        self.put(&format!("{}/rates/{pair}", self.addresses.exchange_rate), &body).await.expect_status(200).json()
    }

    /// `GET /rates/{base}/{quote}?at=…`.
    pub async fn rate_at(&self, pair: &str, at: DateTime<Utc>) -> Response {
        self.get(&format!("{}/rates/{pair}?at={}", self.addresses.exchange_rate, timestamp(at))).await
    }

    /// Builds `POST /purchases`.
    pub fn purchase_request(&self, key: &str, order: &Value) -> RequestBuilder {
        self.request(Method::POST, &format!("{}/purchases", self.addresses.purchase))
            .header("Idempotency-Key", key)
            .json(order)
    }

    /// `POST /purchases` with `Prefer: wait=30`, which waits for the outcome.
    pub async fn buy(&self, key: &str, order: &Value) -> Response {
        self.send(self.purchase_request(key, order).header("Prefer", "wait=30")).await
    }

    /// `GET /purchases/{id}`.
    pub async fn get_purchase(&self, id: impl std::fmt::Display) -> Purchase {
        self.get(&format!("{}/purchases/{id}", self.addresses.purchase)).await.expect_status(200).json()
    }
}

/// Percent-encodes a name for use as a path segment.
pub fn path_segment(name: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| {
        if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    name.bytes().map(encode).collect()
}

/// Opens a TCP connection to a service, for input that an HTTP client would not send.
pub async fn connect(base: &str) -> TcpStream {
    TcpStream::connect(base.strip_prefix("http://").unwrap().trim_end_matches('/')).await.unwrap()
}
