//! The command: one step after another, and the summary at the end.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use money::Money;
use operator_client::{LEDGER, PURCHASE, Progress, Services, per_second, trial_balance};
use serde::Serialize;

use crate::arguments::{Replay, Retail};
use crate::days::Days;
use crate::passes::{batches, read};
use crate::purchase::{AcceptedPurchase, PurchaseResponse};
use crate::summary::{Milliseconds, Outcomes, Summary, by_currency};
use crate::{bookings, books, comparing, offers, sending, settling};

/// The services whose APIs the replay uses.
pub const SERVICES: [&str; 2] = [PURCHASE, LEDGER];

/// Replays and prints the summary. The exit code is 0, or 1 if a purchase was not accepted or something differs.
///
/// # Errors
/// When it cannot finish: the file is broken, or a service is unavailable or refuses a request.
pub async fn run(replay: Replay, services: Services) -> anyhow::Result<ExitCode> {
    let retail = match replay {
        Replay::Retail(retail) => retail,
        Replay::Bookings(arguments) => return bookings::run(&arguments, &services).await,
    };
    let days = Days::new(retail.from, retail.to)?;
    if retail.dry_run {
        let (contents, _) = read(&retail.file, days).await?;
        print(&contents, &retail)?;
        eprintln!("nothing was sent");
        return Ok(ExitCode::SUCCESS);
    }
    let summary = replayed(&retail, days, &services).await?;
    print(&summary, &retail)?;
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(result: &(impl Serialize + Display), retail: &Retail) -> anyhow::Result<()> {
    let text = if retail.json { serde_json::to_string_pretty(result)? + "\n" } else { result.to_string() };
    std::io::stdout().write_all(text.as_bytes()).context("the summary cannot be written")
}

async fn replayed(retail: &Retail, days: Days, services: &Services) -> anyhow::Result<Summary> {
    let (purchase, ledger) = (services.named(PURCHASE)?, services.named(LEDGER)?);
    let mut took = Milliseconds::default();
    let mut clock = Clock(Instant::now());

    let (contents, survey) = read(&retail.file, days).await?;
    took.reading = clock.lap();
    eprintln!("{}: {} invoices with {} lines to send", contents.shape, contents.invoices.sent, contents.lines.sent);
    let offers_set = offers::set(purchase, &survey.offers).await;
    let offers_set =
        offers_set.context("stopped while setting offers, before any purchase; run it again to continue")?;
    took.offers = clock.lap();
    eprintln!("{} offers are set; sending", survey.offers.len());
    let batches = batches(&retail.file, Arc::clone(&survey), retail.pay_in);
    let progress = Progress::sending(contents.invoices.sent);
    let (mut accepted, problems) = sending::send(purchase, batches, progress).await?;
    took.sending = clock.lap();
    eprintln!("{} purchases are accepted; waiting for outcomes", accepted.len());
    settling::outcomes(purchase, &mut accepted).await?;
    took.settling = clock.lap();
    eprintln!("all purchases have their outcome; comparing with the ledger");
    let stopped = "everything is settled, but the ledger could not be read to its end; run it again to compare";
    let books = trial_balance::at_rest(ledger).await.context(stopped)?;
    let postings = books::postings(ledger, &accepted).await.context(stopped)?;
    let differences = comparing::differences(&accepted, &postings, &books);
    took.checking = clock.lap();

    let time = Duration::from_millis(took.sending + took.settling);
    Ok(Summary {
        offers_set,
        outcomes: Outcomes::of(&accepted),
        charged: by_currency(settled(&accepted, |response| response.charged)),
        total: by_currency(settled(&accepted, |response| response.total)),
        ledger: books::sums(postings.values().flatten()),
        problems,
        differences,
        milliseconds: took,
        purchases_per_second: per_second(contents.invoices.sent, time),
        lines_per_second: per_second(contents.lines.sent, time),
        contents,
    })
}

fn settled(
    accepted: &[AcceptedPurchase],
    sum: impl Fn(&PurchaseResponse) -> Option<Money>,
) -> impl Iterator<Item = Money> {
    accepted.iter().filter_map(move |purchase| sum(&purchase.response))
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
