//! The metrics that a service exports at `/metrics`, compared with `docs/metrics.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Client;

/// The names of the services, in the order of [`Client::all_urls`].
const SERVICES: [&str; 3] = [exchange_rate::SERVICE, purchase::SERVICE, ledger::SERVICE];
/// Optional parts of a service. A row of the table names the part that it needs.
const OPTIONAL: [&str; 3] = ["broker", "feed", "traces"];

/// The metrics of a service at one moment.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The name of the service.
    pub service: &'static str,
    /// The metrics in the Prometheus text format.
    pub text: String,
}

/// A metric: its type and the names of its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
}

impl Client {
    /// The metrics of all services.
    pub async fn metrics(&self) -> [Metrics; 3] {
        let [exchange_rate, purchase, ledger] = self.all_urls("/metrics");
        let scrape =
            async |service, url: String| Metrics { service, text: self.get(&url).await.expect_status(200).body };
        let [first, second, third] = SERVICES;
        [scrape(first, exchange_rate).await, scrape(second, purchase).await, scrape(third, ledger).await]
    }
}

impl Metrics {
    /// The sum of all series of a metric that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let matches = |(series, _): &(&str, f64)| {
            let (found, has) = parts(series);
            found == name && wanted.iter().all(|label| has.iter().any(|has| has == label))
        };
        self.series().filter(matches).map(|(_, value)| value).sum()
    }

    fn series(&self) -> impl Iterator<Item = (&str, f64)> {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line}"));
            (series, value.parse().unwrap_or_else(|_| panic!("no number in {line}")))
        })
    }

    fn families(&self) -> BTreeMap<String, Family> {
        let types = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let family = |kind: &str| Family { kind: kind.to_owned(), labels: BTreeSet::new() };
        let mut families: BTreeMap<_, _> = types.map(|(name, kind)| (name.to_owned(), family(kind))).collect();
        for (series, _) in self.series() {
            let (name, labels) = parts(series);
            let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let name = stem.filter(|stem| families.contains_key(*stem)).unwrap_or(name);
            let labels = labels.iter().filter_map(|label| label.split_once('=')).map(|(label, _)| label.to_owned());
            let family = families.get_mut(name).unwrap_or_else(|| panic!("{series} has no type"));
            family.labels.extend(labels.filter(|label| label != "le"));
        }
        families
    }

    /// Asserts that the service exports the metrics of `docs/metrics.md` and no others, with the same types and labels.
    pub fn assert_documented(&self) {
        let (exported, documented) = (self.families(), documented());
        let mine = documented.iter().filter(|row| row.by.iter().any(|by| by == "each" || by == self.service));
        let mine: BTreeMap<_, _> = mine.map(|row| (row.name.clone(), row)).collect();
        let is_there = |needs: &String| mine.values().any(|row| row.needs(needs) && exported.contains_key(&row.name));
        let has: BTreeSet<_> = OPTIONAL.map(str::to_owned).into_iter().filter(is_there).collect();
        let expected =
            mine.iter().filter(|(_, row)| OPTIONAL.iter().all(|part| !row.needs(part) || has.contains(*part)));
        let expected: BTreeMap<_, _> = expected.map(|(name, row)| (name.clone(), row.family.clone())).collect();
        let differ = |a: &BTreeMap<String, Family>, b: &BTreeMap<String, Family>| {
            let differing = a.iter().filter(|(name, family)| b.get(*name) != Some(family));
            differing.map(|(name, family)| format!("{name}: {family:?}")).collect::<Vec<_>>()
        };
        let (undocumented, missing) = (differ(&exported, &expected), differ(&expected, &exported));
        assert!(
            undocumented.is_empty() && missing.is_empty(),
            "{}: exported but not documented in docs/metrics.md: {undocumented:#?}\n\
             documented but not exported: {missing:#?}",
            self.service
        );
    }

    /// Asserts that `promtool check metrics` finds nothing to complain about.
    pub async fn assert_promtool_passes(&self) {
        let found = promtool(&["check", "metrics"], &self.text).await;
        assert_eq!(found, "", "{}:\n{}", self.service, self.text);
    }
}

/// Splits a series into its name and its labels, such as `status="200"`. Label values must not contain commas.
fn parts(series: &str) -> (&str, Vec<&str>) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.strip_suffix('}').unwrap_or(labels);
    (name, labels.split(',').filter(|label| !label.is_empty()).collect())
}

/// A row of the tables in `docs/metrics.md`.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    family: Family,
    /// The services that export it (`each` for all), and the optional parts that it needs.
    by: Vec<String>,
}

impl Row {
    fn needs(&self, part: &str) -> bool {
        self.by.iter().any(|by| by == part)
    }
}

fn documented() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, by, meaning, _] = cells.as_slice() else { panic!("not six columns: {line}") };
        assert!(!meaning.is_empty(), "no description: {line}");
        let plain =
            |cell: &str| cell.replace(['`', ','], " ").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let family = Family { kind: (*kind).to_owned(), labels: plain(labels).into_iter().collect() };
        Row { name: plain(name).concat(), family, by: plain(by) }
    });
    let rows: Vec<_> = rows.collect();
    let names: BTreeSet<_> = rows.iter().map(|row| &row.name).collect();
    assert_eq!(names.len(), rows.len(), "docs/metrics.md lists a metric twice");
    rows
}

/// Runs `promtool` on this input, and returns its output.
///
/// # Panics
/// If `promtool` is not installed, or fails without output.
pub async fn promtool(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(root()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("promtool cannot be run ({error}): infra/local/install.sh promtool installs it")
    });
    // The pipe is dropped at the end of the statement, which ends the input.
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success() || !printed.is_empty(), "{arguments:?}: {}", output.status);
    printed
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}
