//! A cluster of a test's own: RabbitMQ, Postgres and a process for each service, all in one folder.

mod database;
mod instance;
mod ports;
mod servers;
mod stream;

use std::process::Output;
use std::time::Instant;

use tokio::sync::{Mutex, MutexGuard};

use crate::scenarios::harness::{Addresses, Client, run_to_end, wait_until, wait_until_books_settle};

pub use self::database::Database;
pub use self::instance::{Instance, command};
pub use self::ports::Ports;
pub use self::servers::Servers;
pub use self::stream::RawStreams;

/// The services, in the order of their ports.
pub const SERVICES: [&str; 3] = ["exchange-rate", "purchase", "ledger"];

/// Two of them would take each other's time, and some tests promise times.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A turn, for a test that has a cluster of its own and does not make it with [`Cluster`].
pub async fn cluster_lock() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().await
}

/// Three services on their engines. Dropped, all of it is gone.
pub struct Cluster {
    /// To talk to the first instance of each service.
    pub client: Client,
    /// The first instances come first.
    instances: Vec<Instance>,
    /// RabbitMQ and Postgres.
    pub servers: Servers,
    /// Messages that were put into streams and are no frames.
    pub quarantined: i64,
    _lock: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Engines and services, ready.
    pub async fn start() -> Self {
        let mut cluster = Self::not_started().await;
        cluster.servers.start().await;
        cluster.start_all(&[]).await;
        cluster
    }

    /// A cluster in which nothing runs yet.
    pub async fn not_started() -> Self {
        let alone = cluster_lock().await;
        let ports = Ports::free();
        let servers = Servers::new(&ports);
        let instance = |(service, port)| Instance::new(service, service, port, &servers);
        let instances: Vec<_> = SERVICES.into_iter().zip(ports.services).map(instance).collect();
        let [exchange_rate, purchase, ledger] = [0, 1, 2].map(|at: usize| instances[at].url());
        let client = Client::new(Addresses { exchange_rate, purchase, ledger });
        Self { client, instances, servers, quarantined: 0, _lock: alone }
    }

    /// Starts the first instance of each service, with more settings, and waits until they are ready.
    pub async fn start_all(&mut self, settings: &[(&str, &str)]) {
        for service in SERVICES {
            self.launch(service, settings);
        }
        self.wait_until_ready().await;
    }

    /// Starts an instance; it need not become ready.
    pub fn launch(&mut self, name: &str, settings: &[(&str, &str)]) {
        let servers = &self.servers;
        let instance = self.instances.iter_mut().find(|instance| instance.name == name).expect("an instance");
        instance.launch(servers, settings);
    }

    /// Adds a second instance of a service, named `…-2`, which is not started yet.
    pub fn add_second_instance(&mut self, service: &'static str) -> String {
        let name = format!("{service}-2");
        let instance = Instance::new(&name, service, Ports::next_free(), &self.servers);
        self.instances.push(instance);
        name
    }

    /// An instance by its name; the first one of a service has the service's.
    pub fn instance(&mut self, name: &str) -> &mut Instance {
        self.instances.iter_mut().find(|instance| instance.name == name).expect("an instance")
    }

    /// A client that talks to the second instance of a service, and to the first ones of the others.
    pub fn client_for_second(&mut self, service: &str) -> Client {
        let url = self.instance(&format!("{service}-2")).url();
        let mut at = self.client.addresses.clone();
        match service {
            "exchange-rate" => at.exchange_rate = url,
            "purchase" => at.purchase = url,
            _ => at.ledger = url,
        }
        Client::new(at)
    }

    /// Returns once every instance that runs says that it is ready.
    pub async fn wait_until_ready(&self) {
        self.wait_until_ready_except(&[]).await;
    }

    /// The same, but for these.
    pub async fn wait_until_ready_except(&self, waiting: &[&str]) {
        let asked = |instance: &&Instance| instance.is_running() && !waiting.contains(&instance.name.as_str());
        for instance in self.instances.iter().filter(asked) {
            instance.wait_until_ready().await;
        }
    }

    /// `kill -9`, and at once the start of another process in its place.
    pub async fn kill_and_start_again(&mut self, name: &str) {
        self.instance(name).kill().await;
        self.launch(name, &[]);
        self.instance(name).wait_until_ready().await;
    }

    /// The streams of the services.
    pub fn streams(&self) -> RawStreams {
        RawStreams::new(&self.servers.broker_url(), "unbundled")
    }

    /// The database of a service.
    pub async fn database(&self, service: &str) -> Database {
        Database::connect(&self.servers.database_url(service)).await
    }

    /// SIGTERM to all at once: each ends well and in time, and gives its lease back.
    pub async fn stop_all(&mut self) {
        self.terminate_all().await;
        let held = "SELECT count(*) FROM leases WHERE until > clock_timestamp()";
        assert_eq!(self.count_everywhere(held).await, 0, "a lease was not given back");
    }

    /// SIGTERM to all at once: each ends well and in time.
    pub async fn terminate_all(&mut self) {
        let begun = Instant::now();
        let running: Vec<_> = self.instances.iter_mut().filter(|instance| instance.is_running()).collect();
        for instance in &running {
            instance.signal("TERM").await;
        }
        for instance in running {
            instance.wait_until_stopped(begun).await;
        }
    }

    /// The sum of what a query counts in the databases of all services.
    async fn count_everywhere(&self, query: &str) -> i64 {
        let mut sum = 0;
        for service in SERVICES {
            sum += self.database(service).await.number(query).await;
        }
        sum
    }

    /// `unbundled audit` of the stopped services.
    pub async fn audit(&self) -> Output {
        let urls = SERVICES.map(|service| (format!("--{service}-database"), self.servers.database_url(service)));
        let mut arguments = vec!["audit"];
        arguments.extend(urls.iter().flat_map(|(name, url)| [name.as_str(), url.as_str()]));
        run_to_end(&arguments).await
    }

    /// The end of every scenario: quiet books, a clean end in time, a clean audit.
    pub async fn finish(mut self) {
        wait_until_books_settle(&self.client).await;
        self.stop_all().await;
        assert_eq!(self.count_everywhere("SELECT count(*) FROM quarantine").await, self.quarantined);
        let audit = self.audit().await;
        let (stdout, stderr) = (String::from_utf8_lossy(&audit.stdout), String::from_utf8_lossy(&audit.stderr));
        assert_eq!(audit.status.code(), Some(0), "the audit found something: {stdout}{stderr}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.instances.iter().for_each(|instance| eprintln!("{}", instance.log_tail()));
            eprintln!("{}", self.servers.logs());
        }
    }
}

/// Returns once the sum of a metric over all labels that contain a text is at least this.
pub async fn wait_for_metric(client: &Client, url: &str, metric: &str, label: &str, least: u64) {
    let what = format!("{metric}{{{label}}} of {url} is {least}");
    let look = async || (metric_sum(client, url, metric, label).await >= least).then_some(());
    wait_until(&what, look).await;
}

/// The sum of a metric over all labels that contain a text.
pub async fn metric_sum(client: &Client, url: &str, metric: &str, label: &str) -> u64 {
    let metrics = client.get(&format!("{url}/metrics")).await.expect_status(200);
    let is_metric = |line: &str| line.split(['{', ' ']).next() == Some(metric);
    let lines = metrics.body.lines().filter(|line| is_metric(line) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
