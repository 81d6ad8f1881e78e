//! The services of a running system, and their addresses.

use clap::{Arg, ArgMatches, value_parser};

use crate::client::ServiceClient;

/// The name of the service that publishes the rates.
pub const EXCHANGE_RATE: &str = contracts::RATES.service;
/// The name of the service that sells.
pub const PURCHASE: &str = contracts::PURCHASES.service;
/// The name of the service that keeps the books.
pub const LEDGER: &str = contracts::CREDITS.service;

const BASE_PORT: &str = "base-port";
/// The default port of the first service.
const BASE_PORT_DEFAULT: &str = "8081";

/// The arguments that say where the services are: the port of the first one of `system`, and the base URL of each of
/// `used`.
pub fn address_arguments(system: &[&'static str], used: &[&'static str]) -> Vec<Arg> {
    let first = system.first().copied().unwrap_or_default();
    let last_port = i64::from(u16::MAX) + 1 - i64::try_from(system.len()).unwrap_or(1);
    let base_port = Arg::new(BASE_PORT)
        .long(BASE_PORT)
        .value_name("PORT")
        .default_value(BASE_PORT_DEFAULT)
        .value_parser(value_parser!(u16).range(1..=last_port))
        .help(format!("The port of {first} on this machine; the other services have the next ones"));
    let url = |name: &&'static str| {
        Arg::new(*name)
            .long(*name)
            .value_name("URL")
            .env(format!("UNBUNDLED_{}_URL", name.to_uppercase().replace('-', "_")))
            .value_parser(base_url)
            .help(format!("Base URL of {name}, if it runs elsewhere"))
    };
    [base_port].into_iter().chain(used.iter().map(url)).collect()
}

/// Clients for the services of a running system, in the order of their ports.
pub struct Services(Vec<ServiceClient>);

/// A service that the system does not have.
#[derive(Debug, thiserror::Error)]
#[error("this system has no service {0}")]
pub struct UnknownService(&'static str);

impl Services {
    /// Clients for the services of `system`, from the values of [`address_arguments`].
    ///
    /// # Errors
    /// Those of [`ServiceClient::new`].
    pub fn of(system: &[&'static str], matches: &ArgMatches) -> reqwest::Result<Self> {
        let addresses: Vec<_> = system.iter().copied().zip(urls(system, matches)).collect();
        Self::at(&addresses)
    }

    /// Clients for services with these names and base URLs.
    ///
    /// # Errors
    /// Those of [`ServiceClient::new`].
    pub fn at(addresses: &[(&'static str, String)]) -> reqwest::Result<Self> {
        let clients = addresses.iter().map(|(name, url)| ServiceClient::new(name, url));
        clients.collect::<Result<_, _>>().map(Self)
    }

    /// The client for a service.
    ///
    /// # Errors
    /// [`UnknownService`].
    pub fn named(&self, name: &'static str) -> Result<&ServiceClient, UnknownService> {
        self.0.iter().find(|service| service.name() == name).ok_or(UnknownService(name))
    }

    /// All clients.
    pub fn all(&self) -> &[ServiceClient] {
        &self.0
    }
}

/// The base URL of each service.
fn urls(system: &[&'static str], matches: &ArgMatches) -> Vec<String> {
    let base_port = matches.get_one::<u16>(BASE_PORT).copied().unwrap_or_default();
    let url = |(port, name): (u16, &&'static str)| {
        let elsewhere = matches.try_get_one::<String>(name).ok().flatten();
        elsewhere.map_or_else(|| format!("http://127.0.0.1:{port}"), String::clone)
    };
    (base_port..=u16::MAX).zip(system).map(url).collect()
}

/// Checks a base URL.
///
/// # Errors
/// When it is not one.
fn base_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() != "http" || url.query().is_some() || url.fragment().is_some() {
        return Err("expected a base URL such as http://127.0.0.1:8082".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    const SYSTEM: [&str; 3] = [EXCHANGE_RATE, PURCHASE, LEDGER];

    fn found(arguments: &[&str]) -> Result<Vec<String>, String> {
        let command = Command::new("load").args(address_arguments(&SYSTEM, &[PURCHASE, LEDGER]));
        let matches = command.try_get_matches_from([&["load"], arguments].concat());
        matches.map(|matches| urls(&SYSTEM, &matches)).map_err(|error| error.to_string())
    }

    #[test]
    fn services_have_consecutive_ports_unless_they_run_elsewhere() {
        let check = |arguments: &[&str], expected: [&str; 3]| {
            assert_eq!(found(arguments).unwrap(), expected.map(|address| format!("http://{address}")));
        };
        check(&[], ["127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083"]);
        check(&["--base-port", "65533"], ["127.0.0.1:65533", "127.0.0.1:65534", "127.0.0.1:65535"]);
        check(&["--ledger", "http://books:80"], ["127.0.0.1:8081", "127.0.0.1:8082", "books:80"]);
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused() {
        for arguments in [["--base-port", "0"], ["--base-port", "65534"], ["--purchase", "https://shop"]] {
            assert!(found(&arguments).is_err(), "{arguments:?}");
        }
    }
}
