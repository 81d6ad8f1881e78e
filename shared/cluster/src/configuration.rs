//! The settings of a service's process: checked at the start, shown without secrets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use dataflow::RabbitMq;
use stage::PartitionCount;
use url::Url;

/// The default limit of bytes that may wait for the broker, after which requests are refused: some hours of a small
/// shop's work.
const BACKLOG_BYTES_MAX: u64 = 1 << 30;
/// The default number of threads that serve HTTP.
const WORKERS: usize = 2;
/// The default prefix of all names in the broker.
const STREAM_PREFIX: &str = "unbundled";

/// The settings as given. Each can be an environment variable or an argument.
#[derive(Args, Debug, Default)]
pub struct Settings {
    /// This service's own database: postgres://user:password@host:5432/name.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The broker, the same for all services: amqp://user:password@host:5672/%2f.
    #[arg(long, value_name = "URL", env = "AMQP_URL", hide_env_values = true)]
    pub amqp_url: Option<String>,
    /// Address and port to listen on, as address:port. Default: 127.0.0.1 and the service's port.
    #[arg(long, value_name = "ADDRESS", env = "BIND")]
    pub bind: Option<String>,
    /// Number of partitions of each stream in a new database, the same for all services. Default: 2.
    #[arg(long, value_name = "COUNT", env = "PARTITIONS")]
    pub partitions: Option<String>,
    /// Prefix of all stream names, so that several systems can share a broker.
    #[arg(long, value_name = "NAME", env = "STREAM_PREFIX")]
    pub stream_prefix: Option<String>,
    /// Number of bytes that may wait for the broker before requests are refused.
    #[arg(long, value_name = "BYTES", env = "BACKLOG_BYTES_MAX")]
    pub backlog_bytes_max: Option<String>,
    /// Number of threads that serve HTTP.
    #[arg(long, value_name = "COUNT", env = "HTTP_WORKERS")]
    pub http_workers: Option<String>,
}

/// A setting that cannot be used: its name, and what to set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// It is required and not set.
    #[error("{name} is not set: {expected}")]
    Missing {
        /// The name of the setting.
        name: &'static str,
        /// What to set.
        expected: &'static str,
    },
    /// It is set to an invalid value. The value is not repeated, because it may contain a password.
    #[error("{name} cannot be used: {expected}")]
    Wrong {
        /// The name of the setting.
        name: &'static str,
        /// What to set.
        expected: String,
    },
}

/// The settings, checked.
pub struct Configuration {
    /// The service's own database.
    pub database_url: Url,
    /// The broker.
    pub broker: RabbitMq,
    amqp_url: Url,
    /// The address and port to listen on.
    pub bind: SocketAddr,
    /// The partitions of every stream; `None`: those of the database, or the default.
    pub partitions: Option<PartitionCount>,
    /// The number of bytes that may wait for the broker.
    pub backlog_bytes_max: u64,
    /// The number of threads that serve HTTP.
    pub workers: usize,
    stream_prefix: String,
}

const DATABASE_URL: (&str, &str) = (
    "DATABASE_URL",
    "it names this service's own database, for example postgres://user:password@localhost:5432/purchase",
);
const AMQP_URL: (&str, &str) = ("AMQP_URL", "it names the broker, for example amqp://user:password@localhost:5672/%2f");

impl Configuration {
    /// Checks the settings of a service. `port` is its default port.
    ///
    /// # Errors
    /// [`BadSetting`].
    pub fn check(settings: &Settings, service: &str, port: u16) -> Result<Self, BadSetting> {
        let database_url = url(settings.database_url.as_deref(), DATABASE_URL, &["postgres", "postgresql"])?;
        if database_url.path().trim_start_matches('/').is_empty() {
            return Err(wrong(DATABASE_URL.0, DATABASE_URL.1));
        }
        let amqp_url = url(settings.amqp_url.as_deref(), AMQP_URL, &["amqp", "amqps"])?;
        let stream_prefix = settings.stream_prefix.clone().unwrap_or_else(|| STREAM_PREFIX.to_owned());
        let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if stream_prefix.is_empty() || stream_prefix.len() > 64 || !is_plain(&stream_prefix) {
            return Err(wrong("STREAM_PREFIX", "1 to 64 letters, digits and -_."));
        }
        let broker = RabbitMq::new(amqp_url.as_str(), &stream_prefix, service);
        let broker = broker.map_err(|bad| wrong(AMQP_URL.0, &bad.to_string()))?;
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let bind = parsed("BIND", settings.bind.as_deref(), "an address and a port, for example 0.0.0.0:8080")?;
        let count = parsed::<u16>("PARTITIONS", settings.partitions.as_deref(), PARTITIONS)?;
        let partitions = count.map(|count| PartitionCount::new(count).ok_or_else(|| wrong("PARTITIONS", PARTITIONS)));
        let backlog = settings.backlog_bytes_max.as_deref();
        let backlog = parsed("BACKLOG_BYTES_MAX", backlog, "a number of bytes, for example 1073741824")?;
        let workers = parsed("HTTP_WORKERS", settings.http_workers.as_deref(), "a number of threads, 1 to 64")?;
        let workers = workers.unwrap_or(WORKERS);
        if !(1..=64).contains(&workers) {
            return Err(wrong("HTTP_WORKERS", "a number of threads, 1 to 64"));
        }
        Ok(Self {
            database_url,
            broker,
            amqp_url,
            bind: bind.unwrap_or(local),
            partitions: partitions.transpose()?,
            backlog_bytes_max: backlog.unwrap_or(BACKLOG_BYTES_MAX),
            workers,
            stream_prefix,
        })
    }
}

impl Configuration {
    /// Logs the same settings that `Display` shows.
    pub(crate) fn log(&self, service: &str) {
        tracing::info!(
            service,
            database_url = without_password(&self.database_url),
            amqp_url = without_password(&self.amqp_url),
            bind = %self.bind,
            partitions = self.partitions.map(PartitionCount::get),
            stream_prefix = self.stream_prefix,
            backlog_bytes_max = self.backlog_bytes_max,
            http_workers = self.workers,
            "settings"
        );
    }
}

const PARTITIONS: &str = "a number of partitions, 1 to 64";

impl fmt::Display for Configuration {
    /// One setting per line, with passwords hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partitions = self.partitions.map_or("as in the database".to_owned(), |count| count.get().to_string());
        writeln!(f, "  DATABASE_URL       {}", without_password(&self.database_url))?;
        writeln!(f, "  AMQP_URL           {}", without_password(&self.amqp_url))?;
        writeln!(f, "  BIND               {}", self.bind)?;
        writeln!(f, "  PARTITIONS         {partitions}")?;
        writeln!(f, "  STREAM_PREFIX      {}", self.stream_prefix)?;
        writeln!(f, "  BACKLOG_BYTES_MAX  {}", self.backlog_bytes_max)?;
        writeln!(f, "  HTTP_WORKERS       {}", self.workers)
    }
}

fn wrong(name: &'static str, expected: &str) -> BadSetting {
    BadSetting::Wrong { name, expected: expected.to_owned() }
}

fn url(
    text: Option<&str>,
    (name, expected): (&'static str, &'static str),
    schemes: &[&str],
) -> Result<Url, BadSetting> {
    let text = text.filter(|text| !text.is_empty()).ok_or(BadSetting::Missing { name, expected })?;
    let url = Url::parse(text).ok().filter(|url| schemes.contains(&url.scheme()) && url.has_host());
    url.ok_or_else(|| wrong(name, expected))
}

fn parsed<T: std::str::FromStr>(
    name: &'static str,
    text: Option<&str>,
    expected: &str,
) -> Result<Option<T>, BadSetting> {
    let given = text.map(str::trim).filter(|text| !text.is_empty());
    given.map(|text| text.parse().map_err(|_| wrong(name, expected))).transpose()
}

/// The URL without its secrets.
fn without_password(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() {
        // Only URLs that cannot have a password return an error.
        let _cannot_fail = shown.set_password(Some("***"));
    }
    if shown.query().is_some() {
        shown.set_query(Some("***"));
    }
    shown.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            database_url: Some("postgres://shop:se%40cret@db:5433/purchase?sslmode=disable&password=se%40cret".into()),
            amqp_url: Some("amqp://shop:se%40cret@mq:5672/%2f".into()),
            ..Settings::default()
        }
    }

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = settings();
        change(&mut settings);
        Configuration::check(&settings, "purchase", 8082).err().unwrap().to_string()
    }

    #[test]
    fn the_displayed_settings_contain_no_secret() {
        let shown = Configuration::check(&settings(), "purchase", 8082).unwrap().to_string();
        assert!(!shown.contains("cret"), "{shown}");
        for part in ["postgres://shop:***@db:5433/purchase", "amqp://shop:***@mq:5672/%2f", "127.0.0.1:8082"] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn an_error_names_the_setting_and_what_to_set_but_not_its_value() {
        let cases: [(String, &str); 10] = [
            (refused(|s| s.database_url = None), "DATABASE_URL is not set: it names"),
            (refused(|s| s.database_url = Some(String::new())), "DATABASE_URL is not set"),
            (refused(|s| s.database_url = Some("se@cret".into())), "DATABASE_URL cannot be used: it names"),
            (refused(|s| s.database_url = Some("postgres://a:secret@db".into())), "DATABASE_URL cannot be used"),
            (refused(|s| s.amqp_url = Some("http://a:secret@mq".into())), "AMQP_URL cannot be used: it names"),
            (refused(|s| s.amqp_url = Some("amqps://a:secret@mq/%2f".into())), "amqps is not supported"),
            (refused(|s| s.bind = Some("8082".into())), "BIND cannot be used: an address and a port"),
            (
                refused(|s| s.partitions = Some("65".into())),
                "PARTITIONS cannot be used: a number of partitions, 1 to 64",
            ),
            (refused(|s| s.http_workers = Some("0".into())), "HTTP_WORKERS cannot be used"),
            (refused(|s| s.stream_prefix = Some("a b".into())), "STREAM_PREFIX cannot be used"),
        ];
        for (text, expected) in cases {
            assert!(text.contains(expected) && !text.contains("cret@"), "{text}");
            assert!(!text.contains('\n'));
        }
    }
}
