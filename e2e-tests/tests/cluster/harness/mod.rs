//! A cluster of one test: RabbitMQ, Postgres and one process for each service, all in one folder.

mod database;
mod instance;
mod ports;
mod servers;
mod stream;

use std::process::Output;
use std::time::Instant;

use tokio::sync::{Mutex, MutexGuard};

use web::ServiceDefinition;

use crate::scenarios::harness::{Addresses, Client, run_program_to_end, wait_until, wait_until_books_settle};

pub use self::database::Database;
pub use self::instance::{Instance, command};
pub use self::ports::Ports;
pub use self::servers::Servers;
pub use self::stream::RawStreams;

/// The names of the services of `unbundled`, in the order of their ports.
pub fn services() -> Vec<&'static str> {
    unbundled::services::all(None).iter().map(ServiceDefinition::name).collect()
}

/// The programs of a system.
#[derive(Clone)]
pub struct Programs {
    /// The program that audits the databases.
    pub system: &'static str,
    /// Each service with its program.
    pub services: Vec<(&'static str, &'static str)>,
}

impl Programs {
    /// Those of `unbundled`.
    pub fn unbundled() -> Self {
        Self { system: "unbundled", services: services().into_iter().map(|name| (name, name)).collect() }
    }

    /// The names of the services.
    fn names(&self) -> Vec<&'static str> {
        self.services.iter().map(|(service, _)| *service).collect()
    }
}

/// Clusters run one at a time, because some tests assert durations.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Waits until no other cluster runs. Only tests that start a cluster without [`Cluster`] need to call this.
pub async fn cluster_lock() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().await
}

/// The services with their broker and databases. All processes and files are gone when it is dropped.
pub struct Cluster {
    /// A client of the first instance of each service.
    pub client: Client,
    /// The first instance of each service, and then the second instances.
    instances: Vec<Instance>,
    /// RabbitMQ and Postgres.
    pub servers: Servers,
    /// The number of messages that the quarantines have to contain at the end.
    pub quarantined: i64,
    programs: Programs,
    _lock: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Starts the services on the servers that all tests share, and waits until they are ready. For tests that never
    /// stop a server.
    pub async fn start_on_shared_servers() -> Self {
        let mut cluster = Self::on_shared_servers(Programs::unbundled()).await;
        cluster.start_all(&[]).await;
        cluster
    }

    /// A cluster of these programs on the servers that all tests share, without any running process of its own.
    pub async fn on_shared_servers(programs: Programs) -> Self {
        let lock = cluster_lock().await;
        let servers = Servers::shared(&programs.names()).await;
        Self::of(programs, servers, lock)
    }

    /// Starts servers of the test's own and the services, and waits until they are ready.
    pub async fn start() -> Self {
        let mut cluster = Self::not_started().await;
        cluster.servers.start().await;
        cluster.start_all(&[]).await;
        cluster
    }

    /// A cluster with servers of the test's own, without any running process.
    pub async fn not_started() -> Self {
        let (lock, programs) = (cluster_lock().await, Programs::unbundled());
        let servers = Servers::own(&programs.names());
        Self::of(programs, servers, lock)
    }

    fn of(programs: Programs, servers: Servers, lock: MutexGuard<'static, ()>) -> Self {
        let instance = |(service, program): &(&'static str, &'static str)| {
            Instance::new(service, service, program, Ports::next_free(), &servers)
        };
        let instances: Vec<_> = programs.services.iter().map(instance).collect();
        let url = |name| instances.iter().find(|instance: &&Instance| instance.name == name).unwrap().url();
        let [exchange_rate, purchase, ledger] = ["exchange-rate", "purchase", "ledger"].map(url);
        let client = Client::new(Addresses { exchange_rate, purchase, ledger });
        Self { client, instances, servers, quarantined: 0, programs, _lock: lock }
    }

    /// The names of the services.
    fn services(&self) -> Vec<&'static str> {
        self.programs.names()
    }

    /// Starts the first instance of each service with additional settings, and waits until they are ready.
    pub async fn start_all(&mut self, settings: &[(&str, &str)]) {
        for service in self.services() {
            self.launch(service, settings);
        }
        self.wait_until_ready().await;
    }

    /// Starts an instance with additional settings, and does not wait for it.
    pub fn launch(&mut self, name: &str, settings: &[(&str, &str)]) {
        let servers = &self.servers;
        let instance =
            self.instances.iter_mut().find(|instance| instance.name == name).expect("there is no such instance");
        instance.launch(servers, settings);
    }

    /// Adds a second instance of a service without starting it, and returns its name, `…-2`.
    pub fn add_second_instance(&mut self, service: &'static str) -> String {
        let name = format!("{service}-2");
        let instance = Instance::new(&name, service, service, Ports::next_free(), &self.servers);
        self.instances.push(instance);
        name
    }

    /// The instance with this name. The name of a first instance is the name of its service.
    pub fn instance(&mut self, name: &str) -> &mut Instance {
        self.instances.iter_mut().find(|instance| instance.name == name).expect("there is no such instance")
    }

    /// A client of the second instance of one service and of the first instances of the others.
    pub fn client_for_second(&mut self, service: &str) -> Client {
        let url = self.instance(&format!("{service}-2")).url();
        let mut addresses = self.client.addresses.clone();
        match service {
            "exchange-rate" => addresses.exchange_rate = url,
            "purchase" => addresses.purchase = url,
            _ => addresses.ledger = url,
        }
        Client::new(addresses)
    }

    /// Returns once every running instance is ready.
    pub async fn wait_until_ready(&self) {
        self.wait_until_ready_except(&[]).await;
    }

    /// Returns once every running instance is ready, except these.
    pub async fn wait_until_ready_except(&self, excluded: &[&str]) {
        let is_awaited = |instance: &&Instance| instance.is_running() && !excluded.contains(&instance.name.as_str());
        for instance in self.instances.iter().filter(is_awaited) {
            instance.wait_until_ready().await;
        }
    }

    /// Kills an instance with SIGKILL, starts it again at once, and waits until it is ready.
    pub async fn kill_and_start_again(&mut self, name: &str) {
        self.instance(name).kill().await;
        self.launch(name, &[]);
        self.instance(name).wait_until_ready().await;
    }

    /// The streams of the services.
    pub fn streams(&self) -> RawStreams {
        RawStreams::new(&self.servers.broker_url(), self.servers.stream_prefix())
    }

    /// The database of a service.
    pub async fn database(&self, service: &str) -> Database {
        Database::connect(&self.servers.database_url(service)).await
    }

    /// Like [`Cluster::terminate_all`]; asserts also that each instance has released its lease.
    pub async fn stop_all(&mut self) {
        self.terminate_all().await;
        let leases = "SELECT count(*) FROM leases WHERE until > clock_timestamp()";
        assert_eq!(self.count_everywhere(leases).await, 0, "a lease was not released");
    }

    /// Sends SIGTERM to all instances, and asserts that each exits with code 0 in time.
    pub async fn terminate_all(&mut self) {
        let signaled = Instant::now();
        let running: Vec<_> = self.instances.iter_mut().filter(|instance| instance.is_running()).collect();
        for instance in &running {
            instance.signal("TERM").await;
        }
        for instance in running {
            instance.wait_until_stopped(signaled).await;
        }
    }

    /// The sum of a query's number over the databases of all services.
    async fn count_everywhere(&self, query: &str) -> i64 {
        let mut sum = 0;
        for service in self.services() {
            sum += self.database(service).await.number(query).await;
        }
        sum
    }

    /// Runs `unbundled audit` on the databases of all services.
    pub async fn audit(&self) -> Output {
        let url = |service| [format!("--{service}-database"), self.servers.database_url(service)];
        let urls: Vec<_> = self.services().into_iter().flat_map(url).collect();
        let arguments: Vec<_> = ["audit"].into_iter().chain(urls.iter().map(String::as_str)).collect();
        run_program_to_end(self.programs.system, &arguments, &[]).await
    }

    /// Ends a test: checks the books, stops the services, and asserts that the audit finds nothing.
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

/// Returns once [`metric_sum`] is at least `least`.
pub async fn wait_for_metric(client: &Client, url: &str, metric: &str, label: &str, least: u64) {
    let what = format!("{metric}{{{label}}} of {url} is at least {least}");
    let reached = async || (metric_sum(client, url, metric, label).await >= least).then_some(());
    wait_until(&what, reached).await;
}

/// The sum of all series of a metric whose labels contain the text `label`.
pub async fn metric_sum(client: &Client, url: &str, metric: &str, label: &str) -> u64 {
    let metrics = client.get(&format!("{url}/metrics")).await.expect_status(200);
    let is_metric = |line: &str| line.split(['{', ' ']).next() == Some(metric);
    let lines = metrics.body.lines().filter(|line| is_metric(line) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
