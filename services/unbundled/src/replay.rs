//! `unbundled replay`: sends a real year through the HTTP API of a running system, as a client that must lose nothing
//! and double nothing would, and then holds the books against its own arithmetic.
//!
//! Shape: read the file to its end (`survey`), set the offers it needs, read it again and send it in batches, in order,
//! one on its way (`batch`, `sending`), ask for each purchase until it has its outcome (`settling`), read the ledger
//! (`books`) and compare (`comparing`).
//!
//! Guarantee: a request's id is a function of its invoice, so it can be stopped anywhere and run again: nothing is done
//! twice, and the summary is that of one undisturbed run. Of a file that is broken nothing is sent.
//!
//! What it never does: look into a database, ask the services what it should expect of them, or hold the file in memory.

mod batch;
mod books;
mod comparing;
mod country;
mod expected;
mod file;
mod findings;
mod invoice;
mod london;
mod offers;
mod row;
mod scaled;
mod sending;
mod settling;
mod summary;
mod survey;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use money::{Currency, Money};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use batch::{Batch, Invoices};
use expected::Rates;
use file::{FileError, Lines};
use sending::{Answer, Taken};
use summary::{Milliseconds, Outcomes, Summary, by_currency};
use survey::Survey;

use crate::addresses::Addresses;
use crate::trial_balance;

pub use summary::per_second;

/// Requests on their way at once, apart from batches: enough to keep a service on a few cores busy.
const IN_FLIGHT: usize = 16;

/// What to replay.
#[derive(Debug, Subcommand)]
pub enum Replay {
    /// A year of a British online shop (UCI Online Retail, the clean form)
    Retail(Retail),
}

/// `unbundled replay retail`.
#[derive(Debug, Args)]
pub struct Retail {
    /// The clean form as CSV, plain or compressed with Zstandard
    file: PathBuf,
    #[command(flatten)]
    addresses: Addresses,
    /// The currency all pay in, instead of that of their country
    #[arg(long, value_name = "CURRENCY")]
    pay_in: Option<Currency>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Replays, prints the summary, and says whether all is as it must be: 0, or 1 when something could not be taken or differs.
///
/// # Errors
/// When it could not be brought to its end: the file is broken, or a service is away or refuses.
pub async fn run(replay: Replay) -> anyhow::Result<ExitCode> {
    let Replay::Retail(retail) = replay;
    let summary = replayed(&retail).await?;
    let text = if retail.json { serde_json::to_string_pretty(&summary)? + "\n" } else { summary.to_string() };
    std::io::stdout().write_all(text.as_bytes()).context("the summary cannot be written")?;
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn replayed(retail: &Retail) -> anyhow::Result<Summary> {
    let (purchase, ledger) = (retail.addresses.purchase()?, retail.addresses.ledger()?);
    let mut took = Milliseconds::default();
    let mut clock = Clock(Instant::now());

    let survey = Arc::new(surveyed(&retail.file).await?);
    took.reading = clock.lap();
    eprintln!("{} invoices with {} lines to send", survey.invoices.sent, survey.lines.sent);
    let offers_set = offers::set(&purchase, &survey.offers).await;
    let offers_set = offers_set.context("stopped while setting offers, before any purchase; run it again to go on")?;
    took.offers = clock.lap();
    eprintln!("{} offers are set; sending", survey.offers.len());
    let batches = batches(&retail.file, Arc::clone(&survey), retail.pay_in);
    let (mut taken, problems) = sending::send(&purchase, batches).await?;
    took.sending = clock.lap();
    eprintln!("{} purchases are taken; waiting for outcomes", taken.len());
    settling::outcomes(&purchase, &mut taken).await?;
    took.settling = clock.lap();
    eprintln!("all have their outcome; comparing with the ledger");
    let stopped = "all is settled, but the ledger could not be read to its end; run it again to compare";
    let books = trial_balance::at_rest(&ledger).await.context(stopped)?;
    let postings = books::postings(&ledger, &taken).await.context(stopped)?;
    let differences = comparing::differences(&taken, &postings, &books);
    took.checking = clock.lap();

    let time = Duration::from_millis(took.sending + took.settling);
    Ok(Summary {
        file: retail.file.display().to_string(),
        offers: survey.offers.len() as u64,
        offers_set,
        outcomes: Outcomes::of(&taken),
        charged: by_currency(settled(&taken, |answer| answer.charged)),
        total: by_currency(settled(&taken, |answer| answer.total)),
        ledger: books::sums(postings.values().flatten()),
        problems,
        differences,
        milliseconds: took,
        purchases_per_second: per_second(survey.invoices.sent, time),
        lines_per_second: per_second(survey.lines.sent, time),
        lines: survey.lines.clone(),
        invoices: survey.invoices.clone(),
    })
}

async fn surveyed(path: &Path) -> anyhow::Result<Survey> {
    let file = path.to_owned();
    let survey = spawn_blocking(move || Survey::of(Lines::open(&file)?)).await?;
    survey.with_context(|| format!("{} cannot be replayed, and nothing was sent", path.display()))
}

/// Builds the batches on a thread of their own. One waits in the channel, and one is being built.
fn batches(path: &Path, survey: Arc<Survey>, pay_in: Option<Currency>) -> mpsc::Receiver<Result<Batch, FileError>> {
    let (sender, receiver) = mpsc::channel(1);
    let path = path.to_owned();
    spawn_blocking(move || {
        let built = build(&path, &survey, pay_in, |batch| sender.blocking_send(Ok(batch)).is_ok());
        if let Err(error) = built {
            // Nobody listens any more when sending has stopped, for a reason it has told.
            drop(sender.blocking_send(Err(error)));
        }
    });
    receiver
}

fn build(
    path: &Path,
    survey: &Survey,
    pay_in: Option<Currency>,
    mut passes_on: impl FnMut(Batch) -> bool,
) -> Result<(), FileError> {
    let rates = match Rates::built_in() {
        Ok(rates) => rates,
        Err(error) => unreachable!("the built-in history is whole, which a test of its own checks: {error}"),
    };
    let mut invoices = Invoices::of(Lines::open(path)?, survey, pay_in);
    while let Some(batch) = Batch::next(&mut invoices, &rates)? {
        if !passes_on(batch) {
            break;
        }
    }
    Ok(())
}

fn settled(taken: &[Taken], sum: impl Fn(&Answer) -> Option<Money>) -> impl Iterator<Item = Money> {
    taken.iter().filter_map(move |taken| sum(&taken.answer))
}

/// Says how long it was since it was asked before.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> u64 {
        let lap = self.0.elapsed();
        self.0 += lap;
        u64::try_from(lap.as_millis()).unwrap_or(u64::MAX)
    }
}
