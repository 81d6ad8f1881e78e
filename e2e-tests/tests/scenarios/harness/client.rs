//! A client of the three services.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::{Offer, Purchase, RateQuote};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{Answer, Event, timestamp};

/// Longer than the longest wait for an outcome: an answer that takes longer is none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the services listen.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// `http://host:port`, as are the others.
    pub exchange_rate: String,
    /// Of purchase.
    pub purchase: String,
    /// Of the ledger.
    pub ledger: String,
}

impl Addresses {
    /// From the environment; none when it names none.
    ///
    /// # Panics
    /// When it names some only.
    pub fn of_environment() -> Option<Self> {
        let names = ["EXCHANGE_RATE", "PURCHASE", "LEDGER"].map(|name| format!("UNBUNDLED_{name}_URL"));
        let urls = names.clone().map(|name| std::env::var(name).ok().filter(|url| !url.is_empty()));
        match urls {
            [None, None, None] => None,
            [Some(exchange_rate), Some(purchase), Some(ledger)] => Some(Self { exchange_rate, purchase, ledger }),
            _ => panic!("of {names:?} some are set and some are not"),
        }
    }

    /// From the event that `unbundled run` logs when it is ready.
    pub fn of_event(ready: &Event) -> Self {
        assert_eq!(ready.message(), "ready", "{ready:?}");
        let services = ready.text("services");
        let address = |name: &str| {
            let of = services.split(", ").find_map(|service| service.strip_prefix(name)?.strip_prefix(' '));
            of.unwrap_or_else(|| panic!("{name} is not in {services}")).to_owned()
        };
        let [exchange_rate, purchase, ledger] = ["exchange-rate", "purchase", "ledger"].map(address);
        Self { exchange_rate, purchase, ledger }
    }

    /// On this machine, on a port and the next two.
    pub fn from_port(base: u16) -> Self {
        let [exchange_rate, purchase, ledger] = [0, 1, 2].map(|offset| format!("http://127.0.0.1:{}", base + offset));
        Self { exchange_rate, purchase, ledger }
    }
}

/// Speaks HTTP. Clones share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Of whom.
    pub at: Addresses,
}

impl Client {
    /// Of the services at these addresses.
    pub fn new(at: Addresses) -> Self {
        web::use_ring();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(ANSWER_TIMEOUT).build().unwrap();
        Self { http, at }
    }

    /// This path of every service.
    pub fn everywhere(&self, path: &str) -> [String; 3] {
        [&self.at.exchange_rate, &self.at.purchase, &self.at.ledger].map(|base| format!("{base}{path}"))
    }

    /// A request to be filled in; for [`Client::send`].
    pub fn ask(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request that has to be answered, however.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// Sends a request that may get no answer.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let request = request.build()?;
        let asked = format!("{} {}", request.method(), request.url());
        let response = self.http.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { asked, status, headers, body: response.text().await? })
    }

    /// `GET`.
    pub async fn get(&self, url: &str) -> Answer {
        self.send(self.ask(Method::GET, url)).await
    }

    /// `PUT`.
    pub async fn put(&self, url: &str, body: &Value) -> Answer {
        self.send(self.ask(Method::PUT, url).json(body)).await
    }

    /// `PUT /offers/{sku}`.
    pub async fn offer(&self, sku: &str, terms: &Value) -> Offer {
        self.put(&self.offer_url(sku), terms).await.is(200).json()
    }

    /// `PUT /offers/{sku}` with a price and nothing else.
    pub async fn offer_for(&self, sku: &str, amount: &str, currency: &str) -> Offer {
        self.offer(sku, &json!({"price": {"amount": amount, "currency": currency}})).await
    }

    /// Where an offer is.
    pub fn offer_url(&self, sku: &str) -> String {
        format!("{}/offers/{}", self.at.purchase, segment(sku))
    }

    /// `PUT /rates/{base}/{quote}`.
    pub async fn set_rate(&self, pair: &str, rate: &str, from: DateTime<Utc>) -> RateQuote {
        let body = json!({"rate": rate, "valid_from": timestamp(from)});
        self.put(&format!("{}/rates/{pair}", self.at.exchange_rate), &body).await.is(200).json()
    }

    /// `GET /rates/{base}/{quote}?at=…`.
    pub async fn rate_at(&self, pair: &str, at: DateTime<Utc>) -> Answer {
        self.get(&format!("{}/rates/{pair}?at={}", self.at.exchange_rate, timestamp(at))).await
    }

    /// `POST /purchases`, to be sent.
    pub fn purchase(&self, key: &str, order: &Value) -> RequestBuilder {
        self.ask(Method::POST, &format!("{}/purchases", self.at.purchase)).header("Idempotency-Key", key).json(order)
    }

    /// `POST /purchases` and wait for the outcome.
    pub async fn buy(&self, key: &str, order: &Value) -> Answer {
        self.send(self.purchase(key, order).header("Prefer", "wait=30")).await
    }

    /// `GET /purchases/{id}`.
    pub async fn shown(&self, id: impl std::fmt::Display) -> Purchase {
        self.get(&format!("{}/purchases/{id}", self.at.purchase)).await.is(200).json()
    }
}

/// A name as a segment of a path.
pub fn segment(name: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| {
        if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    name.bytes().map(encode).collect()
}

/// A bare connection to a service, for what no client of HTTP would send.
pub async fn connect(base: &str) -> TcpStream {
    TcpStream::connect(base.strip_prefix("http://").unwrap().trim_end_matches('/')).await.unwrap()
}
