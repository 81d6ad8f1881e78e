//! The addresses of the services of a running system.

use clap::Args;

use crate::client::ServiceClient;

/// The addresses of purchase and ledger.
#[derive(Debug, Args)]
pub struct Addresses {
    /// The port of exchange-rate on this machine; purchase and ledger have the next two
    #[arg(long, value_name = "PORT", default_value_t = 8081, value_parser = clap::value_parser!(u16).range(1..=65_533))]
    base_port: u16,
    /// Base URL of purchase, if it runs elsewhere
    #[arg(long, value_name = "URL", env = "UNBUNDLED_PURCHASE_URL", value_parser = base_url)]
    purchase: Option<String>,
    /// Base URL of ledger, if it runs elsewhere
    #[arg(long, value_name = "URL", env = "UNBUNDLED_LEDGER_URL", value_parser = base_url)]
    ledger: Option<String>,
}

impl Addresses {
    /// A client for exchange-rate. `elsewhere` is its base URL, if it runs elsewhere.
    ///
    /// # Errors
    /// Those of [`ServiceClient::new`].
    pub fn exchange_rate(&self, elsewhere: Option<&str>) -> reqwest::Result<ServiceClient> {
        self.service("exchange-rate", elsewhere, 0)
    }

    /// A client for purchase.
    ///
    /// # Errors
    /// Those of [`ServiceClient::new`].
    pub fn purchase(&self) -> reqwest::Result<ServiceClient> {
        self.service("purchase", self.purchase.as_deref(), 1)
    }

    /// A client for ledger.
    ///
    /// # Errors
    /// Those of [`ServiceClient::new`].
    pub fn ledger(&self) -> reqwest::Result<ServiceClient> {
        self.service("ledger", self.ledger.as_deref(), 2)
    }

    fn service(&self, name: &'static str, elsewhere: Option<&str>, place: u16) -> reqwest::Result<ServiceClient> {
        let here = || format!("http://127.0.0.1:{}", self.base_port + place);
        ServiceClient::new(name, &elsewhere.map_or_else(here, str::to_owned))
    }
}

/// Checks a base URL.
///
/// # Errors
/// When it is not one.
pub fn base_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() != "http" || url.query().is_some() || url.fragment().is_some() {
        return Err("expected a base URL such as http://127.0.0.1:8082".to_owned());
    }
    Ok(text.to_owned())
}
