//! `unbundled replay`: sends a real year through the HTTP API of a running system, as a client that must not lose or
//! duplicate anything, and then compares the books with its own arithmetic.
//!
//! Steps: read the file to its end (`source`, `lines`, `survey`); set the offers it needs (`offers`); read it again and
//! send it in batches, in order, one at a time (`batch`, `sending`); request each purchase until it has its outcome
//! (`settling`); read the ledger (`books`) and compare (`comparing`).
//!
//! Guarantee: a request's id is a function of its invoice, so the replay can be stopped anywhere and run again: nothing
//! is done twice, and the summary is that of one undisturbed run. Nothing of a broken file is sent.
//!
//! It never looks into a database, never asks the services what to expect of them, and never holds the file in memory.

mod batch;
mod books;
mod comparing;
mod country;
mod days;
mod encoding;
mod expected;
mod file;
mod findings;
mod form;
mod invoice;
mod lines;
mod london;
mod offers;
mod progress;
mod row;
mod scaled;
mod sending;
mod settling;
mod sheet;
mod source;
mod summary;
mod survey;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::NaiveDate;
use clap::{Args, Subcommand};
use money::{Currency, Money};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use batch::{Batch, Invoices};
use days::Days;
use expected::Rates;
use file::FileError;
use sending::{Answer, Taken};
use source::{Shape, SourceFile};
use summary::{Contents, Milliseconds, Outcomes, Summary, by_currency};
use survey::Survey;

use crate::addresses::Addresses;
use crate::trial_balance;

pub use progress::Progress;
pub use summary::per_second;

/// The number of concurrent requests, apart from batches: enough to keep a service on a few cores busy.
const IN_FLIGHT: usize = 16;

/// The data to replay.
#[derive(Debug, Subcommand)]
pub enum Replay {
    /// A year of a British online shop (UCI Online Retail, in its original or its clean form)
    Retail(Retail),
}

/// `unbundled replay retail`.
#[derive(Debug, Args)]
pub struct Retail {
    /// The file, with any name: a CSV, plain or compressed with gzip or Zstandard, or an Excel workbook (.xlsx)
    file: PathBuf,
    /// The first day whose invoices are sent (such as 2011-01-31, in London time)
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// The last day whose invoices are sent
    #[arg(long, value_name = "DATE")]
    to: Option<NaiveDate>,
    #[command(flatten)]
    addresses: Addresses,
    /// The currency in which all customers pay, instead of that of their country
    #[arg(long, value_name = "CURRENCY")]
    pay_in: Option<Currency>,
    /// Read the file to its end and print its contents, but send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Replays and prints the summary. The exit code is 0, or 1 if a purchase was not accepted or something differs.
///
/// # Errors
/// When it cannot finish: the file is broken, or a service is unavailable or refuses a request.
pub async fn run(replay: Replay) -> anyhow::Result<ExitCode> {
    let Replay::Retail(retail) = replay;
    let days = Days::new(retail.from, retail.to)?;
    if retail.dry_run {
        let (contents, _) = read(&retail.file, days).await?;
        print(&contents, &retail)?;
        eprintln!("nothing was sent");
        return Ok(ExitCode::SUCCESS);
    }
    let summary = replayed(&retail, days).await?;
    print(&summary, &retail)?;
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(result: &(impl Serialize + Display), retail: &Retail) -> anyhow::Result<()> {
    let text = if retail.json { serde_json::to_string_pretty(result)? + "\n" } else { result.to_string() };
    std::io::stdout().write_all(text.as_bytes()).context("the summary cannot be written")
}

async fn replayed(retail: &Retail, days: Days) -> anyhow::Result<Summary> {
    let (purchase, ledger) = (retail.addresses.purchase()?, retail.addresses.ledger()?);
    let mut took = Milliseconds::default();
    let mut clock = Clock(Instant::now());

    let (contents, survey) = read(&retail.file, days).await?;
    took.reading = clock.lap();
    eprintln!("{}: {} invoices with {} lines to send", contents.shape, contents.invoices.sent, contents.lines.sent);
    let offers_set = offers::set(&purchase, &survey.offers).await;
    let offers_set =
        offers_set.context("stopped while setting offers, before any purchase; run it again to continue")?;
    took.offers = clock.lap();
    eprintln!("{} offers are set; sending", survey.offers.len());
    let batches = batches(&retail.file, Arc::clone(&survey), retail.pay_in);
    let progress = Progress::sending(contents.invoices.sent);
    let (mut taken, problems) = sending::send(&purchase, batches, progress).await?;
    took.sending = clock.lap();
    eprintln!("{} purchases are accepted; waiting for outcomes", taken.len());
    settling::outcomes(&purchase, &mut taken).await?;
    took.settling = clock.lap();
    eprintln!("all purchases have their outcome; comparing with the ledger");
    let stopped = "everything is settled, but the ledger could not be read to its end; run it again to compare";
    let books = trial_balance::at_rest(&ledger).await.context(stopped)?;
    let postings = books::postings(&ledger, &taken).await.context(stopped)?;
    let differences = comparing::differences(&taken, &postings, &books);
    took.checking = clock.lap();

    let time = Duration::from_millis(took.sending + took.settling);
    Ok(Summary {
        offers_set,
        outcomes: Outcomes::of(&taken),
        charged: by_currency(settled(&taken, |answer| answer.charged)),
        total: by_currency(settled(&taken, |answer| answer.total)),
        ledger: books::sums(postings.values().flatten()),
        problems,
        differences,
        milliseconds: took,
        purchases_per_second: per_second(contents.invoices.sent, time),
        lines_per_second: per_second(contents.lines.sent, time),
        contents,
    })
}

/// Reads the file to its end.
async fn read(path: &Path, days: Days) -> anyhow::Result<(Contents, Arc<Survey>)> {
    let file = path.to_owned();
    let read = spawn_blocking(move || {
        let progress = Progress::reading(std::fs::metadata(&file).map_or(0, |file| file.len()));
        let mut source = SourceFile::open(&file, progress)?;
        let packing = source.packing();
        let survey = Survey::of(source.lines()?, days)?;
        Ok::<_, FileError>((packing, survey))
    });
    let (packing, survey) =
        read.await?.with_context(|| format!("{} cannot be replayed, and nothing was sent", path.display()))?;
    let contents = Contents {
        file: path.display().to_string(),
        shape: Shape { form: survey.form, packing, encoding: survey.encoding },
        days,
        lines: survey.lines.clone(),
        invoices: survey.invoices.clone(),
        offers: survey.offers.len() as u64,
    };
    Ok((contents, Arc::new(survey)))
}

/// Builds the batches on a separate thread. One batch waits in the channel while the next is being built.
fn batches(path: &Path, survey: Arc<Survey>, pay_in: Option<Currency>) -> mpsc::Receiver<Result<Batch, FileError>> {
    let (sender, receiver) = mpsc::channel(1);
    let path = path.to_owned();
    spawn_blocking(move || {
        let built = build(&path, &survey, pay_in, |batch| sender.blocking_send(Ok(batch)).is_ok());
        if let Err(error) = built {
            // If the receiver is gone, sending has stopped and has reported the reason.
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
        Err(error) => unreachable!("a test checks that the built-in history is valid: {error}"),
    };
    let mut source = SourceFile::open(path, Progress::hidden())?;
    let mut invoices = Invoices::of(source.lines()?, survey, pay_in);
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

/// Measures the time since the previous lap.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> u64 {
        let lap = self.0.elapsed();
        self.0 += lap;
        u64::try_from(lap.as_millis()).unwrap_or(u64::MAX)
    }
}
